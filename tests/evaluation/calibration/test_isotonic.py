from fractions import Fraction

import numpy as np
import pytest
from evaluation.examples import scored_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from cospair.evaluation.calibration.isotonic import counted_steps, least_cost, pooled


def one_by_one(impostors, genuine):
    """Pool adjacent violators as the textbook does, in fractions."""
    blocks = []
    for i, g in zip(impostors.tolist(), genuine.tolist(), strict=True):
        blocks.append([Fraction(i), Fraction(g)])
        while len(blocks) > 1 and share(blocks[-2]) > share(blocks[-1]):
            i, g = blocks.pop()
            blocks[-1][0] += i
            blocks[-1][1] += g
    return blocks


def share(block):
    return block[1] / (block[0] + block[1])


steps = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(any), min_size=1, max_size=30
)


@settings(deadline=None, max_examples=300)
@given(steps)
def test_blocks_are_those_of_pooling_one_by_one(counts):
    impostors, genuine = np.array(counts, dtype=float).T
    blocks = pooled(impostors, genuine)
    assert np.diff(blocks.starts).min(initial=1) > 0
    sizes = np.diff(np.append(blocks.starts, len(counts)))
    found = np.repeat(blocks.genuine / (blocks.genuine + blocks.impostors), sizes)
    shares = [float(share(block)) for block in one_by_one(impostors, genuine)]
    assert sorted(set(found.tolist())) == sorted(set(shares))
    pairs = genuine + impostors
    fitted = IsotonicRegression().fit(np.arange(len(counts)), genuine / pairs, pairs)
    # theirs adds rounded shares
    np.testing.assert_allclose(found, fitted.predict(np.arange(len(counts))), atol=1e-12)


def test_a_chain_of_pooling():
    """Each pass pools one more block: a low step at the top of a rising slope."""
    genuine = np.append(np.arange(1.0, 41), 0)
    impostors = np.append(np.full(40, 40.0), 4000)
    blocks = pooled(impostors, genuine)
    assert len(blocks.starts) == len(one_by_one(impostors, genuine))
    assert blocks.genuine.sum() == genuine.sum()


def test_steps_without_pairs_are_left_out():
    blocks = pooled(np.array([0.0, 2, 0, 1]), np.array([0.0, 1, 0, 3]))
    assert blocks.starts.tolist() == [1, 3]
    assert blocks.genuine.tolist() == [1, 3]


def test_steps_by_hand():
    distinct, impostors, genuine = counted_steps(
        np.array([0.5, -1.0, 0.5, 0.5]), np.array([True, False, False, True])
    )
    assert distinct.tolist() == [-1.0, 0.5]
    assert impostors.tolist() == [1, 1]
    assert genuine.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("impostors", "genuine", "bits"),
    [
        ([1, 0], [0, 1], 0.0),  # parted
        ([0, 1], [1, 0], 1.0),  # upside down: no rising map helps
        ([3], [5], 1.0),  # all tied
        # half of each kind is told apart, the other half not at all
        ([1, 1, 0], [0, 1, 1], 0.5),
    ],
)
def test_least_cost_by_hand(impostors, genuine, bits):
    found = least_cost(np.array(impostors, dtype=float), np.array(genuine, dtype=float))
    assert found == pytest.approx(bits, abs=1e-15)


@settings(deadline=None)
@given(scored_pairs())
def test_no_rising_map_costs_less(pairs):
    """Against every rising map on a grid of log likelihood ratios, by dynamic programming."""
    _, impostors, genuine = counted_steps(*pairs)
    grid = np.linspace(-9, 9, 721)
    true = np.logaddexp(0, -grid) / genuine.sum()
    false = np.logaddexp(0, grid) / impostors.sum()
    best = np.zeros(len(grid))
    for i, g in zip(impostors, genuine, strict=True):
        best = np.minimum.accumulate(best) + i * false + g * true
    found = least_cost(impostors, genuine)
    # the grid's step of 1/40 costs at most its square over 8, its ends e^-9
    assert found - 1e-12 <= best.min() / (2 * np.log(2)) <= found + 3e-4
