"""The sweep over every pair of a batch on a GPU, in Triton: tiles, a bit a pair, then products.

Decisions of this file:

- The rows are packed once in sorted order, padded to whole tiles: float16 terms scaled by 2^12
  (two for float32 rows, which hold 22 bits; the very digits of 16-bit rows) and int8 codes. With
  the gradient that is 9 to 15 bytes an element.
- A panel is at most 128 x 128 tiles, whose active and doubtful pairs are 64 MiB of bits. For each
  panel `screen` (int8 products) says which tiles can hold an active pair, `sweep` takes the cosines
  of these, `settle` decides the pairs left in doubt, and `collect` and `pull` add up what the
  active pairs pull on the rows, and then on the columns. Where screening spares little it is
  soon given up.
- What decides a pair: the int8 bound where it suffices; else products of float16 terms, exact and
  summed in float32; and wherever these come as near to the hinge as their proved error
  (triton_sweep_device.py), a float64 cosine of the rows as they came. So every pair stands on the
  side of its hinge where float64 has it. float64 rows are swept in float64.
- What the sums hold: of a pair away from its hinge the cost has the error of a float32 cosine, some
  1e-7. Gradients are summed and kept in float32; `active` is summed in float64. Weights need the
  range of float32: with them the pulls are three terms of bfloat16.
- No atomics, and no sum depends on the card: two runs give the same bits.
- Nothing waits for the card but for whom asks: stats are read at the end, progress after a panel.
"""

from __future__ import annotations

import contextlib
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cospair.kernels.reference_sweep import finish, squared_lengths
from cospair.kernels.sweeps import Hinge, Side, SweepStats, Swept, Watch
from cospair.kernels.triton_gpu import refuses, unavailable

__all__ = ["finish", "hinge_sweep", "refuses", "squared_lengths", "unavailable"]

POWERS = (1,)  # of a hinge that a pair may pay: the pulls are products with one bit a pair
_PANEL = 128  # tiles a side
_PROGRAMS = 528  # at most: four for each multiprocessor of an H100
_PACKED_ROWS = 32  # a program that packs


class _Shape(NamedTuple):
    """What is compiled for a dtype and a width."""

    tile: int
    faces: int  # terms of a row in its cosines
    dtype: torch.dtype  # of the faces
    scale: float  # of faces and pulls, so that small terms are no denormals
    padded: int  # columns of a packed row
    chunk: int  # columns of faces at a time, which the band's proof counts on
    columns: int  # of the gradient a program, and of codes at a time
    warps: int


class _Weights(NamedTuple):
    """A side's weights in sorted order, padded, over a power of two that none of them is above."""

    sorted: Tensor
    top: Tensor


class _Packed(NamedTuple):
    """A side in sorted order, padded to whole tiles: [terms, rows, columns] and [rows]."""

    faces: Tensor
    pulls: Tensor
    codes: Tensor
    factors: Tensor
    grains: Tensor
    errors: Tensor


class _Panel(NamedTuple):
    """The sorted positions where a panel begins, and its tiles in rows and columns."""

    top: int
    left: int
    high: int
    wide: int
    tiles: int


class _Scratch(NamedTuple):
    """What lies in memory while a panel is swept, and the sums of every program."""

    bits: Tensor
    doubts: Tensor
    active_tiles: Tensor
    doubtful_tiles: Tensor
    lists: Tensor
    numbers: Tensor
    sums: Tensor
    counts: Tensor | None


class _Sweep(NamedTuple):
    """Everything that a panel's launches read."""

    sides: tuple[Side, Side]
    packed: tuple[_Packed, _Packed]
    weights: tuple[_Weights | None, _Weights | None]
    scales: tuple[Tensor, Tensor]
    gradients: tuple[Tensor | None, Tensor | None]
    scratch: _Scratch
    margin: Tensor
    sign: int
    symmetric: bool
    shape: _Shape


