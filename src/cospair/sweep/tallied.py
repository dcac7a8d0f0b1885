"""Counts between edges by the kernel that counts every pair: what `tails` does where it can run.

Decisions of this file:

- Keys are cosines times 2^50, rounded: a step is a tenth of the 1e-14 within which a pair stands at
  an edge, and float64 cosines err as much.
- Rows of lengths that double precision can invert are read where they lie; others as unit rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cospair.kernels import cpu_tally
from cospair.kernels.sweeps import TIE, Side
from cospair.kernels.tallies import Request, cells_over
from cospair.sweep.tiles import Progress, Rows, spans

_SCALE = 2.0**50
_CELLS = 1 << 15
_CHUNK = 1 << 20  # elements that become unit rows at once


def refuses(x: Tensor) -> str:
    """Why the pairs of these rows cannot be counted so, or nothing."""
    return cpu_tally.unavailable() or cpu_tally.refuses(x.device, x.dtype)


def binned(
    rows: tuple[Rows, Tensor, Tensor],
    columns: tuple[Rows, Tensor, Tensor] | None,
    edges: Tensor,
    progress: Progress | None,
) -> tuple[Tensor, Tensor]:
    """Genuine and impostor pairs [edges + 1] by the number of edges under them; none at 0.

    A side is rows, the order that sorts them by label, and the labels in that order.
    """
    keys, which = ((edges - TIE) * _SCALE).ceil().unique(return_inverse=True)
    cells = cells_over(-_SCALE, _SCALE, _CELLS)
    own, other = _side(rows, columns or rows), columns and _side(columns, rows)
    packed = cpu_tally.packed(other or own)
    found = []
    for genuine in (True, False):
        asked = Request(genuine, _SCALE, keys, cells)
        shown = None if genuine else progress  # as good as all pairs are impostors' as a rule
        counts = cpu_tally.tally(own, other, packed, asked, shown).counts
        at_least = counts.flip(0).cumsum(0).flip(0)[1::2][which]
        above = torch.cat([at_least[1:], at_least.new_zeros(1)])
        found.append(torch.cat([at_least.new_zeros(1), at_least - above]))
    return found[0], found[1]


def _side(own: tuple[Rows, Tensor, Tensor], opposite: tuple[Rows, Tensor, Tensor]) -> Side:
    rows, order, labels = own
    first = torch.searchsorted(opposite[2], labels)
    last = torch.searchsorted(opposite[2], labels, right=True)
    x, inverse = _readable(rows)
    return Side(x, inverse, order, first, last, None)


def _readable(rows: Rows) -> tuple[Tensor, Tensor]:
    """Rows and what makes them unit rows."""
    if rows.ordinary and (rows.x.stride(1) == 1 or rows.x.shape[1] == 1):
        return rows.x.resolve_neg(), 1.0 / (rows.largest * rows.lengths)
    unit = torch.empty(rows.x.shape, dtype=torch.float64)
    for some in spans(len(rows), max(1, _CHUNK // rows.x.shape[1])):
        unit[some] = rows.unit(some, torch.float64)
    return unit, torch.ones(len(rows), dtype=torch.float64)
