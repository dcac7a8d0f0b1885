"""What a kernel that counts every pair along an axis of scores is given, and what it gives back.

Each such kernel (`cpu_tally`, `reference_tally`) is two functions,

    packed(side) -> whatever the kernel keeps of the columns
    tally(rows, columns, packed, request, progress) -> Tallied

over the pairs of one kind: those of `rows` with `columns`, or, where columns is None, the pairs
i < j of `rows`. Unit rows come in float64.

A pair's key is its cosine, cut to [-1, 1], times `scale` and rounded to a whole number, halves to
even. Edges, windows and cells are whole keys too, so no comparison is left to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from cospair.kernels.sweeps import Side

Progress = Callable[[int, int], object]  # (parts done, parts in all)


class Cells(NamedTuple):
    """Equal cells along the axis; the first and the last hold whatever lies beyond them."""

    low: int  # lowest key of the first cell
    width: int  # a power of two
    size: int

    def starts(self) -> Tensor:
        """Lowest key of each cell, float64 [size]; of the first, the lowest within."""
        return torch.arange(self.size, dtype=torch.float64) * self.width + self.low

    def number(self, keys: Tensor) -> Tensor:
        """Cell of each key, int64."""
        return ((keys - self.low) / self.width).floor().clamp_(0, self.size - 1).to(torch.int64)


def cells_over(lowest: float, highest: float, count: int) -> Cells:
    """At most so many cells over keys from the lowest to the highest."""
    width = 1 << max(0, math.ceil(math.log2(max(highest - lowest + 1, 1) / max(count - 1, 1))))
    low = math.floor(lowest / width) * width
    return Cells(low, width, min(count, int((highest - low) // width) + 1))


class Request(NamedTuple):
    """What is asked of the pairs of a kind."""

    genuine: bool
    scale: float
    edges: Tensor  # float64 [t], whole, ascending, none twice, at least one
    cells: Cells
    windows: tuple[tuple[float, float], ...] = ()  # keys in [from, to) are collected
    capacity: int = 0  # of them, a window
    extremes: int = 0  # so many pairs of the highest keys
    lowest: bool = False  # of the lowest instead
    codes: tuple[Tensor, Tensor, int] | None = None  # of both sides' rows, below that number
    bins: Tensor | None = None  # int32 [cells.size]: the bin of each cell, for counts by code


class Tallied(NamedTuple):
    """Whole numbers of pairs."""

    counts: Tensor  # int64 [2 t + 1]: below the first edge, at it, up to the second, at it, ...
    cells: Tensor  # int64 [cells.size]
    windows: tuple[Tensor, ...]  # keys, float64, in no order; at most about the capacity
    found: tuple[int, ...]  # pairs in each window, also those that were not kept
    extremes: tuple[tuple[float, int, int], ...]  # (key, row, other row), most extreme first
    marginals: Tensor | None  # int64 [codes, bins], every pair under both of its codes


def sorted_sides(
    unit: Tensor, labels: Tensor, other: Tensor | None = None, other_labels: Tensor | None = None
) -> tuple[Side, Side | None]:
    """Sides of float64 unit rows [n, d] and [m, d] with labels int64, sorted by label."""
    given = [(unit, *labels.sort(stable=True))]
    if other is not None and other_labels is not None:
        given.append((other, *other_labels.sort(stable=True)))
    sides = [
        Side(
            rows,
            torch.ones(len(rows), dtype=torch.float64),
            order,
            torch.searchsorted(opposite, own),
            torch.searchsorted(opposite, own, right=True),
            None,
        )
        for (rows, own, order), (_, opposite, _) in zip(given, reversed(given), strict=True)
    ]
    return sides[0], sides[1] if len(sides) > 1 else None
