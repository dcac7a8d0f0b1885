"""The sweep on the CPU, in C++: screened in eight bits, exact where the screen cannot tell.

Decisions of this file:

- `csrc/screen.cpp` proves which impostor pairs cannot cost; those that are left are decided in
  float64 one by one. A tile of which more than a sixteenth is left is taken whole: its cosines are
  a matrix product of torch's, and pairs within that product's error of the hinge are decided in
  float64 all the same.
- A small batch is one call: to sort it, cut it and screen it would take longer than all its pairs.
- Genuine pairs at margin 1 are summed in closed form, class by class.
- Pulls are added up in float32 (float64 for float64 rows), in memory that the gradient takes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from cospair.kernels import cpu
from cospair.kernels.cpu import refuses as refuses
from cospair.kernels.cpu import unavailable as unavailable
from cospair.kernels.products import exact_products
from cospair.kernels.sweeps import Hinge, Side, Swept, Watch, wide_labels

_BUILD = 0  # the best that this processor can run; tests take the others too

_TOGETHER = 8  # tiles a product, at most: 8 MiB of cosines
_TOGETHER_ELEMENTS = 1 << 20  # of their rows

_SMALL_ROWS = 256  # up to there every pair of a batch is evaluated at once,
_SMALL_PRODUCTS = 1 << 23  # in n x n x d products,
_SMALL_ELEMENTS = 1 << 16  # of rows that are held in float64
_REDUCTIONS = ("sum", "mean", "balanced", "active")

_Tile = tuple[int, int, int, int]  # positions of its rows, then of its columns

POWERS = (1, 2)  # of a hinge that a pair may pay


def small_batch(
    x: Tensor,
    labels: Tensor,
    margins: tuple[float, float],
    power: int,
    reduction: str,
    *,
    wanted: bool,
    watch: Watch | None = None,
) -> tuple[Tensor, Tensor | None] | None:
    """Loss, float64 [], of every pair of x, and its gradient, float32 or wider, where wanted.

    margins are those of impostors and of genuine pairs. None for a batch that is to be swept: a
    large one, or one with rows whose lengths are 0, extreme or not finite. There are no tiles.
    """
    n, d = x.shape
    if not 2 <= n <= _SMALL_ROWS or d < 1:
        return None
    if n * n * d > _SMALL_PRODUCTS or n * d > _SMALL_ELEMENTS:
        return None
    if x.stride(1) != 1 and d > 1:
        return None
    assert cpu._cpu is not None
    gradient = None
    if wanted:
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        gradient = cpu._cpu.empty(wide, n, d)
    found = cpu._cpu.small_batch(
        x.detach().resolve_neg(),
        wide_labels(labels).contiguous(),
        *margins,
        power,
        _REDUCTIONS.index(reduction),
        gradient,
        _BUILD,
    )
    if found is None:
        return None
    loss, active_genuine, active_impostor = found
    if watch is not None and watch.stats is not None:
        watch.stats.pairs += n * (n - 1) // 2
        watch.stats.pairs_evaluated += n * (n - 1) // 2
        watch.stats.active_genuine += active_genuine
        watch.stats.active_impostor += active_impostor
    return torch.tensor(loss, dtype=torch.float64, device="cpu"), gradient


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
        with exact_products(rows.x.device):
            for tiles in _together(left, rows.x.shape[1]):
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
    out = torch.empty(x.shape[0], dtype=torch.float64, device="cpu")
    if x.shape[0]:
        assert cpu._cpu is not None
        cpu._cpu.squared_lengths(x, out)
    return out


def _zeros(side: Side) -> Tensor:
    dtype = torch.float64 if side.x.dtype == torch.float64 else torch.float32
    assert cpu._cpu is not None
    return cpu._cpu.empty(dtype, *side.x.shape).zero_()


def _swept(total: float, active: float, pull: Tensor | None, opposite: Tensor | None) -> Swept:
    sums = torch.tensor((total, active), dtype=torch.float64, device="cpu")
    return Swept(sums[0], sums[1], pull, opposite)


def _count(watch: Watch, hinge: Hinge, active_pairs: int) -> None:
    if watch.stats is None:
        return
    if hinge.genuine:
        watch.stats.active_genuine += active_pairs
    else:
        watch.stats.active_impostor += active_pairs


def _together(tiles: list[_Tile], d: int) -> Iterator[list[_Tile]]:
    """Tiles of the same columns in groups, the widest first: few large products, not many small."""
    columns = itemgetter(3, 2)
    for _, group in groupby(sorted(tiles, key=columns), key=columns):
        same = list(group)
        height = max(bottom - top for top, bottom, *_ in same)
        each = min(max(_TOGETHER_ELEMENTS // (height * d), 1), _TOGETHER)
        for start in range(0, len(same), each):
            yield same[start : start + each]


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
        self.rooms: dict[str, Tensor] = {}

    def take(self, tiles: list[_Tile]) -> None:
        """Evaluate tiles of the same columns: their pairs are counted and pull."""
        left, right = tiles[0][2:]
        heights = [bottom - top for top, bottom, *_ in tiles]
        rows, columns = self._rows(tiles), self._columns(left, right)
        cosines = self._room("cosines", sum(heights), right - left)
        torch.mm(rows, columns.T, out=cosines)
        for tile, part in zip(tiles, cosines.split(heights), strict=True):
            self.sweep.settle(tile, self.band, part)
        self.taken += len(tiles)
        if self.pulls[0] is not None:
            order = self.sides[0].order
            places = torch.cat([order[top:bottom] for top, bottom, *_ in tiles])
            self._pull(0, places, cosines, columns)
        if self.pulls[1] is not None:
            self._pull(1, self.sides[1].order[left:right], cosines.T, rows)

    def _pull(self, side: int, places: Tensor, force: Tensor, opposite: Tensor) -> None:
        pull = self.pulls[side]
        assert pull is not None
        added = self._room("pull", force.shape[0], opposite.shape[1])
        pull.index_add_(0, places, torch.mm(force, opposite, out=added))

    def _rows(self, tiles: list[_Tile]) -> Tensor:
        """Unit rows of tiles, one below the other."""
        spans = [(top, bottom) for top, bottom, *_ in tiles]
        d = self.sides[0].x.shape[1]
        out = self._room("rows", sum(bottom - top for top, bottom in spans), d)
        parts = out.split([bottom - top for top, bottom in spans])
        for (top, bottom), part in zip(spans, parts, strict=True):
            self._write_unit_rows(0, top, bottom, part)
        return out

    def _columns(self, left: int, right: int) -> Tensor:
        """Unit rows of the other side, kept for the tiles that follow."""
        if not (self.held[0] <= left and right <= self.held[1]):
            self.held = (left, right)
            self.columns = self._room("columns", right - left, self.sides[1].x.shape[1])
            self._write_unit_rows(1, left, right, self.columns)
        return self.columns[left - self.held[0] : right - self.held[0]]

    def _write_unit_rows(self, side: int, begin: int, end: int, out: Tensor) -> None:
        assert cpu._cpu is not None
        cpu._cpu.unit_rows(tuple(self.sides[side]), begin, end, out)

    def _room(self, name: str, rows: int, columns: int) -> Tensor:
        """Memory that stays from tile to tile: fresh memory costs a page fault every 4 KiB."""
        held = self.rooms.get(name)
        if held is None or held.numel() < rows * columns:
            held = self.rooms[name] = torch.empty(rows * columns, dtype=self.dtype, device="cpu")
        return held[: rows * columns].view(rows, columns)
