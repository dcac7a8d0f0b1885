from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.evaluation.verification.curves import Curve, area, equal_error, equal_error_threshold
from cospair.evaluation.verification.exact import share, sum_of_products

# from counts of a small set to more pairs than ten million pictures give
SIZES = (1, 5, 10**9, 5 * 10**13)


@st.composite
def counted(draw):
    """Accepted impostors and genuine pairs [t], int64, up to 10^14 of each kind."""
    points = draw(st.integers(1, 8))
    kinds = []
    for _ in range(2):
        most = draw(st.sampled_from(SIZES))
        steps = st.lists(st.integers(0, most), min_size=points, max_size=points)
        kinds.append([0, *accumulate(draw(steps.filter(any)))])
    return np.array(kinds[0]), np.array(kinds[1])


def fractions_of(impostors, genuine):
    far = [Fraction(count, int(impostors[-1])) for count in impostors.tolist()]
    return far, [Fraction(count, int(genuine[-1])) for count in genuine.tolist()]


def trapezoids(far, tar):
    return sum(
        (b - a) * (low + high) / 2 for (a, low), (b, high) in pairwise(zip(far, tar, strict=True))
    )


def crossing(far, tar, thresholds):
    points = zip(far, tar, thresholds, strict=True)
    for (far0, tar0, t0), (far1, tar1, t1) in pairwise(points):
        gap0, gap1 = far0 + tar0 - 1, far1 + tar1 - 1
        if gap0 < 0 <= gap1:
            along = -gap0 / (gap1 - gap0)
            return far0 + along * (far1 - far0), t0 + along * (t1 - t0)
    raise AssertionError("the two ends lie on both sides")


def rounded(value):
    """The float of a fraction, kept below 1 where the fraction is."""
    return min(float(value), np.nextafter(1.0, 0.0)) if value < 1 else 1.0


@settings(deadline=None)
@given(counted())
def test_figures_are_fractions_rounded_once(counts):
    far, tar = fractions_of(*counts)
    thresholds = np.arange(len(far), 0, -1) / 8
    assert area(*counts) == rounded(trapezoids(far, tar))
    error, threshold = crossing(far, tar, [Fraction(t) for t in thresholds.tolist()])
    assert equal_error(*counts) == rounded(error)
    found = equal_error_threshold(Curve(thresholds, *counts))
    # four roundings on numbers of at most 9 / 8
    np.testing.assert_allclose(found, float(threshold), rtol=0, atol=1e-15)


@settings(deadline=None)
@given(counted(), st.data())
def test_points_on_a_straight_piece_change_no_bit(counts, data):
    at = data.draw(st.integers(1, len(counts[0]) - 1))
    whole = [np.diff(kind)[at - 1] for kind in counts]
    parts = data.draw(st.integers(1, 7))
    more = [
        np.insert(kind * parts, at, [kind[at - 1] * parts + step * i for i in range(1, parts)])
        for kind, step in zip(counts, whole, strict=True)
    ]
    scaled = [kind * parts for kind in counts]
    assert area(*more) == area(*scaled) == area(*counts)
    assert equal_error(*more) == equal_error(*scaled) == equal_error(*counts)


@pytest.mark.parametrize(
    ("impostors", "genuine"), [(5 * 10**9, 5 * 10**7), (5 * 10**13, 4 * 10**12), (2**61, 2**61)]
)
def test_one_wrong_pair_among_all_is_seen(impostors, genuine):
    """A single impostor pair above a single genuine pair costs one part of the product."""
    curve = (
        np.array([0, 0, 1, 1, impostors]),
        np.array([0, genuine - 1, genuine - 1, *[genuine] * 2]),
    )
    lost = Fraction(1, impostors * genuine)
    assert area(*curve) == rounded(1 - lost) < 1
    other = np.array([0, impostors - 1, impostors - 1, impostors]), np.array([0, 0, 1, genuine])
    won = 1 - trapezoids(*fractions_of(*other))
    assert 1 > area(*other) == rounded(1 - won) > 0
    assert equal_error(*curve) > 0


def test_perfect_and_hopeless_are_exactly_that():
    assert area(np.array([0, 0, 10**13]), np.array([0, 10**13, 10**13])) == 1.0
    assert area(np.array([0, 10**13, 10**13]), np.array([0, 0, 10**13])) == 0.0


@pytest.mark.parametrize(
    ("part", "whole", "found"),
    [(1, 3, 1 / 3), (0, 7, 0.0), (10**30, 10**30, 1.0), (10**30 - 1, 10**30, 1 - 2**-53)],
)
def test_a_share_is_one_only_where_it_is(part, whole, found):
    assert share(part, whole) == found


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**61)), min_size=1, max_size=20))
def test_sums_of_products_are_those_of_python(pairs):
    steps, heights = np.array(pairs, np.int64).T
    assert sum_of_products(steps, heights) == sum(a * b for a, b in pairs)
