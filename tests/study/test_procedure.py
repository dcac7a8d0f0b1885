import json

import numpy as np
import pytest
from study.material import LABELS, from_pictures, over_features

from cospair.evaluation import compare_models
from cospair.study import StudyPlan, compared_losses, procedure
from cospair.study.procedure import inner_split

PLAN = StudyPlan(
    ("default", "all-pairs-torch"), "default", folds=3, splits=2, margins=(0.25,), resamples=100
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A small comparison, its trials and what was said of its progress."""
    trials, said = {}, []
    whole = procedure.outcome_of

    def watched(trial, material, folder):
        outcome = whole(trial, material, folder)
        trials[trial.key(material)] = (trial, outcome)
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(procedure, "outcome_of", watched)
        folder = tmp_path_factory.mktemp("study")
        result = compared_losses(over_features(), PLAN, folder, lambda *now: said.append(now))
    return result, list(trials.values()), said


def test_the_result_is_plain_and_whole(compared):
    result, _, said = compared
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert [one["key"] for one in result["contenders"]] == list(PLAN.contenders)
    assert result["test_identities"] == 8
    assert len(result["baselines"]) == 3
    # a split: one trial of the default, three and the final one of the other, and the figures of
    # two losses and three baselines; two of the sweep
    assert said == [(done, 22) for done in range(1, 23)]


def test_no_test_identity_is_trained_on_nor_chooses(compared):
    _, trials, _ = compared
    finals = [trial for trial, _ in trials if trial.curve]
    choosing = [trial for trial, _ in trials if not trial.curve and len(trial.held) < 24]
    tests = {trial.seed: set(LABELS[trial.held]) for trial in finals}
    assert set(tests) == {0, 1}
    assert not tests[0] & tests[1]
    for trial, _ in trials:
        assert not set(LABELS[trial.train]) & set(LABELS[trial.held])
    assert len(choosing) == 6
    for trial in choosing:
        assert not tests[trial.seed] & set(LABELS[np.concatenate([trial.train, trial.held])])


def test_the_setting_with_the_best_validation_auc_is_chosen(compared):
    result, trials, _ = compared
    default, other = result["contenders"]
    assert default["against_reference"] is None
    assert all(split["tried"] == [] for split in default["splits"])
    assert len(other["settings_tried"]) == 3
    for split in other["splits"]:
        best = max(split["tried"], key=lambda one: one["validation_auc"])
        assert split["chosen"] == best["settings"]
    finals = [dict(trial.settings) for trial, _ in trials if trial.curve]
    assert all(split["chosen"] in finals for split in other["splits"])


def test_one_split_is_compared_as_two_models_are(tmp_path):
    plan = StudyPlan(PLAN.contenders, "default", folds=3, splits=1, margins=(), resamples=100)
    material, kept = over_features(), {}
    whole = procedure.outcome_of

    def watched(trial, given, folder):
        kept[trial.contender] = (trial, whole(trial, given, folder))
        return kept[trial.contender][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(procedure, "outcome_of", watched)
        result = compared_losses(material, plan, tmp_path)
    (trial, a), (_, b) = kept["default"], kept["all-pairs-torch"]
    assert trial.curve  # the last of each loss is the final one
    labels = LABELS[trial.held]
    found = compare_models(a.embeddings, b.embeddings, labels, far=(0.01,), resamples=100)
    against = result["contenders"][1]["against_reference"]
    assert {name: against[name] for name in ("auc", "eer", "cmc_1")} == {
        name: found["figures"][name] for name in ("auc", "eer", "cmc_1")
    }


def test_an_interrupted_comparison_goes_on(tmp_path, monkeypatch):
    material = over_features()
    done = compared_losses(material, PLAN, tmp_path)
    monkeypatch.setattr("cospair.study.trials.carried_out", None)
    assert compared_losses(material, PLAN, tmp_path) == done


def test_an_encoder_from_scratch_has_curves(tmp_path):
    plan = StudyPlan(("default",), "default", folds=2, splits=1, margins=(), resamples=0)
    result = compared_losses(from_pictures(), plan, tmp_path)
    (default,) = result["contenders"]
    assert [point["pictures"] for point in default["splits"][0]["curve"]] == [8, 16]
    assert [one["name"] for one in result["baselines"]] == ["pixels minus their mean"]


@pytest.mark.parametrize(("people", "held"), [(4, 2), (5, 2), (10, 3), (30, 8)])
def test_validation_people_are_a_quarter_and_at_least_two(people, held):
    labels = np.repeat(np.arange(2 * people), 3)
    train = np.flatnonzero(labels % 2)
    fit, validation = inner_split(labels, train, seed=0)
    assert len(set(labels[validation])) == held
    assert sorted([*fit, *validation]) == train.tolist()
    assert not set(labels[fit]) & set(labels[validation])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contenders": ("default", "tripled")}, "loss must be one of default, .*got 'tripled'"),
        ({"reference": "arcface"}, "reference must be among the losses compared; got 'arcface'"),
        ({"splits": 4}, "splits must be from 1 to the number of folds, .* got 4 of 3"),
        ({"folds": 1, "splits": 1}, "which is at least 2; got 1 of 1"),
        ({"margins": (0.5, 1.5)}, r"margins must lie in \[-1, 1\]; got 1.5"),
        ({"resamples": 50}, r"resamples must be 0 \(no intervals\) or at least 100; got 50"),
    ],
)
def test_a_plan_checks_itself(change, words):
    given = {"contenders": ("default",), "reference": "default", "folds": 3, "splits": 2}
    with pytest.raises(ValueError, match=words):
        StudyPlan(**{**given, **change})


def test_what_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr("cospair.study.contenders.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="loss 'arcface' cannot be compared here: pytorch-metric"):
        StudyPlan(("default", "arcface"), "default")


def test_too_few_people_are_refused(tmp_path):
    plan = StudyPlan(("default",), "default", folds=7, splits=1, margins=())
    with pytest.raises(ValueError, match=r"at least 2 identities a fold .* got 12 in 7 folds"):
        compared_losses(over_features(), plan, tmp_path)
