from dataclasses import replace

import numpy as np
import pytest
import torch
from study.material import EACH, LABELS, from_pictures, over_features

from cospair import training
from cospair.study import CONTENDERS, trials
from cospair.study.trials import Trial, outcome_of, watched_rows

TRAIN, HELD = np.flatnonzero(LABELS < 8), np.flatnonzero(LABELS >= 8)
TRIAL = Trial("all-pairs-torch", {"margin": 0.25, "positive_margin": 1.0}, TRAIN, HELD, 0)


def _seen(trial, material, monkeypatch, tmp_path):
    """The batches that a trial learns from."""
    seen = []
    name = "train_head" if material.views is not None else "train_from_scratch"
    whole = getattr(training, name)

    def watched(*positional, objective, **named):
        seen.extend(objective.batches)
        return whole(*positional, objective=objective, **named)

    monkeypatch.setattr(training, name, watched)
    outcome_of(trial, material, tmp_path)
    return seen


@pytest.mark.parametrize("make", [over_features, from_pictures])
def test_pair_batches_hold_as_many_pictures_as_the_others(make, monkeypatch, tmp_path):
    material = make()
    recipe = material.recipe
    labels = LABELS[TRAIN]
    for key in ("all-pairs-torch", "pairs-torch"):
        settings = CONTENDERS[key].settings[0]
        seen = _seen(
            replace(TRIAL, contender=key, settings=settings), material, monkeypatch, tmp_path
        )
        assert [len(rows) for rows in seen] == [recipe.people * recipe.each] * recipe.steps
        if key == "pairs-torch":
            first, second = np.array(seen).reshape(recipe.steps, 2, -1).swapaxes(0, 1)
            assert ((labels[first] == labels[second]).mean(axis=1) == 0.5).all()
        monkeypatch.undo()


@pytest.mark.parametrize("make", [over_features, from_pictures])
def test_a_kept_trial_is_found_again_and_not_trained_anew(make, monkeypatch, tmp_path):
    material = make()
    first = outcome_of(TRIAL, material, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    monkeypatch.setattr(trials, "carried_out", None)
    again = outcome_of(TRIAL, material, tmp_path)
    torch.testing.assert_close(again.embeddings, first.embeddings, rtol=0, atol=0)
    assert again[1:] == first[1:]
    assert len(first.embeddings) == len(HELD)


@pytest.mark.parametrize(
    "change",
    [
        {"contender": "default"},
        {"settings": {"margin": 0.5, "positive_margin": 1.0}},
        {"train": TRAIN[:-1]},
        {"held": HELD[:-1]},
        {"seed": 1},
        {"curve": True},
    ],
)
def test_whatever_decides_a_trial_is_in_its_key(change):
    material = over_features()
    assert replace(TRIAL, **change).key(material) != TRIAL.key(material)


def test_the_key_knows_the_material_and_not_the_order_of_settings():
    material = over_features()
    turned = replace(TRIAL, settings=dict(list(TRIAL.settings.items())[::-1]))
    assert turned.key(material) == TRIAL.key(material)
    assert TRIAL.key(material._replace(sha256="another")) != TRIAL.key(material)


@pytest.mark.parametrize("make", [over_features, from_pictures])
def test_the_same_trial_leaves_the_same_embeddings(make, tmp_path):
    material = make()
    one, other = (outcome_of(TRIAL, material, tmp_path / name) for name in "ab")
    torch.testing.assert_close(one.embeddings, other.embeddings, rtol=0, atol=0)


def test_what_a_loss_learns_itself_is_trained(monkeypatch, tmp_path):
    if CONTENDERS["arcface"].unavailable:
        pytest.skip(CONTENDERS["arcface"].unavailable)
    made = []

    def make(*given):
        made.append(CONTENDERS["arcface"].make(*given))
        made.append([p.detach().clone() for p in made[0].parameters()])
        return made[0]

    monkeypatch.setitem(
        trials.CONTENDERS, "watched", replace(CONTENDERS["arcface"], name="watched", make=make)
    )
    settings = CONTENDERS["arcface"].settings[0]
    outcome_of(replace(TRIAL, contender="watched", settings=settings), over_features(), tmp_path)
    loss, before = made
    assert all((p != q).any() for p, q in zip(loss.parameters(), before, strict=True))


def test_a_curve_counts_the_pictures_seen(tmp_path):
    material = from_pictures(steps=4)
    outcome = outcome_of(replace(TRIAL, curve=True), material, tmp_path)
    assert [point["pictures"] for point in outcome.curve] == [8, 16, 24, 32]
    assert all(0 <= point["auc"] <= 1 for point in outcome.curve)
    assert outcome_of(TRIAL, material, tmp_path).curve == []


@pytest.mark.parametrize(
    ("people", "each"),
    [(4, EACH), (2, 900), (900, 4)],  # all fit; two who fill it; more people than fit
)
def test_the_curve_watches_some_of_each_person(people, each):
    labels = np.repeat(np.arange(people), each)
    rows = watched_rows(labels, np.arange(len(labels)))
    assert len(rows) == min(len(labels), 400)
    _, counts = np.unique(labels[rows], return_counts=True)
    assert len(counts) >= 2
    assert counts.min() >= 2
    assert (np.diff(rows) > 0).all()
