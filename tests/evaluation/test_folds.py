import json

import numpy as np
import pytest
from evaluation.examples import labelled

from cospair.evaluation import compare_models
from cospair.evaluation.folds import compare_over_folds, fold_figures, over_folds
from cospair.evaluation.retrieval.figures import retrieval_figures
from cospair.evaluation.verification.figures import verification_figures

FAR = (0.1,)


def _two(seed=0, people=8):
    rows, labels = labelled(people, 4, seed=seed)
    return rows, rows + np.random.default_rng(seed + 9).normal(size=rows.shape), labels


def _figures(rows, labels, seed=0, resamples=200):
    return fold_figures(rows, labels, far=FAR, resamples=resamples, seed=seed)


def test_one_group_has_the_figures_and_intervals_of_one_evaluation():
    rows, _, labels = _two()
    found = over_folds([_figures(rows, labels, seed=4)])
    alone = verification_figures(rows, labels, far=FAR, resamples=200, seed=4)
    ranked = retrieval_figures(rows, labels, resamples=200, seed=4)
    for name, of, key in (("auc", alone, "auc"), ("eer", alone, "eer"), ("map", ranked, "map")):
        assert found[name] == {
            "value": of[key],
            "interval": of[f"{key}_interval"],
            "folds": [of[key]],
        }
    assert found["tar@far=0.1"]["value"] == alone["tar_at_far"][0]["tar"]
    assert found["cmc_1"]["value"] == ranked["cmc"]["1"]


def test_one_group_is_compared_as_two_models_are():
    a, b, labels = _two()
    found = compare_over_folds([_figures(a, labels, seed=5)], [_figures(b, labels, seed=5)])
    models = compare_models(a, b, labels, far=FAR, resamples=200, seed=5)["figures"]
    # the difference of two means and the mean of differences round alike but for the last place
    np.testing.assert_allclose(
        found["map"].pop("difference_interval"),
        models["map"].pop("difference_interval"),
        rtol=0,
        atol=1e-15,
    )
    for one in (found, models):
        del one["map"]["verdict"]  # it quotes the interval
    assert found == {name: models[name] for name in found}
    assert set(found) == {"auc", "eer", "tar@far=0.1", "cmc_1", "map"}


def test_a_figure_is_the_mean_over_the_groups_and_so_is_each_resample():
    groups = [_two(seed) for seed in (0, 1)]
    parts = [_figures(rows, labels, seed=s) for s, (rows, _, labels) in enumerate(groups)]
    found = over_folds(parts)
    for name, one in found.items():
        assert one["folds"] == [part.values[name] for part in parts]
        assert one["value"] == np.mean(one["folds"])
        mean = (parts[0].draws.values[name] + parts[1].draws.values[name]) / 2
        # a mean of two and a sum halved round alike but for the last place
        np.testing.assert_allclose(one["interval"], np.quantile(mean, [0.025, 0.975]), rtol=1e-12)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_more_groups_make_a_narrower_interval():
    groups = [_two(seed) for seed in range(4)]
    parts = [_figures(rows, labels, seed=s) for s, (rows, _, labels) in enumerate(groups)]
    widths = [np.ptp(over_folds(parts[:n])["auc"]["interval"]) for n in (1, 4)]
    assert widths[1] < widths[0]


def test_lower_is_better_for_the_equal_error_rate_alone():
    a, _, labels = _two(people=14)
    b = np.random.default_rng(1).normal(size=a.shape)
    found = compare_over_folds([_figures(a, labels)], [_figures(b, labels)])
    assert found["auc"]["difference"] < 0 < found["eer"]["difference"]
    assert (found["auc"]["better"], found["eer"]["better"]) == ("a", "a")


def test_without_resamples_the_reason_is_said():
    a, b, labels = _two()
    one, other = ([_figures(rows, labels, resamples=0)] for rows in (a, b))
    assert over_folds(one)["auc"]["interval"] is None
    assert "no resamples were asked for" in compare_over_folds(one, other)["auc"]["verdict"]


def test_too_few_impostors_for_a_target_leave_no_figure():
    rows, labels = labelled(3, 2)
    part = fold_figures(rows, labels, far=(1e-3,), resamples=100)
    found = over_folds([part, part])["tar@far=0.001"]
    assert (found["value"], found["folds"]) == (None, [None, None])
    entry = compare_over_folds([part], [part])["tar@far=0.001"]
    assert (entry["difference"], entry["better"]) == (None, None)
    assert entry["verdict"]


def test_a_group_without_resamples_leaves_no_interval():
    """One person with two pictures is too few to draw from; the other group has enough."""
    rows, labels = labelled(3, 2)
    lonely = _figures(rows[[0, 1, 2, 4]], labels[[0, 1, 2, 4]])
    whole = _figures(*labelled(8, 4))
    assert "fewer than 2 identities with genuine pairs" in lonely.draws.reason
    for parts in ([whole, lonely], [lonely, whole]):
        found = over_folds(parts)["auc"]
        assert found["interval"] is None
        assert found["value"] == pytest.approx(np.mean(found["folds"]), rel=1e-15)
        assert compare_over_folds(parts, parts)["auc"]["difference"] == 0
