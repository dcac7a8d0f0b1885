import numpy as np
import pytest
from evaluation.examples import scored_people

from cospair.evaluation.bootstrap import draws
from cospair.evaluation.bootstrap.draws import class_mean_draws, curve_draws, mean_draws


@pytest.mark.parametrize("cells", [0, 1 << 24])
@pytest.mark.parametrize("people", [4, 7])
def test_class_means_equal_resampling_one_by_one(monkeypatch, people, cells):
    """With the matrix of people held whole, and with its pairs alone."""
    monkeypatch.setattr(draws, "DENSE_CELLS", cells)
    scores, identities, same = scored_people(people=people)
    identities = identities[:, ::-1]
    found = class_mean_draws(scores, identities, resamples=200, seed=0)
    drawn = np.random.default_rng(0).integers(people, size=(200, people))
    for b, row in enumerate(drawn):
        times = np.bincount(row, minlength=people)
        met = times[identities[:, 0]] * times[identities[:, 1]] * ~same
        own = times[identities[:, 0]] * same
        if not met.any():
            assert np.isnan([found.impostors[b], found.genuine[b]]).all()
        else:
            assert found.impostors[b] == pytest.approx(met @ scores / met.sum(), abs=1e-14)
            assert found.genuine[b] == pytest.approx(own @ scores / own.sum(), abs=1e-14)
    assert np.isnan(found.impostors).any() == (people == 4)


def test_every_kind_of_draw_meets_the_same_people():
    _, identities, same = scored_people(people=6)
    means = class_mean_draws(same.astype(float), identities, resamples=100, seed=1)
    own = identities[same, 0]
    values = np.random.default_rng(0).random(len(own))
    costs = np.zeros(len(same))
    costs[same] = values
    expected = class_mean_draws(costs, identities, resamples=100, seed=1).genuine
    found = mean_draws({"value": values}, own, resamples=100, seed=1).values["value"]
    np.testing.assert_allclose(found, expected, atol=1e-14)
    curves = curve_draws(
        (~same).astype(int),
        identities,
        lambda impostors, genuine: {"accepted": genuine[1] / genuine[-1]},
        resamples=100,
        seed=1,
    )
    np.testing.assert_array_equal(curves.values["accepted"], means.genuine)


def test_reasons():
    codes = np.array([[0, 0], [0, 1]])
    one = "no interval: fewer than 2 identities with genuine pairs"
    found = class_mean_draws(np.zeros(2), codes, resamples=100, seed=0)
    assert (found.reason, len(found.impostors), len(found.genuine)) == (one, 0, 0)
    curves = curve_draws(
        np.zeros(2, int), codes, lambda i, g: {"sum": i[-1] + g[-1]}, resamples=100, seed=0
    )
    assert (curves.reason, list(curves.values)) == (one, ["sum"])
    means = mean_draws({"value": np.ones(2)}, np.zeros(2, int), resamples=100, seed=0)
    assert means.reason == "no interval: fewer than 2 identities with queries"
