from unittest import mock

import numpy as np
import pytest
from evaluation.examples import scored_people
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.evaluation import identity_bootstrap
from cospair.evaluation.bootstrap import resampling
from cospair.evaluation.bootstrap.resampling import (
    accepted_counts,
    merged_meetings,
    merged_own,
    multiplicities,
    slots_of,
)
from cospair.evaluation.verification.summary import resampled_figures


def figures(impostors, genuine):
    return resampled_figures(impostors, genuine, (0.1, 0.01))


def test_copies_of_an_identity_never_meet():
    """The weights of each resample against a list of the copies drawn."""
    scores, identities, _ = scored_people(people=3, each=3)
    seen = []

    def keep(impostors, genuine):
        seen.append((impostors, genuine))
        return {"none": np.arange(impostors.shape[1], dtype=float)}

    draws = np.random.default_rng(2).integers(3, size=(100, 3))
    identity_bootstrap(scores, identities, keep, resamples=100, seed=2)
    impostors = np.concatenate([block[0][-1] for block in seen[1:]])
    genuine = np.concatenate([block[1][-1] for block in seen[1:]])
    for drawn, i, g in zip(draws, impostors, genuine, strict=True):
        copies = [(copy, person) for copy, person in enumerate(drawn)]
        meetings = sum(a[1] != b[1] for k, a in enumerate(copies) for b in copies[:k])
        assert (i, g) == (9 * meetings, 3 * len(copies))


def test_block_size_changes_nothing(monkeypatch):
    scores, identities, _ = scored_people()
    expected = identity_bootstrap(scores, identities, figures, resamples=101)
    for cells in (1, 3000, 10**5):
        monkeypatch.setattr(resampling, "BLOCK_CELLS", cells)
        assert identity_bootstrap(scores, identities, figures, resamples=101) == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("CHUNK_ROWS", (1, 7, 100)),
        ("NARROW_PAIRS", (1, 3, 20)),
        ("NARROW_TIMES", (0,)),
        ("MOST_AT_ONCE", (1, 5)),
    ],
)
def test_size_of_the_parts_changes_nothing(monkeypatch, name, values):
    scores, identities, _ = scored_people(decimals=1)
    expected = identity_bootstrap(scores, identities, figures, resamples=101)
    for value in values:
        monkeypatch.setattr(resampling, name, value)
        assert identity_bootstrap(scores, identities, figures, resamples=101) == expected


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([1, 3, 2**15]))
def test_counts_of_accepted_pairs_one_by_one(seed, last_slot, narrow):
    rng = np.random.default_rng(seed)
    slots, codes = rng.integers(last_slot + 1, size=40), rng.integers(5, size=(40, 2))
    copies, times = rng.integers(1, 9, size=40), rng.integers(4, size=(6, 5)).astype(float)
    same = codes[:, 0] == codes[:, 1]
    with mock.patch.object(resampling, "NARROW_PAIRS", narrow):
        met = merged_meetings(slots[~same], codes[~same], last_slot, copies[~same])
    own = merged_own(slots[same], codes[same, 0], last_slot, copies[same])
    impostors, genuine = accepted_counts(met, own, times)
    assert impostors.shape == genuine.shape == (last_slot + 2, 6)
    for end in range(last_slot + 2):
        inside = slots < end
        for b, m in enumerate(times):
            products = copies * m[codes[:, 0]] * m[codes[:, 1]]
            assert impostors[end, b] == products[inside & ~same].sum()
            assert genuine[end, b] == (copies * m[codes[:, 0]])[inside & same].sum()


def test_sums_beyond_float32_are_exact():
    """300 meetings of 2^20 pairs, all in one slot, and one pair more."""
    codes = np.stack([np.arange(300), np.full(300, 300)], axis=1)
    counts = np.full(300, 2**20)
    counts[7] += 1
    met = merged_meetings(np.zeros(300, int), codes, 0, counts)
    own = merged_own(np.zeros(1, int), np.zeros(1, int), 0, None)
    impostors, _ = accepted_counts(met, own, np.full((1, 301), 3.0))
    assert impostors[-1].tolist() == [9 * (300 * 2**20 + 1)]


def test_draws_of_a_resample_add_up_to_the_people():
    blocks = list(multiplicities(7, 3 * resampling.BLOCK_CELLS // 10, resamples=101, seed=4))
    assert [len(block) for block in blocks] == [3] * 33 + [2]
    times = np.concatenate(blocks)
    drawn = np.random.default_rng(4).integers(7, size=(101, 7))
    np.testing.assert_array_equal(times, [np.bincount(row, minlength=7) for row in drawn])


def test_slots_by_hand():
    steps = np.array([0.2, 0.6])  # from the top: above, at 0.6, between, at 0.2, below
    slots = slots_of(np.array([0.9, 0.6, 0.5, 0.3, 0.2, -1.0]), steps)
    assert slots.tolist() == [0, 1, 2, 2, 3, 4]


def test_pairs_of_millions_of_people_are_kept_apart():
    people = 3_000_000
    slots = np.array([900_000, 900_000, 900_000, 2, 2])
    low = np.array([5, people - 2, 5, 5, 0])
    codes = np.stack([np.full(5, people - 1), low], axis=1)
    found = resampling.merged_meetings(slots, codes, 900_000, None)
    assert found.second.tolist() == [people - 1] * 4
    assert found.first.tolist() == [0, 5, 5, people - 2]
    assert found.copies.tolist() == [1, 1, 2, 1]
    assert found.ends[[0, 2, 3, 900_000, 900_001]].tolist() == [0, 0, 1, 1, 2]
