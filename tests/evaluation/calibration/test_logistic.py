import numpy as np
import pytest
from evaluation.examples import scored_pairs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from cospair.evaluation import calibrate
from cospair.evaluation.calibration.logistic import log_odds, odds_at_ends, separable, shares_of


def some_pairs(seed=0, genuine=60, impostors=400, apart=1.5):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(apart, 1, genuine), rng.normal(0, 1, impostors)])
    return scores / 5, np.arange(len(scores)) < genuine


@pytest.mark.parametrize("prior", [0.5, 0.01, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_line_is_scikit_learns_unpenalised_one(prior, seed):
    scores, same = some_pairs(seed)
    weights = np.where(same, prior / same.sum(), (1 - prior) / (~same).sum()) * len(same)
    reference = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
    reference.fit(scores[:, None], same, weights)
    ends = np.array([[scores.min()], [scores.max()]])
    # lbfgs stops some 1e-6 short of the optimum
    np.testing.assert_allclose(
        odds_at_ends(scores, same, prior), reference.decision_function(ends), atol=1e-4
    )


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from([0.5, 0.03]))
def test_gradient_vanishes(pairs, prior):
    """At the optimum the weighted mean of what is missed is 0, also times the score."""
    scores, same = pairs
    assume(scores.min() < scores.max())
    low, high = odds_at_ends(scores, same, prior)
    odds = low + (high - low) * (scores - scores.min()) / (scores.max() - scores.min())
    genuine, impostors = same.sum(), (~same).sum()
    targets = same.astype(float)
    if separable(scores, same):
        targets = np.where(same, (genuine + 1) / (genuine + 2), 1 / (impostors + 2))
    weights = np.where(same, prior / genuine, (1 - prior) / impostors)
    miss = weights * (1 / (1 + np.exp(-odds)) - targets)
    assert abs(miss.sum()) < 1e-11  # Newton ends at a decrement of 1e-24
    assert abs(miss @ scores) < 1e-11


@pytest.mark.parametrize(
    ("genuine", "impostors", "parted"),
    [
        ([0.5, 0.9], [0.1, 0.4], True),
        ([0.5, 0.9], [0.1, 0.5], True),  # tied where they meet: still any steepness will do
        ([0.1, 0.2], [0.5, 0.9], True),
        ([0.5, 0.9], [0.1, 0.6], False),
        ([0.5], [0.5], True),
        ([0.4, 0.6], [0.5], False),
    ],
)
def test_separable(genuine, impostors, parted):
    scores = np.array(genuine + impostors)
    same = np.arange(len(scores)) < len(genuine)
    assert separable(scores, same) is parted


def test_platts_targets_where_parted():
    """One score a kind: the line goes through the log odds of both targets."""
    scores, same = np.array([0.9] * 3 + [0.2] * 6), np.arange(9) < 3
    low, high = odds_at_ends(scores, same, 0.5)
    assert low == pytest.approx(np.log((1 / 8) / (7 / 8)), rel=1e-9)
    assert high == pytest.approx(np.log((4 / 5) / (1 / 5)), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_shift_and_scale_change_nothing(scale):
    scores, same = some_pairs()
    expected = odds_at_ends(scores, same, 0.5)
    np.testing.assert_allclose(odds_at_ends(scale * (scores + 7), same, 0.5), expected, rtol=1e-7)


def test_nearly_parted_pairs_give_a_steep_finite_line():
    scores = np.concatenate([np.linspace(0.5, 1, 2000), np.linspace(-1, 0.5 + 1e-7, 3000)])
    low, high = odds_at_ends(scores, np.arange(5000) < 2000, 0.5)
    assert -np.inf < low < -100
    assert 100 < high < np.inf


def test_shares_and_odds_go_back_and_forth():
    odds = np.array([-800.0, -3.0, 0.0, 2.5, 800.0])
    shares = shares_of(odds)
    assert (shares[0], shares[2], shares[4]) == (0.0, 0.5, 1.0)
    np.testing.assert_allclose(log_odds(shares[1:4]), odds[1:4], rtol=1e-12)


@pytest.mark.parametrize("outlier", [-1e8, -1e9, -1e10, 1e12])
def test_a_score_of_another_scale_is_refused(outlier):
    scores = np.array([0.9, 0.6, 0.5, 0.4, 0.3, 0.2, outlier])
    same = np.array([True, False, True, False, True, False, False])
    with pytest.raises(ValueError, match="scores must lie on one scale"):
        calibrate(scores, same)
