"""Every pair counted in plain torch, tile by tile: for machines without the C++ kernel, and tests.

A product of matrices gives a pair's cosine to the last bits only, by its place in the tile.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cospair.kernels.sweeps import Side
from cospair.kernels.tallies import Progress, Request, Tallied

_TILE = 512


def unavailable() -> str:
    """Never: it is plain torch."""
    return ""


def packed(side: Side) -> None:
    """Nothing: products of matrices pack their operands themselves."""


def tally(
    rows: Side, columns: Side | None, packed: None, request: Request, progress: Progress | None
) -> Tallied:
    """Counts of the pairs of one kind; see `cospair.kernels.tallies`."""
    counter = _Counter(request)
    opposite = columns or rows
    tops = range(0, rows.order.shape[0], _TILE)
    for done, top in enumerate(tops, 1):
        for left in range(0, opposite.order.shape[0], _TILE):
            counter.take(rows, opposite, top, left, columns is None)
        if progress:
            progress(done, len(tops))
    return counter.result()


class _Counter:
    """What has been counted so far."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.counts = torch.zeros(2 * len(request.edges) + 1, dtype=torch.int64)
        self.cells = torch.zeros(request.cells.size, dtype=torch.int64)
        self.kept: list[list[Tensor]] = [[torch.empty(0).double()] for _ in request.windows]
        self.extremes = torch.empty(3, 0, dtype=torch.float64)
        self.marginals: Tensor | None = None
        if request.codes is not None and request.bins is not None:
            shape = (request.codes[2], int(request.bins.max()) + 1)
            self.marginals = torch.zeros(shape, dtype=torch.int64)

    def take(self, rows: Side, columns: Side, top: int, left: int, symmetric: bool) -> None:
        """Count the pairs of a tile."""
        i = torch.arange(top, min(top + _TILE, rows.order.shape[0]))[:, None]
        j = torch.arange(left, min(left + _TILE, columns.order.shape[0]))[None, :]
        same = (j >= rows.first[i]) & (j < rows.last[i])
        paired = same if self.request.genuine else ~same
        places = (paired & (j > i) if symmetric else paired).nonzero()
        if not len(places):
            return
        first, second = rows.order[i[places[:, 0], 0]], columns.order[j[0, places[:, 1]]]
        cosines = rows.x[rows.order[i[:, 0]]] @ columns.x[columns.order[j[0]]].T
        keys = cosines[places[:, 0], places[:, 1]].clamp_(-1, 1).mul_(self.request.scale).round_()
        if symmetric:
            first, second = torch.minimum(first, second), torch.maximum(first, second)
        self._count(keys, first, second)

    def _count(self, keys: Tensor, first: Tensor, second: Tensor) -> None:
        request = self.request
        slots = torch.searchsorted(request.edges, keys, right=True)
        slots += torch.searchsorted(request.edges, keys)  # odd at an edge
        self.counts += torch.bincount(slots, minlength=len(self.counts))
        self.cells += torch.bincount(request.cells.number(keys), minlength=len(self.cells))
        for kept, (low, high) in zip(self.kept, request.windows, strict=True):
            kept.append(keys[(keys >= low) & (keys < high)])
        if request.extremes:
            pairs = torch.stack([keys, first.double(), second.double()])  # rows stay below 2^53
            self.extremes = self._most_extreme(torch.cat([self.extremes, pairs], dim=1))
        if self.marginals is None or request.codes is None or request.bins is None:
            return
        bins = request.bins.to(torch.int64)[request.cells.number(keys)]
        for codes, row in ((request.codes[0], first), (request.codes[1], second)):
            at = codes[row] * self.marginals.shape[1] + bins
            self.marginals.view(-1).index_add_(0, at, torch.ones_like(at))

    def _most_extreme(self, pairs: Tensor) -> Tensor:
        order = torch.arange(pairs.shape[1])
        sign = 1.0 if self.request.lowest else -1.0
        for by in (pairs[2], pairs[1], sign * pairs[0]):  # the last one decides first
            order = order[by[order].argsort(stable=True)]
        return pairs[:, order[: self.request.extremes]]

    def result(self) -> Tallied:
        """What was counted."""
        windows = tuple(torch.cat(kept) for kept in self.kept)
        extremes = ((k, int(i), int(j)) for k, i, j in self.extremes.T.tolist())
        return Tallied(
            self.counts,
            self.cells,
            tuple(w[: self.request.capacity] for w in windows),
            tuple(len(w) for w in windows),
            tuple(extremes),
            self.marginals,
        )
