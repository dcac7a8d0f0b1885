import numpy as np
import pytest
from evaluation.examples import scored_people

from cospair.evaluation.bootstrap.binomial import clopper_pearson
from cospair.evaluation.calibration.reliability import (
    independent_ends,
    probability_bins,
    resampled_ends,
)


def log_odds(shares):
    shares = np.asarray(shares)
    return np.log(shares / (1 - shares))


def test_bins_by_hand():
    shares = [0.05, 0.02, 0.55, 0.52, 0.95]
    same = np.array([False, False, True, False, True, True])
    ratios = np.append(log_odds(shares), 800.0)
    bins = probability_bins(ratios, same, 0.5)
    assert bins.place.tolist() == [0, 0, 1, 1, 2, 2]
    assert bins.genuine.tolist() == [0, 1, 2]
    assert bins.impostors.tolist() == [2, 1, 0]
    np.testing.assert_allclose(bins.probability, [0.035, 0.535, 0.975], rtol=1e-12)
    assert bins.observed.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("prior", [0.5, 0.1])
def test_both_kinds_weigh_by_the_prior(prior):
    """Copies of the impostors change nothing but their number."""
    rng = np.random.default_rng(0)
    ratios, same = rng.normal(size=60), np.arange(60) < 25
    once = probability_bins(ratios, same, prior)
    often = probability_bins(
        np.concatenate([ratios, *[ratios[~same]] * 3]),
        np.concatenate([same, np.zeros(3 * 35, bool)]),
        prior,
    )
    np.testing.assert_allclose(once.observed, often.observed, rtol=1e-12)
    np.testing.assert_allclose(once.probability, often.probability, rtol=1e-12)
    assert (often.impostors == 4 * once.impostors).all()


def test_known_ratios_are_reliable():
    """Two normal distributions at 1.5: their log likelihood ratio is 1.5 x - 1.125."""
    rng = np.random.default_rng(0)
    same = np.arange(200_000) < 40_000
    ratios = 1.5 * (rng.normal(size=200_000) + 1.5 * same) - 1.125
    for prior in (0.5, 0.05):
        bins = probability_bins(ratios, same, prior)
        many = np.minimum(bins.genuine, bins.impostors) >= 400
        assert many.sum() >= 5
        # a share of counts from 400 up, at most a quarter times 0.07 off, three times over
        np.testing.assert_allclose(bins.observed[many], bins.probability[many], atol=0.04)


def test_independent_ends_are_clopper_pearson_at_the_prior():
    ratios = np.array([-2.0, -2.0, 2.0, 2.0, 2.0, 2.0])
    same = np.array([False, False, True, True, False, False])
    bins = probability_bins(ratios, same, 0.5)
    low, high = clopper_pearson(2, 4)
    # 2 genuine and 4 impostor pairs: at even odds an impostor weighs half a genuine pair
    expected = [end / (end + (1 - end) / 2) for end in (low, high)]
    ends = independent_ends(bins)
    assert ends[1] == pytest.approx(expected, rel=1e-12)
    assert ends[0] is not None
    assert ends[0][0] == 0.0


def test_resampled_ends_equal_resampling_one_by_one():
    scores, identities, same = scored_people(people=8)
    ratios = 4 * scores - 2
    bins = probability_bins(ratios, same, 0.3)
    found = resampled_ends(bins, identities, resamples=150, seed=2)
    drawn = []
    for people in np.random.default_rng(2).integers(8, size=(150, 8)):
        times = np.bincount(people, minlength=8)
        a, b = times[identities[:, 0]], times[identities[:, 1]]
        weights = np.where(same, a, a * b)
        true, false = (
            np.bincount(bins.place, weights * kind) / (weights * kind).sum()
            for kind in (same, ~same)
        )
        with np.errstate(invalid="ignore"):
            drawn.append(0.3 * true / (0.3 * true + 0.7 * false))
    for ends, values in zip(found, np.array(drawn).T, strict=True):
        known = values[~np.isnan(values)]
        low, high = np.quantile(known, [0.025, 0.975])
        if len(known) < 0.95 * 150 or low == high:
            assert ends is None
        else:
            assert ends is not None
            np.testing.assert_allclose(ends, [low, high], atol=1e-12)
    assert any(ends is not None for ends in found)
