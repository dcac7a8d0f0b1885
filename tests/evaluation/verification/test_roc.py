from fractions import Fraction
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from evaluation.examples import scored_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from cospair.evaluation import (
    auc,
    equal_error_rate,
    roc_curve,
    tar_at_far,
    verification_figures,
)
from cospair.evaluation.verification.roc import best_accuracy, det_curve

# a handful of float64 roundings on shares in [0, 1]
ROUNDING = 1e-15


def exact_points(scores, same):
    """(threshold, FAR, TAR) as fractions, highest threshold first, by counting each one afresh."""
    genuine, impostors = scores[same], scores[~same]
    points = [(None, Fraction(0), Fraction(0))]
    for t in sorted(set(scores.tolist()), reverse=True):
        far = Fraction(int((impostors >= t).sum()), len(impostors))
        tar = Fraction(int((genuine >= t).sum()), len(genuine))
        points.append((t, far, tar))
    return points


def exact_auc(scores, same):
    """P(genuine > impostor) + P(equal) / 2 over all combinations."""
    wins = [Fraction(2 * int(g > i) + int(g == i), 2) for g in scores[same] for i in scores[~same]]
    return sum(wins, Fraction(0)) / len(wins)


def exact_eer(scores, same):
    """Where the polyline through (FAR, FRR) meets FAR = FRR."""
    points = exact_points(scores, same)
    for (_, far0, tar0), (_, far1, tar1) in pairwise(points):
        gap0, gap1 = far0 - (1 - tar0), far1 - (1 - tar1)
        if gap0 < 0 <= gap1:
            return far0 + (far1 - far0) * (-gap0) / (gap1 - gap0)
    raise AssertionError("the two ends lie on both sides")


@settings(deadline=None)
@given(scored_pairs())
def test_roc_is_scikit_learns(pairs):
    scores, same = pairs
    curve = roc_curve(scores, same)
    far, tar, thresholds = metrics.roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_array_equal(curve["far"], far)
    np.testing.assert_array_equal(curve["tar"], tar)
    np.testing.assert_array_equal(curve["threshold"][1:], thresholds[1:])
    assert curve["threshold"][0] == np.nextafter(scores.max(), np.inf)


@settings(deadline=None)
@given(scored_pairs())
def test_det_is_scikit_learns_and_the_ends_it_leaves_out(pairs):
    scores, same = pairs
    curve = det_curve(scores, same)
    far, frr, thresholds = (part[::-1] for part in metrics.det_curve(same, scores))
    # scikit-learn starts at the last point with FAR 0 and stops at the first with FRR 0
    start = int((curve["far"] == 0).sum()) - 1
    part = slice(start, start + len(far))
    np.testing.assert_array_equal(curve["far"][part], far)
    np.testing.assert_array_equal(curve["frr"][part], frr)
    finite = np.isfinite(thresholds)  # scikit-learn's "reject all" is infinite
    np.testing.assert_array_equal(curve["threshold"][part][finite], thresholds[finite])
    assert (curve["frr"][part.stop :] == 0).all()
    roc = roc_curve(scores, same)
    for name in ("far", "threshold"):
        np.testing.assert_array_equal(curve[name], roc[name])


@settings(deadline=None)
@given(scored_pairs())
def test_deviates_are_the_normal_distributions(pairs):
    scores, same = pairs
    curve, normal = det_curve(scores, same), NormalDist()
    for name, total in (("far", (~same).sum()), ("frr", same.sum())):
        half = 1 / (2 * total)  # of a pair
        drawn = np.clip(curve[name], half, 1 - half)
        back = [normal.cdf(deviate) for deviate in curve[f"{name}_deviate"]]
        np.testing.assert_allclose(back, drawn, rtol=0, atol=ROUNDING)
        assert np.isfinite(curve[f"{name}_deviate"]).all()


@settings(deadline=None)
@given(scored_pairs())
def test_best_accuracy_by_counting(pairs):
    scores, same = pairs
    strictest_first = [np.nextafter(scores.max(), np.inf), *sorted(set(scores))[::-1]]
    right = [Fraction(int(((scores >= t) == same).sum()), len(same)) for t in strictest_first]
    best = right.index(max(right))
    assert best_accuracy(scores, same) == {
        "accuracy": float(right[best]),
        "threshold": strictest_first[best],
    }


@settings(deadline=None)
@given(scored_pairs())
def test_auc_is_exact(pairs):
    assert auc(*pairs) == float(exact_auc(*pairs))
    # scikit-learn adds trapezoids of rounded rates
    np.testing.assert_allclose(auc(*pairs), metrics.roc_auc_score(pairs[1], pairs[0]), atol=1e-14)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scikit_learn_agrees_on_many_distinct_scores(seed):
    rng = np.random.default_rng(seed)
    same = rng.random(3000) < 0.2
    same[:2] = True, False
    scores = np.tanh(rng.normal(size=3000) + same)
    # the trapezoids of 3,000 rounded rates
    np.testing.assert_allclose(auc(scores, same), metrics.roc_auc_score(same, scores), atol=1e-13)