def hinge_sweep(
    rows: Side, columns: Side | None, hinge: Hinge, *, wanted: tuple[bool, bool], watch: Watch
) -> Swept:
    """Sums over the pairs of one kind, and their derivatives in the unit rows; see `sweeps`."""
    first = _zeros_like(rows) if wanted[0] else None
    second = _zeros_like(columns) if wanted[1] and columns is not None else None
    if rows.order.shape[0] == 0 or (columns is not None and columns.order.shape[0] == 0):
        nothing = rows.inverse_lengths.new_zeros(2)
        return Swept(nothing[0], nothing[1], first, second)
    device = rows.x.device
    with torch.cuda.device(device) if rows.x.is_cuda else contextlib.nullcontext():
        pulled = (first, first if columns is None else second)
        sweep = _prepared(rows, columns, hinge, pulled, count=watch.stats is not None)
        panels = _panels(sweep)
        for panel, done in zip(panels, accumulate(panel.tiles for panel in panels), strict=True):
            _walk(panel, sweep)
            if watch.progress is not None:
                _wait(device)
                watch.progress(done, sum(panel.tiles for panel in panels))
        if watch.stats is not None and sweep.scratch.counts is not None:
            _fill(watch.stats, sweep.scratch.counts, genuine=hinge.genuine)
        total, active = _sums(sweep)
    return Swept(total, active, first, second)


def _device() -> Any:
    """The device code that finds pairs; importing it imports Triton."""
    from cospair.kernels import triton_sweep_device

    return triton_sweep_device


def _pull_device() -> Any:
    """The device code for the pairs found; importing it imports Triton."""
    from cospair.kernels import triton_pull_device

    return triton_pull_device


