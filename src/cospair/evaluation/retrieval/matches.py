"""Which gallery items match a query, and which of them the query must not meet.

Decisions of this file:
- Only items of the query's own identity are ever left out: its own picture where the queries are
  the gallery, and those of its own camera where cameras are given. So a gallery that is sorted by
  identity and camera holds both kinds in one run each, and no mask of all queries by all items
  exists.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.retrieval.sides import Sides

Codes = NDArray[np.int64]


class Runs(NamedTuple):
    """For queries [n]: runs of the sorted gallery, as first and past-the-last places.

    Attributes:
        order: int64 [m], the gallery's items sorted by identity.
        first: int64 [n], where the items of the query's identity start.
        last: int64 [n], and where they end.
        out_first: int64 [n], where those among them start that the query must not meet.
        out_last: int64 [n], and where they end.
    """

    order: Codes
    first: Codes
    last: Codes
    out_first: Codes
    out_last: Codes

    @property
    def matches(self) -> Codes:
        """How many items match each query, [n]."""
        return self.last - self.first - (self.out_last - self.out_first)

    def take(self, index: Codes) -> Runs:
        """The runs of some queries, against the same gallery."""
        return Runs(self.order, *(part[index] for part in self[1:]))

    def left_out(self) -> tuple[Codes, Codes]:
        """Query and place of everything a query must not meet."""
        return _listed(self.out_first, self.out_last)

    def matching(self) -> tuple[Codes, Codes]:
        """Query and place of every match, query by query."""
        query, place = _listed(self.first, self.last)
        met = (place < self.out_first[query]) | (place >= self.out_last[query])
        return query[met], place[met]


def exclusions(sides: Sides) -> tuple[Codes, Codes]:
    """Codes of queries [n] and items [m]: within an identity, equal codes must not meet."""
    queries, items = sides.queries, sides.items
    if queries.cameras is not None and items.cameras is not None:
        return queries.cameras, items.cameras
    if sides.itself:
        own = np.arange(len(items.labels))
        return own, own
    return np.full(len(queries.labels), -1), np.zeros(len(items.labels), np.int64)


def matching_runs(sides: Sides) -> Runs:
    """Sort the gallery, and find every query's runs in it."""
    codes, item_codes = exclusions(sides)
    order = np.lexsort((item_codes, sides.items.labels))
    labels, item_codes = sides.items.labels[order], item_codes[order]
    width = int(max(codes.max(), item_codes.max())) + 2  # codes start at -1
    cells, own = labels * width + item_codes, sides.queries.labels * width + codes
    return Runs(
        order,
        np.searchsorted(labels, sides.queries.labels, side="left"),
        np.searchsorted(labels, sides.queries.labels, side="right"),
        np.searchsorted(cells, own, side="left"),
        np.searchsorted(cells, own, side="right"),
    )


def kept_queries(runs: Runs, itself: bool) -> tuple[Codes, dict[str, int]]:
    """Queries with a match, and how many have none; an error where nobody has one."""
    kept = np.flatnonzero(runs.matches > 0)
    skipped = len(runs.matches) - len(kept)
    by_camera = int(((runs.matches == 0) & (runs.last - runs.first > itself)).sum())
    if not len(kept):
        camera = f", {by_camera} of them for the camera rule" * (by_camera > 0)
        raise ValueError(
            f"query must hold an identity with another picture in the gallery; got {skipped} "
            f"queries without a match{camera}; pass at least two pictures of one identity."
        )
    return kept, {"skipped_queries": skipped, "skipped_by_camera": by_camera}


def _listed(first: Codes, last: Codes) -> tuple[Codes, Codes]:
    """Every place of every run [n], with the number of its run."""
    size = last - first
    run = np.repeat(np.arange(len(size)), size)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(size) - size - first, size)
