from itertools import accumulate

import numpy as np
import pytest
from evaluation.examples import scored_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.evaluation.verification.curves import (
    accepted_at,
    area,
    counted_curve,
    equal_error,
    equal_error_threshold,
    last_within,
    most_accurate,
    operating_point,
    tar_within,
)


def test_counts_by_hand():
    scores, same = np.array([0.4, 0.9, 0.4, 0.1]), np.array([True, True, False, False])
    curve = counted_curve(scores, same)
    assert curve.thresholds.tolist() == [np.nextafter(0.9, 1), 0.9, 0.4, 0.1]
    assert (curve.impostors.tolist(), curve.genuine.tolist()) == ([0, 0, 1, 2], [0, 1, 2, 2])
    assert curve.impostors.dtype.kind == curve.genuine.dtype.kind == "i"
    # steps at (1/2, 1) and (1, 1): the rectangle 1/2 and the triangle's half of the tied group
    assert area(curve.impostors, curve.genuine) == 0.875
    # FAR - FRR runs -1, -1/2, 1/2: it is 0 half way from 0.9 to 0.4, at FAR 1/4
    assert equal_error(curve.impostors, curve.genuine) == 0.25
    np.testing.assert_allclose(equal_error_threshold(curve), 0.65, rtol=1e-15)


@pytest.mark.parametrize(
    ("far", "at", "tar", "enough"), [(0.49, 1, 0.5, False), (0.5, 2, 1.0, True), (1, 3, 1.0, True)]
)
def test_points_within_a_far_by_hand(far, at, tar, enough):
    curve = counted_curve(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    assert last_within(curve.impostors, far) == at
    assert tar_within(curve.impostors, curve.genuine, far) == tar
    point = operating_point(curve, far)
    assert point["tar"] == (tar if enough else None)
    assert point["threshold"] == (curve.thresholds[at] if enough else None)
    assert point["achieved_far"] == (curve.impostors[at] / 2 if enough else None)
    assert (point["note"] == "") == enough


@settings(deadline=None)
@given(st.integers(2, 9), st.data())
def test_curves_side_by_side_are_curves_one_by_one(points, data):
    """Counts [t, b] against b curves [t]; as in a resample, a row may accept nobody new."""
    steps = st.lists(st.integers(0, 5), min_size=points, max_size=points).filter(any)
    drawn = [[data.draw(steps) for _ in range(3)] for _ in range(2)]
    impostors, genuine = (
        np.array([[0, *accumulate(column)] for column in kind]).T.astype(float) for kind in drawn
    )
    for figure in (area, equal_error, lambda i, g: tar_within(i, g, 0.3)):
        alone = [figure(impostors[:, b], genuine[:, b]) for b in range(3)]
        np.testing.assert_array_equal(figure(impostors, genuine), alone)


@settings(deadline=None)
@given(scored_pairs(), st.data())
def test_counts_stand_for_so_many_equal_pairs(pairs, data):
    scores, same = pairs
    times = st.lists(st.integers(1, 4), min_size=len(scores), max_size=len(scores))
    counts = np.array(data.draw(times))
    found = counted_curve(scores, same, counts)
    expected = counted_curve(np.repeat(scores, counts), np.repeat(same, counts))
    for kind, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(kind, other)
        assert kind.dtype == other.dtype


@settings(deadline=None)
@given(scored_pairs())
def test_curves_count_each_threshold_afresh(pairs):
    scores, same = pairs
    curve = counted_curve(scores, same)
    for threshold, impostors, genuine in zip(*curve, strict=True):
        assert impostors == (scores[~same] >= threshold).sum()
        assert genuine == (scores[same] >= threshold).sum()
    assert set(curve.thresholds[1:].tolist()) == set(scores.tolist())
    right = [((scores >= t) == same).sum() for t in curve.thresholds]
    assert most_accurate(curve) == right.index(max(right))


@settings(deadline=None)
@given(scored_pairs(), st.integers(-16, 16))
def test_every_threshold_decides_like_a_point_of_the_curve(pairs, sixteenths):
    scores, same = pairs
    curve, threshold = counted_curve(scores, same), sixteenths / 16
    at = accepted_at(curve, np.array(threshold))
    assert curve.genuine[at] + curve.impostors[at] == (scores >= threshold).sum()


def test_counts_of_more_pairs_than_int32_or_float32_hold():
    counts = np.array([2**40 + 1, 2**41 + 1])
    curve = counted_curve(np.array([0.5, 0.25]), np.array([True, False]), counts)
    assert curve.genuine.tolist() == [0, 2**40 + 1, 2**40 + 1]
    assert curve.impostors.tolist() == [0, 0, 2**41 + 1]
