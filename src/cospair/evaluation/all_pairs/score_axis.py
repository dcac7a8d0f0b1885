"""All pairs of a labelled set along the axis of scores: counted as they pass, never held.

Decisions of this file:
- A key is a score times 10^12, a whole number: scores are rounded to twelve decimals, so keys are
  scores and no comparison is left to rounding.
- Every genuine score is held once, as many as HELD at a time; impostor pairs are only counted,
  above, at and below each genuine score. What lies between two genuine scores is a straight piece
  of the ROC: its corners are all that is needed but for the threshold of one point on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Progress
from cospair.evaluation.inputs import Array, as_array, identity_labels, real_numbers, unit_rows
from cospair.evaluation.verification.pairs import SCORE_DECIMALS
from cospair.kernels import cpu_tally, reference_tally
from cospair.kernels.tallies import Cells, Request, Tallied, cells_over, sorted_sides

KEYS = 10.0**SCORE_DECIMALS
HELD = 1 << 23  # genuine scores at once: 64 MiB, and some times as much to sort and count them
CELLS = 1 << 16
LATTICE = 1 << 12  # even steps along the axis that are counted in any case
MOST_CELLS = 1 << 18  # where many genuine scores cut them
SAMPLE_CELLS = 1 << 21  # of the pilot's pairs, or a five-hundredth of all
MOST_SAMPLED = 1 << 23
CHUNK_CELLS = 1 << 22  # of the embeddings, while they become unit rows

Keys = NDArray[np.float64]
Counts = NDArray[np.int64]


class Corners(NamedTuple):
    """Points of the ROC at descending keys [t]: pairs of either kind at or above each of them."""

    keys: Keys
    impostors: Counts
    genuine: Counts


class Stretch(NamedTuple):
    """Genuine scores with keys in [low, high): distinct ones, ascending, and how often each is."""

    low: float
    high: float
    keys: Keys
    counts: Counts


class Guess(NamedTuple):
    """What a sample of the pairs shows."""

    impostors: Keys  # ascending
    lowest: float  # no more than a guess at where keys begin and end
    highest: float


def checked_rows(embeddings: Array, labels: Array) -> tuple[torch.Tensor, Counts]:
    """Unit rows, float64 [n, d], made piece by piece, and codes of the identities from 0 up."""
    given = embeddings.detach() if isinstance(embeddings, torch.Tensor) else np.asarray(embeddings)
    if given.ndim != 2 or not len(given):
        real_numbers("embeddings", given, 2)
    codes = np.unique(identity_labels("labels", labels, len(given)), return_inverse=True)[1]
    out = np.empty(tuple(given.shape))
    step = max(1, CHUNK_CELLS // max(1, given.shape[1]))
    for start in range(0, len(given), step):
        part = as_array(given[start : start + step])
        if part.dtype.kind not in "fiu" or not np.isfinite(part).all():
            real_numbers("embeddings", given, 2)  # names the row
        out[start : start + step] = unit_rows("embeddings", part)
    return torch.from_numpy(out), codes.astype(np.int64)


class ScoreAxis:
    """The pairs i < j of a set, by the kernel of this machine."""

    def __init__(self, unit: torch.Tensor, codes: Counts, progress: Progress | None) -> None:
        """Sort the rows by identity, and pack them for the kernel."""
        self.unit, self.codes = unit, torch.from_numpy(codes)
        self.side = sorted_sides(unit, self.codes)[0]
        self.kernel: Any = reference_tally if cpu_tally.unavailable() else cpu_tally
        self.packed = self.kernel.packed(self.side)
        sizes = np.bincount(codes).astype(object)  # their squares may leave int64
        pairs = len(codes) * (len(codes) - 1) // 2
        self.genuine_pairs = int((sizes * (sizes - 1)).sum() // 2)
        self.impostor_pairs = pairs - self.genuine_pairs
        self.progress = progress
        self.done = self.of = 0

    def cells(self) -> int:
        """How many cells to lay: the more, the fewer genuine scores are in each."""
        wanted = 1 << (self.genuine_pairs // 2).bit_length()
        return min(max(wanted, CELLS), MOST_CELLS)

    def plan(self, sweeps: int) -> None:
        """Say how many sweeps over the impostors are to come, for the progress."""
        self.of += 1000 * sweeps

    def finish(self) -> None:
        """Say that all sweeps are done, however many were planned."""
        if self.progress is not None:
            self.progress(self.done, self.done)

    def count(self, request: Request) -> Tallied:
        """Count the pairs of a kind; only sweeps over the impostors show in the progress."""
        before = self.done

        def step(done: int, of: int) -> None:
            self.done = before + 1000 * done // of
            if self.progress is not None:
                self.progress(self.done, max(self.of, self.done))

        shown = None if request.genuine else step
        return self.kernel.tally(self.side, None, self.packed, request, shown)

    def sampled(self, seed: int = 0) -> Guess:
        """Keys of some impostor pairs, in which every row takes part if there are few enough."""
        rng = np.random.default_rng(seed)
        n = len(self.codes)
        tall, wide = min(256, n), min(64, n)
        found = []
        size = min(max(SAMPLE_CELLS, n * n // 1000), MOST_SAMPLED, 8 * n * n)
        for _ in range(max(1, size // (tall * wide))):
            rows = torch.from_numpy(rng.integers(n, size=tall))
            columns = torch.from_numpy(rng.integers(n, size=wide))
            keys = (self.unit[rows] @ self.unit[columns].T).clamp_(-1, 1).mul_(KEYS).round_()
            found.append(keys[self.codes[rows, None] != self.codes[columns]].numpy())
        keys = np.sort(np.concatenate(found))
        if not len(keys):
            return Guess(keys, -KEYS, KEYS)
        return Guess(keys, float(keys[0]), float(keys[-1]))

    def genuine(self, low: float, high: float, pairs: int, cells: Cells) -> Iterator[Stretch]:
        """All genuine scores with keys in [low, high), from the highest stretch to the lowest.

        Between two stretches there are none.
        """
        if high - low == 1:
            yield Stretch(low, high, np.array([low]), np.array([pairs]))
            return
        if pairs <= HELD:
            request = Request(True, KEYS, _edges([low]), cells, ((low, high),), pairs)
            keys = self.count(request).windows[0].numpy()
            keys, counts = np.unique(keys, return_counts=True)
            yield Stretch(low, high, keys, counts)
            return
        edges = np.unique(np.linspace(low, high, LATTICE + 1).round())
        within = cells_over(low, high, CELLS)
        counts = self.count(Request(True, KEYS, _edges(edges), within)).counts.numpy()
        counts = counts[1:-2:2] + counts[2:-1:2]  # each edge with what is above it
        for first, last, held in reversed(list(_runs(counts))):
            yield from self.genuine(edges[first], edges[last], held, within)

    def corners(self, stretch: Stretch, above: int, request: Request) -> tuple[Corners, Tallied]:
        """Corners of the ROC in a stretch, given the genuine pairs above it; and the counts."""
        edges = np.unique(np.append(stretch.keys, stretch.low))
        tallied = self.count(request._replace(genuine=False, edges=_edges(edges)))
        starts = request.cells.starts().numpy()[1:]  # the first cell holds whatever is lower
        at_least = _from_the_top(tallied.counts)
        keys = np.concatenate([edges, edges + 1, starts])
        impostors = np.concatenate(
            [at_least[1::2], at_least[2::2], _from_the_top(tallied.cells)[1:]]
        )
        inside = (keys >= stretch.low) & (keys < stretch.high)
        keys, which = np.unique(keys[inside], return_index=True)
        held = np.append(_from_the_top(torch.from_numpy(stretch.counts)), 0)
        genuine = above + held[np.searchsorted(stretch.keys, keys)]
        return Corners(keys[::-1], impostors[inside][which][::-1], genuine[::-1]), tallied


def _from_the_top(counts: torch.Tensor) -> Counts:
    """How many there are at each place and above it."""
    return np.cumsum(counts.numpy()[::-1])[::-1]


def _edges(keys: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(keys, np.float64))


def _runs(counts: Counts) -> Iterator[tuple[int, int, int]]:
    """First and last edge of runs of bins that hold at most HELD pairs together, or one bin."""
    first, last, held = 0, 0, 0
    for at in np.flatnonzero(counts).tolist():
        if held and held + int(counts[at]) > HELD:
            yield first, last, held
            held = 0
        first = first if held else at
        last, held = at + 1, held + int(counts[at])
    if held:
        yield first, last, held
