"""Every pair counted on the CPU, in C++: float64 products in registers, counted before they leave.

Decisions of this file:

- Products are taken once, in float64 (`csrc/products.cpp`), each a chain of fused products over
  the features: the same bits in whatever tile and thread. On x86 without fused products a cosine
  may differ in its last bits.
- Of the columns a packed copy is kept, n x d doubles; of the pairs nothing but counts.
"""

from __future__ import annotations

from typing import Any

import torch

from cospair.kernels import cpu
from cospair.kernels.cpu import refuses as refuses
from cospair.kernels.cpu import unavailable as unavailable
from cospair.kernels.sweeps import Side
from cospair.kernels.tallies import Progress, Request, Tallied

_BUILD = 0  # the best that this processor can run; tests take the others too


def packed(side: Side) -> Any:
    """The side as columns of products."""
    if not side.order.shape[0]:
        return None
    assert cpu._cpu is not None
    return cpu._cpu.Panels(tuple(side), _BUILD)


def tally(
    rows: Side, columns: Side | None, packed: Any, request: Request, progress: Progress | None
) -> Tallied:
    """Counts of the pairs of one kind; see `cospair.kernels.tallies`."""
    opposite = columns or rows
    if not rows.order.shape[0] or not opposite.order.shape[0]:
        return _none(request)
    assert cpu._cpu is not None
    cells = request.cells
    axis = (
        request.scale,
        float(cells.low),
        1.0 / cells.width,
        cells.size,
        request.edges,
        request.lowest,
    )
    held = cpu._cpu.Tally(
        tuple(rows),
        columns and tuple(columns),
        packed,
        request.genuine,
        axis,
        (list(request.windows), request.capacity),
        request.extremes,
        _by_code(request, rows, opposite),
    )
    for part in range(held.parts):
        held.part(part)
        if progress:
            progress(part + 1, held.parts)
    marginals = None
    if request.codes is not None:
        marginals = held.marginals().view(request.codes[2], -1)
    windows = range(len(request.windows))
    return Tallied(
        held.counts(),
        held.cells(),
        tuple(held.window(w) if held.found(w) else torch.empty(0).double() for w in windows),
        tuple(held.found(w) for w in windows),
        tuple(held.extremes()),
        marginals,
    )


def _by_code(request: Request, rows: Side, columns: Side) -> tuple[Any, ...] | None:
    """What counts by code need: codes of positions, and the bins of cells."""
    if request.codes is None or request.bins is None:
        return None
    own, others, codes = request.codes
    bins = int(request.bins.max()) + 1
    return own[rows.order], others[columns.order], codes, request.bins, bins


def _none(request: Request) -> Tallied:
    """Of no pairs."""
    empty = torch.empty(0, dtype=torch.float64)
    marginals = None
    if request.codes is not None and request.bins is not None:
        shape = (request.codes[2], int(request.bins.max()) + 1)
        marginals = torch.zeros(shape, dtype=torch.int64)
    return Tallied(
        torch.zeros(2 * len(request.edges) + 1, dtype=torch.int64),
        torch.zeros(request.cells.size, dtype=torch.int64),
        (empty,) * len(request.windows),
        (0,) * len(request.windows),
        (),
        marginals,
    )