@settings(deadline=None)
@given(scored_pairs())
def test_equal_error_rate_is_exact(pairs):
    assert equal_error_rate(*pairs)["eer"] == float(exact_eer(*pairs))


@pytest.mark.parametrize(
    ("scores", "same", "eer", "threshold"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.0, 0.8),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 1.0, 0.8),
        ([0.5, 0.5, 0.5], [1, 0, 0], 0.5, 0.5),  # one group: half way from reject all
        ([0.9, 0.6, 0.5, 0.1], [1, 0, 1, 0], 0.5, 0.6),
        # (FAR, FRR) runs (0, 1/2), (1/2, 0) between 0.75 and 0.25: it meets FAR = FRR half way
        ([0.75, 0.25, 0.25, 0.0], [1, 1, 0, 0], 0.25, 0.5),
    ],
)
def test_equal_error_rate_by_hand(scores, same, eer, threshold):
    found = equal_error_rate(scores, same)
    np.testing.assert_allclose(found["eer"], eer, atol=ROUNDING)
    np.testing.assert_allclose(found["threshold"], threshold, atol=ROUNDING)


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from([0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 1.0]))
def test_tar_at_far_by_counting(pairs, far):
    scores, same = pairs
    found = tar_at_far(scores, same, far)
    impostors = int((~same).sum())
    if Fraction(1, impostors) > Fraction(far).limit_denominator(1000):
        assert (found["tar"], found["threshold"], found["achieved_far"]) == (None, None, None)
        assert found["note"].startswith("insufficient data: ")
        return
    allowed = Fraction(far).limit_denominator(1000)
    t, reached, tar = [p for p in exact_points(scores, same) if p[1] <= allowed][-1]
    assert (found["tar"], found["achieved_far"], found["note"]) == (float(tar), float(reached), "")
    assert found["threshold"] == (np.nextafter(scores.max(), np.inf) if t is None else t)
    assert found["impostor_pairs"] == impostors


@pytest.mark.parametrize(
    ("far", "impostors", "enough"),
    [
        (0.01, 99, False),
        (0.01, 100, True),
        (0.001, 999, False),
        (0.001, 1000, True),
        (1, 1, True),
        (1 / 49, 49, True),
    ],
)
def test_tar_at_far_needs_one_false_accept(far, impostors, enough):
    scores = np.append(0.5, np.linspace(-1, 1, impostors))
    same = np.append(True, np.zeros(impostors, bool))
    assert (tar_at_far(scores, same, far)["tar"] is not None) == enough


@pytest.mark.parametrize("accepted", range(1, 100))
def test_a_share_that_is_met_exactly_counts_as_met(accepted):
    scores = np.append(np.arange(100, 0, -1.0), 0.5)
    same = np.append(np.zeros(100, bool), True)
    assert tar_at_far(scores, same, float(f"0.{accepted:02d}"))["achieved_far"] == accepted / 100


def test_ties_at_the_top_leave_reject_all():
    found = tar_at_far([0.9, 0.9, 0.9, 0.1], [True, False, False, False], 0.5)
    assert (found["tar"], found["achieved_far"]) == (0.0, 0.0)
    assert found["threshold"] == np.nextafter(0.9, 1)


@pytest.mark.parametrize("far", [0, -0.1, 1.5, float("nan")])
def test_tar_at_far_refuses(far):
    with pytest.raises(ValueError, match=r"far must lie in \(0, 1\]; got"):
        tar_at_far([0.1, 0.2], [True, False], far)
    with pytest.raises(ValueError, match=r"each far must lie in \(0, 1\]; got"):
        verification_figures(np.eye(2), [0, 1], far=(0.1, far))


def rates(scores, same):
    points = [tar_at_far(scores, same, f) for f in (0.1, 0.3, 0.5)]
    return [
        roc_curve(scores, same)["far"].tolist(),
        roc_curve(scores, same)["tar"].tolist(),
        auc(scores, same),
        equal_error_rate(scores, same)["eer"],
        det_curve(scores, same)["far_deviate"].tolist(),
        best_accuracy(scores, same)["accuracy"],
        [(p["tar"], p["achieved_far"]) for p in points],
    ]


@settings(deadline=None)
@given(scored_pairs(), st.integers(-5, 5), st.randoms(use_true_random=False))
def test_shift_monotone_map_and_order_change_nothing(pairs, shift, random):
    scores, same = pairs
    figures = rates(scores, same)
    assert rates(scores + shift, same) == figures  # eighths and integers add without rounding
    assert rates(np.exp(3 * scores), same) == figures
    assert rates(scores**3 - 1, same) == figures
    order = np.array(random.sample(range(len(scores)), len(scores)))
    assert rates(scores[order], same[order]) == figures
