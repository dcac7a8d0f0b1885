"""Resampled counts: how often each identity is drawn, and which pairs are accepted then.

Decisions of this file:
- A resample is one row of multiplicities; every figure comes from weighted counts, no pair is ever
  copied.
- Pairs of the same two identities that fall between the same two genuine scores weigh alike in
  every resample, so they are merged once, before the resampling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Cells of one block of weights, 32 MiB.
BLOCK_CELLS = 1 << 22


class Merged(NamedTuple):
    """Merged pairs of one kind, sorted by slot, and how many rows lie up to each slot's end."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    copies: NDArray[np.float64]
    ends: NDArray[np.int64]


def multiplicities(
    people: int, rows: int, *, resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield blocks [b, people] of how often each identity was drawn; b * rows stays small."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_CELLS // max(1, rows))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(people, size=(size, people)) + people * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * people)
        yield times.reshape(size, people).astype(np.float64)


def slots_of(scores: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Slot of each score among the u distinct genuine scores `steps` (ascending), from the top.

    Slot 2i lies strictly above the i-th highest step, slot 2i + 1 is tied with it, slot 2u lies
    below all. Between two steps only impostors are accepted, a straight piece of the ROC: its inner
    points can go.
    """
    below_or_at = np.searchsorted(steps, scores, side="right")
    tied = below_or_at - np.searchsorted(steps, scores, side="left")
    return 2 * (len(steps) - below_or_at) + tied


def merged(slots: NDArray[np.int64], codes: NDArray[np.int64], last_slot: int) -> Merged:
    """Merge pairs that lie in one slot and belong to the same two identities."""
    low, high = codes.min(axis=1), codes.max(axis=1)
    people = int(codes.max(initial=0)) + 1
    key = (slots * people + low) * people + high
    distinct, copies = np.unique(key, return_counts=True)
    slot = distinct // (people * people)
    ends = np.searchsorted(slot, np.arange(last_slot + 1), side="right")
    low, high = distinct // people % people, distinct % people
    return Merged(low, high, copies.astype(np.float64), np.append(0, ends))


def accepted_counts(
    impostors: Merged, genuine: Merged, times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Impostors and genuine pairs accepted down to each slot, [slots + 1, b] each."""
    by_person = np.ascontiguousarray(times.T)  # rows are gathered whole
    meetings = by_person[impostors.first] * impostors.copies[:, None]
    meetings *= by_person[impostors.second]
    own = by_person[genuine.first] * genuine.copies[:, None]
    return _accumulated(meetings, impostors.ends), _accumulated(own, genuine.ends)


def _accumulated(weights: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of the weights up to each end; float64 sums of whole numbers."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums[ends]
