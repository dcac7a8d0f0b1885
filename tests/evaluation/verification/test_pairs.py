import numpy as np
import pytest
from evaluation.examples import labelled

from cospair.evaluation import pair_scores
from cospair.evaluation.verification import pairs as pairs_file

# one rounding to 12 decimals, and the rounding of the product before it
SCORE_ERROR = 6e-13


def test_pair_scores_are_cosines_of_angles():
    angles = np.deg2rad([0, 30, 90, 180])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1], [2], [30], [0.1]]
    pairs = pair_scores(rows, [0, 0, 1, 1])
    expected = [np.sqrt(3) / 2, 0, -1, 0.5, -np.sqrt(3) / 2, 0]
    np.testing.assert_allclose(pairs.scores, expected, rtol=0, atol=SCORE_ERROR)
    np.testing.assert_array_equal(pairs.same, [True, False, False, False, False, True])
    assert len(pairs) == 6


@pytest.mark.parametrize("cells", [1, 7, 40, 1 << 20])
def test_pair_scores_order_and_tiles(monkeypatch, cells):
    rows, labels = labelled(5, 3)
    whole = pair_scores(rows, labels)
    monkeypatch.setattr(pairs_file, "TILE_CELLS", cells)
    pairs = pair_scores(rows, labels)
    first, second = np.triu_indices(15, 1)
    np.testing.assert_array_equal(pairs.first, first)
    np.testing.assert_array_equal(pairs.second, second)
    np.testing.assert_array_equal(pairs.scores, whole.scores)
    np.testing.assert_array_equal(pairs.same, labels[first] == labels[second])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(pairs.scores, (unit @ unit.T)[first, second], atol=SCORE_ERROR)


def test_pair_scores_types():
    pairs = pair_scores([[1, 0], [0, 1], [1, 1]], [0, 1, 1])
    assert (pairs.scores.dtype, pairs.same.dtype) == (np.float64, np.bool_)
    assert (pairs.first.dtype, pairs.second.dtype) == (np.int64, np.int64)


@pytest.mark.parametrize("scale", [1e-320, 1e-160, 1.0, 1e160, 1e300])
def test_pair_scores_at_every_scale(scale):
    pairs = pair_scores(np.array([[3.0, 4.0], [4.0, 3.0]]) * scale, [0, 1])
    # a subnormal 3e-320 carries 12 bits
    np.testing.assert_allclose(pairs.scores, [0.96], rtol=1e-3 if scale < 1e-300 else 1e-12)


def test_zero_rows_score_zero_and_equal_rows_tie():
    rows = np.random.default_rng(3).normal(size=(40, 33))
    rows[[5, 17, 39]] = rows[5] * np.array([[1.0], [2.0], [0.5]])
    rows[8] = 0
    pairs = pair_scores(rows, np.arange(40))
    table = np.zeros((40, 40))
    table[pairs.first, pairs.second] = table[pairs.second, pairs.first] = pairs.scores
    assert table[5, 17] == table[17, 39] == 1.0
    others = np.setdiff1d(np.arange(40), [5, 17, 39])
    np.testing.assert_array_equal(table[5, others], table[17, others])
    np.testing.assert_array_equal(table[5, others], table[39, others])
    np.testing.assert_array_equal(table[8], 0)


def test_labels_beyond_float32_stay_distinct():
    big = np.array([2**24, 2**24 + 1, 2**53, 2**53 + 1, 2**24], dtype=np.int64)
    pairs = pair_scores(np.eye(5), big)
    assert pairs.same.nonzero()[0].tolist() == [3]  # rows 0 and 4
    assert (pairs.first[3], pairs.second[3]) == (0, 4)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_for_a_pair(rows):
    assert len(pair_scores(np.ones((rows, 3)), np.zeros(rows, np.int64))) == 0
