import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from cospair.evaluation.bootstrap.binomial import clopper_pearson


def by_beta(successes, trials, confidence):
    """The ends as quantiles of beta distributions."""
    outside = (1 - confidence) / 2
    low = beta.ppf(outside, successes, trials - successes + 1) if successes else 0.0
    high = beta.ppf(1 - outside, successes + 1, trials - successes) if successes < trials else 1.0
    return np.array([float(low), float(high)])


@settings(deadline=None)
@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_ends_are_quantiles_of_beta_distributions(trials, share, confidence):
    successes = round(share * trials)
    found = clopper_pearson(successes, trials, confidence)
    # scipy's quantiles are themselves good to some 1e-10
    np.testing.assert_allclose(found, by_beta(successes, trials, confidence), rtol=1e-9)


@pytest.mark.parametrize("successes", [0, 3, 5_000_000, 2_500_000_000])
def test_billions_of_trials(successes):
    found = clopper_pearson(successes, 5_000_000_000)
    np.testing.assert_allclose(found, by_beta(successes, 5_000_000_000, 0.95), rtol=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(1, 20), (7, 9), (0, 4), (4, 4), (50, 101)])
def test_ends_by_adding_up_probabilities(successes, trials):
    def exactly(k, p):
        return math.comb(trials, k) * p**k * (1 - p) ** (trials - k)

    low, high = clopper_pearson(successes, trials, 0.9)
    if successes:
        above = sum(exactly(k, low) for k in range(successes, trials + 1))
        assert above == pytest.approx(0.05, rel=1e-9)  # a sum of 100 terms of 1e-16 each
    if successes < trials:
        below = sum(exactly(k, high) for k in range(successes + 1))
        assert below == pytest.approx(0.05, rel=1e-9)


def test_known_cases():
    assert clopper_pearson(0, 300)[1] == pytest.approx(1 - 0.025 ** (1 / 300), rel=1e-12)
    assert clopper_pearson(1, 1) == [pytest.approx(0.025), 1.0]
    low, high = clopper_pearson(3, 40)
    np.testing.assert_allclose(clopper_pearson(37, 40), [1 - high, 1 - low], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((1.0, 20), TypeError, "successes must be a whole number; got 1.0"),
        ((1, True), TypeError, "trials must be a whole number; got True"),
        ((3, 2), ValueError, "successes must lie between 0 and trials.*got 3 of 2"),
        ((-1, 2), ValueError, "got -1 of 2"),
        ((0, 0), ValueError, "trials from 1 up; got 0 of 0"),
        ((1, 2, 1.0), ValueError, "confidence must lie below 1; got 1"),
        ((1, 2, 0.0), ValueError, r"confidence must lie in \(0, 1\]; got 0.0"),
    ],
)
def test_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        clopper_pearson(*arguments)
