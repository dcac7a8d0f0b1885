"""Resampled counts: how often each identity is drawn, and which pairs are accepted then.

Decisions of this file:
- A resample is one row of multiplicities; every figure comes from weighted counts, no pair is ever
  copied.
- Pairs of the same two identities that fall between the same two genuine scores weigh alike in
  every resample, so they are merged once, before the resampling.
- Per slot the impostors are a form m' C m with C sparse: first C m, a run of second identities at a
  time, then the product with the first ones. Many resamples go through at once.
- Weights of pairs are whole numbers, and so are their sums: no order of adding changes a bit.
  Sums stay in float32 as long as whole numbers do, below 2^24, and then in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

# Cells of one block of counts, 32 MiB.
BLOCK_CELLS = 1 << 22
# Resamples and merged pairs taken at once: a gathered row of counts fills a few cache lines.
MOST_AT_ONCE = 128
CHUNK_ROWS = 1 << 14
# A sum of at most twice these pairs, of people drawn at most so often, is below 2^24.
NARROW_PAIRS = 1 << 15
NARROW_TIMES = 16


class Own(NamedTuple):
    """Merged genuine pairs by slot: identity, number, and how many rows lie up to each end."""

    person: NDArray[np.int64]
    copies: NDArray[np.float64]
    ends: NDArray[np.int64]


class Meetings(NamedTuple):
    """Merged impostor pairs by slot.

    Rows are second identities and numbers of pairs. A run is rows of one slot and first identity, a
    group runs of one slot; both end where sums would outgrow float32. `ends` counts the groups up
    to each slot's end, `chunks` are the first groups of what is taken at once.
    """

    second: torch.Tensor
    copies: torch.Tensor
    runs: torch.Tensor
    first: torch.Tensor
    groups: torch.Tensor
    ends: NDArray[np.int64]
    chunks: list[int]
    narrow: bool


def multiplicities(
    people: int, rows: int, *, resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield blocks [b, people] of how often each identity was drawn; b * rows stays small."""
    rng = np.random.default_rng(seed)
    block = min(MOST_AT_ONCE, max(1, BLOCK_CELLS // max(1, rows)))
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


def merged_own(
    slots: NDArray[np.int64],
    people: NDArray[np.int64],
    last_slot: int,
    counts: NDArray[np.int64] | None,
) -> Own:
    """Merge genuine pairs of one identity that lie in one slot."""
    width = int(people.max(initial=0)) + 1
    distinct, copies = _merged(slots * width + people, counts)
    return Own(distinct % width, copies, _ends(distinct // width, last_slot))


def merged_meetings(
    slots: NDArray[np.int64],
    codes: NDArray[np.int64],
    last_slot: int,
    counts: NDArray[np.int64] | None,
) -> Meetings:
    """Merge impostor pairs of the same two identities that lie in one slot."""
    low, high = codes.min(axis=1), codes.max(axis=1)
    width = int(codes.max(initial=0)) + 1
    # pairs of people by number: slots times people squared leaves int64 where people are millions
    met, number = np.unique(low * width + high, return_inverse=True)
    distinct, copies = _merged(slots * len(met) + number, counts)
    slot, people = distinct // max(len(met), 1), met[distinct % max(len(met), 1)]
    slot_and_first = slot * width + people // width
    part = (np.cumsum(copies) - copies) // NARROW_PAIRS
    runs = _starts(slot_and_first, part)
    slot = slot_and_first[runs] // width
    groups = _starts(slot, part[runs])
    taken = _starts(runs[groups] // CHUNK_ROWS)
    return Meetings(
        torch.from_numpy(people % width),
        torch.from_numpy(copies),
        torch.from_numpy(runs),
        torch.from_numpy(slot_and_first[runs] % width),
        torch.from_numpy(groups),
        _ends(slot[groups], last_slot),
        taken.tolist(),
        bool(copies.max(initial=0) <= NARROW_PAIRS),
    )


def accepted_counts(
    impostors: Meetings, genuine: Own, times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Impostors and genuine pairs accepted down to each slot, [slots + 1, b] each."""
    by_person = np.ascontiguousarray(times.T)  # rows are gathered whole
    own = by_person[genuine.person] * genuine.copies[:, None]
    return _accumulated(_met(impostors, by_person), impostors.ends), _accumulated(own, genuine.ends)


def _met(pairs: Meetings, by_person: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of the impostor pairs of each group, [groups, b]."""
    narrow = pairs.narrow and by_person.max() <= NARROW_TIMES
    drawn = torch.from_numpy(by_person).to(torch.float32 if narrow else torch.float64)
    copies = pairs.copies.to(drawn.dtype)
    met = torch.empty(len(pairs.groups), drawn.shape[1], dtype=torch.float64)
    ends = [*pairs.chunks[1:], len(pairs.groups)]
    for start, end in zip(pairs.chunks, ends, strict=True):
        groups = pairs.groups[start:end]
        runs = slice(int(groups[0]), _next(pairs.groups, end, len(pairs.runs)))
        rows = slice(int(pairs.runs[runs.start]), _next(pairs.runs, runs.stop, len(pairs.second)))
        sums = _sums(drawn, pairs.second[rows], pairs.runs[runs] - rows.start, copies[rows])
        sums *= drawn[pairs.first[runs]]
        every = torch.arange(len(sums))
        met[start:end] = _sums(sums, every, groups - runs.start, None)
    return met.numpy()


def _sums(
    table: torch.Tensor, rows: torch.Tensor, starts: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """Sums of the table's rows, weighed, from each start to the next."""
    return torch.nn.functional.embedding_bag(
        rows, table, starts, mode="sum", per_sample_weights=weights
    )


def _next(starts: torch.Tensor, at: int, last: int) -> int:
    return int(starts[at]) if at < len(starts) else last


def _merged(
    keys: NDArray[np.int64], counts: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Distinct keys, ascending, and how many pairs have each."""
    if counts is None:
        distinct, copies = np.unique(keys, return_counts=True)
        return distinct, copies.astype(np.float64)
    distinct, place = np.unique(keys, return_inverse=True)
    return distinct, np.bincount(place, counts, minlength=len(distinct)).astype(np.float64)


def _starts(*keys: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Where one of the keys changes, 0 included; none of no rows."""
    if not len(keys[0]):
        return np.empty(0, np.int64)
    changed = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(np.append(True, changed))


def _ends(slots: NDArray[np.int64], last_slot: int) -> NDArray[np.int64]:
    """How many of the ascending slots lie up to each slot's end, 0 first."""
    return np.append(0, np.searchsorted(slots, np.arange(last_slot + 1), side="right"))


def _accumulated(weights: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of the weights up to each end; float64 sums of whole numbers."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums[ends]
