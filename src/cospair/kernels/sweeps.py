"""What a kernel of the tiled cosine sweep is given, and what it gives back.

Every kernel of the sweep (`cpu_sweep`, `triton_sweep`, `reference_sweep`) is one function,

    hinge_sweep(rows: Side, columns: Side | None, hinge: Hinge, *, wanted, watch) -> Swept

over the pairs of one kind, genuine or impostor: those of `rows` with `columns`, or, where columns
is None, the pairs i < j of `rows`, each once. None of them holds n x n numbers. Beside it stand
`squared_lengths(x)`, `finish`, which turns pulls into gradients, and, in a kernel that has the
closed form of genuine pairs at margin 1, `genuine_at_one`, and in one that takes all pairs of a
small batch at once, `small_batch`. `POWERS` lists the powers of a hinge
that a kernel knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

TIE = 1e-14  # some rounding errors of a float64 cosine: a pair so close to its hinge stands at it


def wide_labels(labels: Tensor) -> Tensor:
    """Integer labels as int64, unsigned 64-bit ones by their bits: equal where they were equal."""
    return labels.view(torch.int64) if labels.dtype == torch.uint64 else labels.to(torch.int64)


@dataclass
class SweepStats:
    """What a sweep did, filled by the call that is given it.

    Attributes:
        pairs: Pairs of the batch, genuine and impostor.
        pairs_evaluated: Pairs whose exact cosine was computed, one by one or in dense tiles; the
            others were shown by a bound to cost nothing.
        active_genuine: Genuine pairs that cost; with positive_margin=1 all that are not parallel.
        active_impostor: Impostor pairs that cost.
        tiles: Tiles of the sweep that hold a pair of the kind swept.
        tiles_screened: Tiles of which only the pairs that passed the screen were evaluated.
        tiles_dense: Tiles evaluated whole, by matrix products.

    Example:
        >>> import torch
        >>> from cospair import all_pairs_cosine_embedding_loss
        >>> stats = SweepStats()
        >>> labels = torch.tensor([0, 0, 1])
        >>> loss = all_pairs_cosine_embedding_loss(torch.eye(3), labels, stats=stats)
        >>> stats.pairs, stats.active_genuine, stats.active_impostor
        (3, 1, 0)
    """

    pairs: int = 0
    pairs_evaluated: int = 0
    active_genuine: int = 0
    active_impostor: int = 0
    tiles: int = 0
    tiles_screened: int = 0
    tiles_dense: int = 0


class Watch(NamedTuple):
    """Who wants to know what a sweep does."""

    stats: SweepStats | None = None
    progress: Callable[[int, int], object] | None = None  # (tiles done, tiles in all)


class Side(NamedTuple):
    """One side of a sweep: n rows of d features, of which k take part, sorted by label."""

    x: Tensor  # [n, d], any float dtype, lengths 0 or within 2 ** +-90, last stride 1
    inverse_lengths: Tensor  # [n] float64, 0 for a zero row
    order: Tensor  # [k] int64: the rows that take part, in sorted order; others are not finite
    first: Tensor  # [k] int64: the other side's sorted positions [first, last) have the same label
    last: Tensor  # [k] int64
    weight: Tensor | None  # [n] float64; None: ones


class Hinge(NamedTuple):
    """Which pairs pay and where: genuine ones under the margin, or impostors above it."""

    genuine: bool
    margin: float
    power: int = 1  # of the distance to the margin that a pair pays: 1 or 2


class Swept(NamedTuple):
    """Sums of a sweep; a pair weighs the product of its rows' weights."""

    total: Tensor  # float64 []: of the pairs' costs
    active: Tensor  # float64 []: of the weights of the pairs that cost
    rows: Tensor | None  # [n, d] float32 or float64: derivative of total in the unit rows of `rows`
    columns: Tensor | None  # [m, d]: the same in those of `columns`; None where that is None