def _zeros_like(side: Side) -> Tensor:
    wide = torch.float64 if side.x.dtype == torch.float64 else torch.float32
    return torch.zeros(side.x.shape, dtype=wide, device=side.x.device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def _shape(dtype: torch.dtype, d: int) -> _Shape:
    """Tiles and terms for rows of d elements of that dtype."""
    columns = 64 if d <= 64 else 128
    padded = max(-(-d // columns), 1) * columns
    if dtype == torch.float64:
        return _Shape(64, 1, torch.float64, 1.0, padded, 16, 64, 4)
    faces = 2 if dtype == torch.float32 else 1
    return _Shape(128, faces, torch.float16, 4096.0, padded, 64, columns, 8)


def _prepared(
    rows: Side,
    columns: Side | None,
    hinge: Hinge,
    gradients: tuple[Tensor | None, Tensor | None],
    *,
    count: bool,
) -> _Sweep:
    """Both sides packed, and the memory that every panel uses again."""
    shape, sign = _shape(rows.x.dtype, rows.x.shape[1]), -1 if hinge.genuine else 1
    rows = _contiguous(rows)
    other = rows if columns is None else _contiguous(columns)
    weighted = rows.weight is not None or other.weight is not None
    weights = [_weights(side, shape) if weighted else None for side in (rows, other)]
    pulled = [gradient is not None for gradient in reversed(gradients)]
    first = _packed(rows, weights[0], shape, pulled=pulled[0])
    second = first if columns is None else _packed(other, weights[1], shape, pulled=pulled[1])
    scales = (
        _scales(rows, weights[0], weights[1], sign, shape),
        _scales(other, weights[1], weights[0], sign, shape),
    )
    return _Sweep(
        (rows, other), (first, second), (weights[0], weights[1]), scales, gradients,
        _scratch(rows, other, shape, count=count),
        rows.inverse_lengths.new_full((1,), hinge.margin), sign, columns is None, shape,
    )  # fmt: skip


def _contiguous(side: Side) -> Side:
    """The side with what the device reads without strides."""
    names = ("inverse_lengths", "order", "first", "last")
    return side._replace(**{name: getattr(side, name).contiguous() for name in names})


def _padded_rows(side: Side, shape: _Shape) -> int:
    return -(-side.order.shape[0] // shape.tile) * shape.tile


def _weights(side: Side, shape: _Shape) -> _Weights:
    weight = side.inverse_lengths.new_zeros(_padded_rows(side, shape))
    if side.weight is None:
        weight[: side.order.shape[0]] = 1.0
    else:
        weight[: side.order.shape[0]] = side.weight[side.order]
    top = torch.exp2(torch.frexp(weight.max())[1].to(torch.float64))
    return _Weights(weight / top, top)


def _scales(
    side: Side, own: _Weights | None, other: _Weights | None, sign: int, shape: _Shape
) -> Tensor:
    """By what the sum of pulls on a row is multiplied to be its gradient: float64 [rows]."""
    if own is None or other is None:
        size = _padded_rows(side, shape)
        return side.inverse_lengths.new_full((size,), sign / shape.scale)
    return own.sorted * (own.top * other.top * (sign / shape.scale))


def _packed(side: Side, weights: _Weights | None, shape: _Shape, *, pulled: bool) -> _Packed:
    """The side's rows, packed on the device; the faces serve as pulls where they hold the same."""
    x, size = side.x, _padded_rows(side, shape)
    faces = x.new_empty((shape.faces, size, shape.padded), dtype=shape.dtype)
    pulls = None
    if pulled and (weights is not None or x.element_size() == 2):
        dtype, terms = (torch.bfloat16, 3) if weights is not None else (torch.float16, 2)
        if x.dtype == torch.float64:
            dtype, terms = torch.float64, 1
        pulls = x.new_empty((terms, size, shape.padded), dtype=dtype)
    codes = x.new_empty((size, shape.padded), dtype=torch.int8)
    factors = x.new_empty(size, dtype=torch.float64 if x.element_size() == 8 else torch.float32)
    grains, errors = x.new_empty((2, size), dtype=torch.float32)
    _device().pack[(size // _PACKED_ROWS,)](
        x, side.order, side.inverse_lengths,
        None if weights is None else weights.sorted,
        faces, pulls, codes, factors, grains, errors,
        side.order.shape[0], x.stride(0),
        SCALE=shape.scale, D=x.shape[1], DP=shape.padded, R=_PACKED_ROWS, CHUNK=64,
        EXACT=x.element_size() == 2, FACES=shape.faces,
        PULLS=0 if pulls is None else pulls.shape[0], num_warps=4,
    )  # fmt: skip
    return _Packed(faces, faces if pulls is None else pulls, codes, factors, grains, errors)


def _scratch(rows: Side, other: Side, shape: _Shape, *, count: bool) -> _Scratch:
    x, words = rows.x, shape.tile * shape.tile // 32
    high, wide = (min(_padded_rows(side, shape) // shape.tile, _PANEL) for side in (rows, other))
    tiles = (high - 1) * _PANEL + wide
    ints = {"dtype": torch.int32, "device": x.device}
    return _Scratch(
        torch.empty(tiles * words, **ints),
        torch.empty(0 if x.dtype == torch.float64 else tiles * words, **ints),
        torch.empty(tiles, **ints), torch.empty(tiles, **ints),
        torch.empty(max(high, wide) * _PANEL, **ints), torch.empty(max(high, wide), **ints),
        torch.zeros((_PROGRAMS, 2), dtype=torch.float64, device=x.device),
        torch.zeros((_PROGRAMS, 5), dtype=torch.int64, device=x.device) if count else None,
    )  # fmt: skip


def _panels(sweep: _Sweep) -> list[_Panel]:
    """The panels, row by row; of a symmetric sweep those on and above the diagonal."""
    tile = sweep.shape.tile
    high, wide = (_padded_rows(side, sweep.shape) // tile for side in sweep.sides)
    panels = []
    for top in range(0, high, _PANEL):
        for left in range(top if sweep.symmetric else 0, wide, _PANEL):
            size = (min(high - top, _PANEL), min(wide - left, _PANEL))
            halved = sweep.symmetric and top == left
            tiles = size[0] * (size[0] + 1) // 2 if halved else size[0] * size[1]
            panels.append(_Panel(top * tile, left * tile, *size, tiles))
    return panels


def _walk(panel: _Panel, sweep: _Sweep) -> None:
    """Every launch of one panel."""
    grid = (min(panel.high * panel.wide, _PROGRAMS),)
    _screen(panel, sweep, grid)
    _find(panel, sweep, grid)
    if sweep.shape.dtype != torch.float64:
        _settle(panel, sweep, grid)
    for turned in (False, True):
        if sweep.gradients[turned] is not None:
            _pull(panel, sweep, turned=turned)


def _screen(panel: _Panel, sweep: _Sweep, grid: tuple[int]) -> None:
    (rows, columns), (packed1, packed2), shape = sweep.sides, sweep.packed, sweep.shape
    _device().screen[grid](
        packed1.codes, packed1.grains, packed1.errors, rows.first, rows.last,
        packed2.codes, packed2.grains, packed2.errors, sweep.margin, sweep.scratch.active_tiles,
        sweep.scratch.counts, rows.order.shape[0], columns.order.shape[0], *panel[:4],
        DP=shape.padded, T=shape.tile, KS=shape.columns, PANEL=_PANEL, SIGN=sweep.sign,
        SYMMETRIC=sweep.symmetric, num_warps=shape.warps, num_stages=3,
    )  # fmt: skip


def _find(panel: _Panel, sweep: _Sweep, grid: tuple[int]) -> None:
    (rows, columns), (packed1, packed2), shape = sweep.sides, sweep.packed, sweep.shape
    scratch = sweep.scratch
    weight1, weight2 = (None if w is None else w.sorted for w in sweep.weights)
    _device().sweep[grid](
        packed1.faces, packed1.factors, rows.first, rows.last, weight1,
        packed2.faces, packed2.factors, weight2,
        sweep.margin, scratch.bits, scratch.doubts, scratch.active_tiles, scratch.doubtful_tiles,
        scratch.sums, scratch.counts, rows.order.shape[0], columns.order.shape[0],
        packed1.codes.numel(), packed2.codes.numel(), *panel[:4],
        D=rows.x.shape[1], DP=shape.padded, T=shape.tile, K=shape.chunk, PANEL=_PANEL,
        FACES=shape.faces, SIGN=sweep.sign, SYMMETRIC=sweep.symmetric,
        DOUBLE=shape.dtype == torch.float64, num_warps=shape.warps,
        num_stages=3 if shape.faces == 2 else 2,
    )  # fmt: skip


def _settle(panel: _Panel, sweep: _Sweep, grid: tuple[int]) -> None:
    chunk = min(1 << (sweep.shape.padded - 1).bit_length(), 512)
    (rows, columns), scratch = sweep.sides, sweep.scratch
    weight1, weight2 = (None if w is None else w.sorted for w in sweep.weights)
    _pull_device().settle[grid](
        rows.x, rows.order, rows.inverse_lengths, weight1,
        columns.x, columns.order, columns.inverse_lengths, weight2,
        sweep.margin, scratch.bits, scratch.doubts, scratch.active_tiles, scratch.doubtful_tiles,
        scratch.sums, scratch.counts, rows.x.stride(0), columns.x.stride(0), *panel[:4],
        D=rows.x.shape[1], T=sweep.shape.tile, SLOTS=min(4096 // chunk, 16), CHUNK=chunk,
        PANEL=_PANEL, SIGN=sweep.sign, num_warps=4,
    )  # fmt: skip


def _pull(panel: _Panel, sweep: _Sweep, *, turned: bool) -> None:
    """Add to the gradient of the panel's rows, or, turned, of its columns."""
    shape, scratch = sweep.shape, sweep.scratch
    own, other = sweep.sides[turned], sweep.packed[not turned]
    across, steps = panel.wide, (_PANEL, 1)
    begin, others, size = panel.top, panel.left, panel.high
    if turned:
        across, steps = panel.high, (1, _PANEL)
        begin, others, size = panel.left, panel.top, panel.wide
    _pull_device().collect[(size,)](
        scratch.active_tiles, scratch.lists, scratch.numbers, across, *steps,
        PANEL=_PANEL, num_warps=1,
    )  # fmt: skip
    _pull_device().pull[(size, shape.padded // shape.columns)](
        scratch.bits, scratch.lists, scratch.numbers, other.pulls, own.order,
        sweep.scales[turned], sweep.gradients[turned],
        own.order.shape[0], begin, others, other.codes.numel(),
        D=own.x.shape[1], DP=shape.padded, T=shape.tile, K=shape.tile // 2, N=shape.columns,
        PANEL=_PANEL,
        PULLS=other.pulls.shape[0], TURNED=turned, DOUBLE=shape.dtype == torch.float64,
        num_warps=shape.warps, num_stages=3,
    )  # fmt: skip


def _sums(sweep: _Sweep) -> Tensor:
    """Cost and weight of the active pairs [2], of all programs."""
    sums = sweep.scratch.sums.sum(0)
    for weights in sweep.weights:
        sums = sums if weights is None else sums * weights.top
    return sums


def _fill(stats: SweepStats, counts: Tensor, *, genuine: bool) -> None:
    """Add a sweep's counts; this waits for the device."""
    tiles, screened, _, evaluated, active = counts.sum(0).tolist()
    stats.tiles += tiles
    stats.tiles_screened += screened
    stats.tiles_dense += tiles - screened
    stats.pairs_evaluated += evaluated
    if genuine:
        stats.active_genuine += active
    else:
        stats.active_impostor += active
