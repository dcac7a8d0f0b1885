"""Pairs along the axis of scores: stretches of genuine scores, unit rows and samples."""

import numpy as np
import pytest
import torch

from cospair.evaluation.all_pairs import score_axis
from cospair.evaluation.all_pairs.score_axis import KEYS, ScoreAxis, checked_rows
from cospair.evaluation.inputs import unit_rows
from cospair.evaluation.verification.pairs import pair_scores
from cospair.kernels.tallies import cells_over


def set_of(n: int, identities: int):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).round(1), rng.integers(0, identities, n)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_unit_rows_made_in_pieces_are_the_same(dtype, monkeypatch):
    monkeypatch.setattr(score_axis, "CHUNK_CELLS", 10)
    x = (np.random.default_rng(0).normal(size=(23, 3)) * 5).astype(dtype)
    unit, codes = checked_rows(x, np.arange(23) + 2**60)
    assert np.array_equal(unit.numpy(), unit_rows("x", x))
    assert codes.tolist() == list(range(23))
    again, _ = checked_rows(torch.from_numpy(x).requires_grad_(dtype != np.int32), codes)
    assert torch.equal(again, unit)


@pytest.mark.parametrize("held", [1, 7, 60, 1 << 23])
def test_stretches_hold_every_genuine_score_once(held, monkeypatch):
    monkeypatch.setattr(score_axis, "HELD", held)
    x, labels = set_of(80, 6)
    axis = ScoreAxis(*checked_rows(x, labels), None)
    pairs = pair_scores(x, labels)
    expected = np.sort(pairs.scores[pairs.same] * KEYS).round()
    assert (axis.genuine_pairs, axis.impostor_pairs) == (len(expected), (~pairs.same).sum())
    whole = cells_over(-KEYS, KEYS, 1000)
    stretches = list(axis.genuine(-KEYS, KEYS + 1, axis.genuine_pairs, whole))
    found = [np.repeat(s.keys, s.counts) for s in reversed(stretches)]
    assert np.array_equal(np.concatenate(found), expected)
    for stretch in stretches:
        assert stretch.counts.sum() <= held or len(stretch.keys) == 1
        assert ((stretch.keys >= stretch.low) & (stretch.keys < stretch.high)).all()
    lows = [s.low for s in stretches]
    assert lows == sorted(lows, reverse=True)


def test_a_sample_is_of_impostors_and_repeats_itself():
    x, labels = set_of(50, 3)
    axis = ScoreAxis(*checked_rows(x, labels), None)
    guess = axis.sampled()
    scores = pair_scores(x, labels)
    keys = (scores.scores[~scores.same] * KEYS).round()
    assert np.isin(guess.impostors, np.concatenate([keys - 1, keys, keys + 1])).all()
    assert np.array_equal(guess.impostors, np.sort(guess.impostors))
    assert np.array_equal(guess.impostors, axis.sampled().impostors)
    assert not np.array_equal(guess.impostors, axis.sampled(seed=1).impostors)
    assert (guess.lowest, guess.highest) == (guess.impostors[0], guess.impostors[-1])


def test_one_identity_has_no_impostors_to_sample():
    axis = ScoreAxis(*checked_rows(np.eye(4), np.zeros(4, int)), None)
    assert (axis.genuine_pairs, axis.impostor_pairs) == (6, 0)
    assert len(axis.sampled().impostors) == 0
