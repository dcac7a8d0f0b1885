"""Probes of an open-set gallery: the best score of each, the rank of its mate, and counts of both.

Decisions of this file:
- A probe is mated if its identity is in the gallery. An alarm is a score at or above the threshold.
- A mate's rank is one more than the number of items of other identities that score at least as
  high: the pessimistic order of ties, as a system that returns the others first would be judged.
- Every distinct best score of a probe is a threshold, and so is "reject all", one float above the
  highest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Progress
from cospair.evaluation.retrieval.match_ranks import BLOCK_CELLS, match_ranks, rounded
from cospair.evaluation.retrieval.matches import Runs
from cospair.evaluation.retrieval.sides import Sides

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Probes(NamedTuple):
    """Probes [q], best first: score, rank of the mate (0 if unmated), identity code."""

    scores: Floats
    ranks: Counts
    identities: Counts

    @property
    def people(self) -> int:
        """How many identities the probes have."""
        return int(self.identities.max()) + 1

    @property
    def ends(self) -> Counts:
        """Probes accepted at each threshold [t]: none, then down to each distinct score."""
        edges = np.append(self.scores[1:] != self.scores[:-1], True)
        return np.append(0, np.flatnonzero(edges) + 1)

    @property
    def thresholds(self) -> Floats:
        """Thresholds [t], descending from "reject all"."""
        return np.append(np.nextafter(self.scores[0], np.inf), self.scores[self.ends[1:] - 1])

    def at_or_above(self, thresholds: Floats) -> Counts:
        """Places among `thresholds` of the lowest that is no lower than each of these."""
        descending = -self.thresholds
        return np.maximum(np.searchsorted(descending, -thresholds, side="right") - 1, 0)


class Accepted(NamedTuple):
    """Unmated probes, and mated ones found by each rank, accepted at each threshold [t, b].

    The columns are resamples; `mated` [b] are all mated probes in them.
    """

    unmated: Floats
    found: dict[int, Floats]
    mated: Floats


def accepted_probes(probes: Probes, ranks: Iterable[int], times: Floats) -> Accepted:
    """Counts where identity i was drawn times[:, i] times, [b, people]."""
    weights = np.ascontiguousarray(times.T)[probes.identities]
    mated = probes.ranks > 0
    return Accepted(
        _down_to(probes, weights, ~mated),
        {k: _down_to(probes, weights, mated & (probes.ranks <= k)) for k in ranks},
        weights[mated].sum(axis=0),
    )


def _down_to(probes: Probes, weights: Floats, kind: NDArray[np.bool_]) -> Floats:
    """Summed weights [q, b] of one kind of probe, down to each threshold."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights * kind[:, None], axis=0, out=sums[1:])
    return sums[probes.ends]


def found_probes(sides: Sides, runs: Runs, progress: Progress | None) -> Probes:
    """The best score of every probe: of its mates, or of anybody where it has none."""
    n = len(sides.queries.labels)
    scores, ranks = np.empty(n), np.zeros(n, np.int64)
    mated = int((runs.matches > 0).sum())
    for block in match_ranks(sides, runs, progress and (lambda done, _: progress(done, n))):
        first = block.offsets[:-1]
        scores[block.queries] = block.scores[first]
        others = block.above[first] + block.tied[first] - block.matches[first]
        ranks[block.queries] = 1 + others
    unmated = np.flatnonzero(ranks == 0)
    step = max(1, BLOCK_CELLS // len(sides.items.rows))
    for start in range(0, len(unmated), step):
        part = unmated[start : start + step]
        products = sides.queries.rows[part] @ sides.items.rows.T
        scores[part] = rounded(products.max(axis=1))
        if progress:
            progress(mated + start + len(part), n)
    order = np.argsort(-scores, kind="stable")
    identities = np.unique(sides.queries.labels, return_inverse=True)[1]
    return Probes(scores[order], ranks[order], identities[order])
