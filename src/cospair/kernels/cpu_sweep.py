"""The sweep on the CPU, in C++: screened in eight bits, exact where the screen cannot tell.

Decisions of this file:

- `csrc/screen.cpp` proves which impostor pairs cannot cost; those that are left are decided in
  float64 one by one. A tile of which more than a sixteenth is left is taken whole: its cosines are
  a matrix product of torch's, and pairs within that product's error of the hinge are decided in
  float64 all the same.
- Genuine pairs at margin 1 are summed in closed form, class by class.
- Pulls are added up in float32 (float64 for float64 rows), in memory that the gradient takes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from cospair.kernels import buffers, cpu
from cospair.kernels.cpu import refuses as refuses
from cospair.kernels.cpu import unavailable as unavailable
from cospair.kernels.sweeps import Hinge, Side, Swept, Watch

_BUILD = 0  # the best that this processor can run; tests take the others too

_TOGETHER = 8  # tiles a product: 8 MiB of cosines

_Tile = tuple[int, int, int, int]  # positions of its rows, then of its columns


def hinge_sweep(
    rows: Side, columns: Side | None, hinge: Hinge, *, wanted: tuple[bool, bool], watch: Watch
) -> Swept:
    """Cost, active weight and pulls of the pairs of one kind; see `cospair.kernels.sweeps`."""
    pull = _zeros(rows) if wanted[0] else None
    opposite = _zeros(columns) if columns is not None and wanted[1] else None
    if not rows.order.shape[0] or not (columns or rows).order.shape[0]:
        return _swept(0.0, 0.0, pull, opposite)
    assert cpu._cpu is not None
    sweep = cpu._cpu.Sweep(tuple(rows), columns and tuple(columns), *hinge, pull, opposite, _BUILD)
    dense = _Dense(sweep, rows, columns, pull, opposite)
    done = 0
    for panel in range(sweep.panels):
        left = sweep.panel(panel)
        with _exact_products():
            for tiles in _together(left):
                dense.take(tiles)
        done += sweep.tiles_in(panel)
        if watch.progress:
            watch.progress(done, sweep.tiles)
    total, active, active_pairs, evaluated = sweep.sum
    _count(watch, hinge, active_pairs)
    if watch.stats is not None:
        watch.stats.tiles += sweep.tiles
        watch.stats.tiles_dense += dense.taken
        watch.stats.tiles_screened += 0 if hinge.genuine else sweep.tiles - dense.taken
        watch.stats.pairs_evaluated += evaluated
    return _swept(total, active, pull, opposite)


def genuine_at_one(rows: Side, columns: Side | None, *, watch: Watch) -> Swept:
    """Cost and active weight of the genuine pairs at margin 1, in closed form, without pulls."""
    if not rows.order.shape[0] or not (columns or rows).order.shape[0]:
        return _swept(0.0, 0.0, None, None)
    assert cpu._cpu is not None
    total, active, pairs, _ = cpu._cpu.genuine_at_one(tuple(rows), columns and tuple(columns), True)
    _count(watch, Hinge(True, 1.0), pairs)
    return _swept(total, active, None, None)


def finish(
    side: Side, other: Side | None, *, genuine: Tensor | None, impostor: Tensor, pull: Tensor
) -> Tensor:
    """Gradients [n, d] of a side in the pull's dtype and memory, from what pulls its unit rows.

    genuine and impostor are the shares of the pairs' losses, float64 []; with genuine, the pull of
    the genuine pairs at margin 1 is added here.
    """
    if side.order.shape[0] and (other or side).order.shape[0]:
        shares = (0.0 if genuine is None else genuine.item(), impostor.item())
        assert cpu._cpu is not None
        cpu._cpu.finish(tuple(side), other and tuple(other), *shares, pull)
    return pull


def squared_lengths(x: Tensor) -> Tensor:
    """Squared length of each row, float64 [n]; may be 0 or infinite for float64 rows."""
    out = torch.empty(x.shape[0], dtype=torch.float64)
    if x.shape[0]:
        assert cpu._cpu is not None
        cpu._cpu.squared_lengths(x, out)
    return out


def _zeros(side: Side) -> Tensor:
    dtype = torch.float64 if side.x.dtype == torch.float64 else torch.float32
    return buffers.empty(side.x.shape, dtype).zero_()


def _swept(total: float, active: float, pull: Tensor | None, opposite: Tensor | None) -> Swept:
    sums = torch.tensor((total, active), dtype=torch.float64)
    return Swept(sums[0], sums[1], pull, opposite)


def _count(watch: Watch, hinge: Hinge, active_pairs: int) -> None:
    if watch.stats is None:
        return
    if hinge.genuine:
        watch.stats.active_genuine += active_pairs
    else:
        watch.stats.active_impostor += active_pairs


@contextmanager
def _exact_products() -> Iterator[None]:
    """Matrix products in the precision of their operands, whatever the user allows elsewhere."""
    precision = torch.get_float32_matmul_precision()
    if precision != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            yield
    finally:
        if precision != "highest":
            torch.set_float32_matmul_precision(precision)


def _together(tiles: list[_Tile]) -> Iterator[list[_Tile]]:
    """Tiles of the same columns in groups, the widest first: few large products, not many small."""
    columns = itemgetter(3, 2)
    for _, group in groupby(sorted(tiles, key=columns), key=columns):
        same = list(group)
        for start in range(0, len(same), _TOGETHER):
            yield same[start : start + _TOGETHER]


class _Dense:
    """Tiles taken whole: cosines by a matrix product, and two more for what they pull."""

    def __init__(
        self,
        sweep: Any,
        rows: Side,
        columns: Side | None,
        pull: Tensor | None,
        opposite: Tensor | None,
    ) -> None:
        self.sweep = sweep
        self.sides = (rows, columns or rows)
        self.pulls = (pull, pull if columns is None else opposite)
        dtype = torch.float64 if rows.x.dtype == torch.float64 else torch.float32
        d = rows.x.shape[1]
        # d products and sums, the unit rows' own roundings, and those of the hinge
        self.band = 1.01 * (d + 16) * torch.finfo(dtype).eps / 2
        self.dtype = dtype
        self.taken = 0
        self.held = (0, 0)  # positions of the unit columns at hand
        self.columns: Tensor

    def take(self, tiles: list[_Tile]) -> None:
        """Evaluate tiles of the same columns: their pairs are counted and pull."""
        left, right = tiles[0][2:]
        rows = torch.cat([self._unit_rows(0, top, bottom) for top, bottom, *_ in tiles])
        columns = self._columns(left, right)
        cosines = rows @ columns.T
        heights = [bottom - top for top, bottom, *_ in tiles]
        for tile, part in zip(tiles, cosines.split(heights), strict=True):
            self.sweep.settle(tile, self.band, part)
        self.taken += len(tiles)
        if self.pulls[0] is not None:
            order = self.sides[0].order
            places = torch.cat([order[top:bottom] for top, bottom, *_ in tiles])
            self.pulls[0].index_add_(0, places, cosines @ columns)
        if self.pulls[1] is not None:
            self.pulls[1].index_add_(0, self.sides[1].order[left:right], cosines.T @ rows)

    def _columns(self, left: int, right: int) -> Tensor:
        """Unit rows of the other side, kept for the tiles that follow."""
        if not (self.held[0] <= left and right <= self.held[1]):
            self.held = (left, right)
            self.columns = self._unit_rows(1, left, right)
        return self.columns[left - self.held[0] : right - self.held[0]]

    def _unit_rows(self, side: int, begin: int, end: int) -> Tensor:
        out = torch.empty(end - begin, self.sides[side].x.shape[1], dtype=self.dtype)
        assert cpu._cpu is not None
        cpu._cpu.unit_rows(tuple(self.sides[side]), begin, end, out)
        return out
