"""The sweep in plain torch: tiles of float64 cosines, any dtype and device.

Decisions of this file:

- Unit rows are made tile by tile, cosines are float64 (float32 where a device has none), so that a
  hinge decides rightly; pulls are added up in float32 (float64 for float64 rows).
- Spans tell which tiles hold a pair of the kind; the others are not computed.
- Genuine pairs have a closed form at margin 1; this kernel sweeps them at any: within classes it
  is short.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cospair.kernels.sweeps import TIE, Hinge, Side, Swept, Watch

_TILE = 1024
_CHUNK = 1 << 18  # elements: what stays in a core's cache
_CHUNK_ELSEWHERE = 1 << 23  # and what keeps an accelerator busy

POWERS = (1, 2)  # of a hinge that a pair may pay


def unavailable() -> str:
    """Why this kernel cannot run here; empty, because it always can."""
    return ""


def refuses(device: torch.device, dtype: torch.dtype) -> str:
    """Why this kernel does not take such tensors; empty, because it takes all."""
    return ""


def hinge_sweep(
    rows: Side, columns: Side | None, hinge: Hinge, *, wanted: tuple[bool, bool], watch: Watch
) -> Swept:
    """Cost, active weight and pulls of the pairs of one kind; see `cospair.kernels.sweeps`."""
    other = rows if columns is None else columns
    wide = wide_dtype(rows.x)
    total, active = (torch.zeros((), dtype=wide, device=rows.x.device) for _ in range(2))
    pull = pulls_of(rows) if wanted[0] else None
    opposite = pull if columns is None else pulls_of(other) if wanted[1] else None
    tiles = list(_tiles(rows, other, hinge, symmetric=columns is None))
    for done, (top, left) in enumerate(tiles, 1):
        cosines = _unit_rows(rows, top) @ _unit_rows(other, left).T
        paired = _paired(rows, top, left, hinge, symmetric=columns is None)
        cost = (cosines.clamp_(-1.0, 1.0) - hinge.margin) * (-1.0 if hinge.genuine else 1.0)
        costs = (cost > TIE) & paired
        weights = _weights(rows, top)[:, None] * _weights(other, left)[None, :] * costs
        active += weights.sum()
        force = -weights if hinge.genuine else weights
        if hinge.power == 2:
            force, cost = 2 * cost * force, cost * cost
        total += (cost * weights).sum()
        if pull is not None:
            _add(pull, rows.order[top], force @ _unit_rows(other, left))
        if opposite is not None:
            _add(opposite, other.order[left], force.T @ _unit_rows(rows, top))
        _count(watch, hinge, paired, costs)
        if watch.progress:
            watch.progress(done, len(tiles))
    return Swept(total.double(), active.double(), pull, None if columns is None else opposite)


def finish(
    side: Side, other: Side | None, *, genuine: Tensor | None, impostor: Tensor, pull: Tensor
) -> Tensor:
    """Gradients [n, d] of a side in the pull's dtype and memory, from what pulls its unit rows.

    impostor multiplies the pull, float64 []; genuine is for kernels with the closed form.
    """
    assert genuine is None
    for rows in _chunks(side.x):
        inverse = side.inverse_lengths[rows, None].to(wide_dtype(side.x))
        unit = side.x[rows].to(inverse.dtype) * inverse
        force = pull[rows].to(inverse.dtype) * impostor.to(inverse.dtype)
        along = (force * unit).sum(dim=1, keepdim=True)
        pull[rows] = ((force - along * unit) * inverse).to(pull.dtype)
    return pull


def squared_lengths(x: Tensor) -> Tensor:
    """Squared length of each row, float64 [n]; may be 0 or infinite for float64 rows."""
    parts = [x[rows].to(wide_dtype(x)).square().sum(dim=1) for rows in _chunks(x)]
    return torch.cat(parts).double() if parts else x.new_empty(0, dtype=torch.float64)


def wide_dtype(x: Tensor) -> torch.dtype:
    """float64, or float32 where the device has none."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def pulls_of(side: Side) -> Tensor:
    """Where pulls are added up: zeros [n, d]."""
    dtype = torch.float64 if side.x.dtype == torch.float64 else torch.float32
    return torch.zeros(side.x.shape, dtype=dtype, device=side.x.device)


def _chunks(x: Tensor) -> Iterator[slice]:
    chunk = _CHUNK if x.device.type == "cpu" else _CHUNK_ELSEWHERE
    each = max(1, chunk // x.shape[1])
    for start in range(0, x.shape[0], each):
        yield slice(start, min(start + each, x.shape[0]))


def _unit_rows(side: Side, positions: slice) -> Tensor:
    rows = side.order[positions]
    wide = side.x[rows].to(wide_dtype(side.x))
    return wide * side.inverse_lengths[rows, None].to(wide.dtype)


def _weights(side: Side, positions: slice) -> Tensor:
    rows = side.order[positions]
    ones = torch.ones(rows.shape, dtype=wide_dtype(side.x), device=rows.device)
    return ones if side.weight is None else side.weight[rows].to(ones.dtype)


def _tiles(
    rows: Side, other: Side, hinge: Hinge, *, symmetric: bool
) -> Iterator[tuple[slice, slice]]:
    """Tiles that hold a pair of the kind; spans grow with the position, so their corners tell."""
    k, m = rows.order.shape[0], other.order.shape[0]
    corners = [
        (top, min(top + _TILE, k), left, min(left + _TILE, m))
        for top in range(0, k, _TILE)
        for left in range(0, m, _TILE)
        if not symmetric or left + _TILE > top
    ]
    first, last = rows.first.tolist(), rows.last.tolist()
    for top, bottom, left, right in corners:
        if hinge.genuine:
            holds = right > first[top] and left < last[bottom - 1]
        else:
            holds = left < first[bottom - 1] or right > last[top]
        if holds:
            yield slice(top, bottom), slice(left, right)


def _paired(rows: Side, top: slice, left: slice, hinge: Hinge, *, symmetric: bool) -> Tensor:
    """The tile's pairs of the kind, bool."""
    position = torch.arange(left.start, left.stop, device=rows.order.device)[None, :]
    paired = (position >= rows.first[top, None]) & (position < rows.last[top, None])
    if not hinge.genuine:
        paired = ~paired
    if symmetric:
        own = torch.arange(top.start, top.stop, device=rows.order.device)[:, None]
        paired &= position > own
    return paired


def _add(pull: Tensor, rows: Tensor, force: Tensor) -> None:
    pull.index_add_(0, rows, force.to(pull.dtype))


def _count(watch: Watch, hinge: Hinge, paired: Tensor, costs: Tensor) -> None:
    stats = watch.stats
    if stats is None:
        return
    stats.tiles += 1
    stats.tiles_dense += 1
    stats.pairs_evaluated += int(paired.sum())
    if hinge.genuine:
        stats.active_genuine += int(costs.sum())
    else:
        stats.active_impostor += int(costs.sum())
