"""What the loss over all pairs is of, and how it is brought into the shape that kernels sweep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from cospair.kernels.sweeps import Side, wide_labels

_LEAST, _MOST = 2.0**-180, 2.0**180  # squared lengths that a kernel takes as they are


class Hinges(NamedTuple):
    """What decides a pair's cost: genuine pay under positive_margin, impostors above margin."""

    margin: float
    positive_margin: float
    reduction: str
    power: int = 1


class Batch(NamedTuple):
    """Labelled embeddings: every pair i < j of x, or every pair of x with other."""

    x: Tensor  # [n, d]
    labels: Tensor  # [n], integers
    other: Tensor | None = None  # [m, d], x's dtype
    other_labels: Tensor | None = None  # [m]
    weight: Tensor | None = None  # [n]
    other_weight: Tensor | None = None  # [m]

    @property
    def opposite_labels(self) -> Tensor:
        """Labels of the columns."""
        return self.labels if self.other_labels is None else self.other_labels


class Prepared(NamedTuple):
    """A side for the kernels, and what they cannot see of it."""

    side: Side
    rescaled: Tensor | None  # [n] float64: what brought the rows to lengths that kernels take
    finite: Tensor  # bool [n]


Lengths = Callable[[Tensor], Tensor]  # squared length of each row, float64 [n]


def prepare(batch: Batch, squared_lengths: Lengths) -> tuple[Prepared, Prepared | None]:
    """Both sides of a batch, sorted by label; the second is None for the pairs within x."""
    with torch.no_grad():
        labels, orders = _sorted(batch)
        rows = _prepared(batch.x, batch.weight, squared_lengths)
        if batch.other is None:
            return _with_spans(rows, orders[0], labels[0], orders[0], labels[0], rows), None
        columns = _prepared(batch.other, batch.other_weight, squared_lengths)
        rows, columns = _alike(rows, columns)
        return (
            _with_spans(rows, orders[0], labels[0], orders[1], labels[1], columns),
            _with_spans(columns, orders[1], labels[1], orders[0], labels[0], rows),
        )


def pair_weights(batch: Batch) -> tuple[Tensor, Tensor]:
    """Weights of all genuine and of all impostor pairs, float64 []."""
    with torch.no_grad():
        labels, orders = _sorted(batch)
        of_class = [
            _running(w, order)
            for w, order in zip((batch.weight, batch.other_weight), orders, strict=False)
        ]
        first = torch.searchsorted(labels[-1], labels[0])
        last = torch.searchsorted(labels[-1], labels[0], right=True)
        weight = of_class[0].diff()
        opposite = (of_class[-1][last] - of_class[-1][first]) * weight
        if batch.other is not None:
            genuine, pairs = opposite.sum(), of_class[0][-1] * of_class[1][-1]
        else:
            squares = (weight * weight).sum()
            genuine, pairs = (opposite.sum() - squares) / 2, (of_class[0][-1] ** 2 - squares) / 2
        return genuine, (pairs - genuine).clamp(min=0)


def _running(weight: Tensor | None, order: Tensor) -> Tensor:
    """Sums [k + 1] of the weights of the first positions, exact for weights of 1."""
    if weight is None:
        return torch.arange(order.shape[0] + 1, device=order.device, dtype=torch.float64)
    start = torch.zeros(1, dtype=torch.float64, device=order.device)
    return torch.cat([start, weight.detach().to(torch.float64)[order].cumsum(0)])


def _sorted(batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Sorted labels of each side as int64, and the orders that sort them."""
    given = [batch.labels] if batch.other_labels is None else [batch.labels, batch.other_labels]
    wide = [wide_labels(x) for x in given]
    orders = [torch.argsort(x, stable=True) for x in wide]
    return [x[order] for x, order in zip(wide, orders, strict=True)], orders


def _prepared(x: Tensor, weight: Tensor | None, squared_lengths: Lengths) -> Prepared:
    """A side without order or spans."""
    x = x.detach().resolve_neg()
    x = x if x.stride(-1) == 1 or x.shape[1] == 1 else x.contiguous()
    squares = squared_lengths(x)
    ordinary = (squares >= _LEAST) & (squares <= _MOST)
    rescaled = None
    if x.device.type != "cpu":  # nothing may look at values: all rows are rescaled
        x, squares, rescaled = _rescaled(x, squares, squared_lengths)
    elif not bool(ordinary.all()):
        x, squares, rescaled = _within_reach(x, squares, ordinary, squared_lengths)
    finite = squares < math.inf
    inverse = torch.where((squares > 0) & finite, squares.rsqrt(), 0.0)
    wide = None if weight is None else weight.detach().to(torch.float64).contiguous()
    if x.device.type != "cpu":
        wide = finite.to(torch.float64) if wide is None else torch.where(finite, wide, 0.0)
    none = squares.new_empty(0, dtype=torch.int64)
    return Prepared(Side(x, inverse, none, none, none, wide), rescaled, finite)


def _within_reach(
    x: Tensor, squares: Tensor, ordinary: Tensor, squared_lengths: Lengths
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Rows of lengths that kernels take, their squared lengths, and what multiplied them."""
    rows = (~ordinary).nonzero().reshape(-1)
    some = x[rows]
    largest = some.abs().amax(dim=1).to(torch.float64)
    if bool(((largest == 0) | ~largest.isfinite()).all()):  # zero rows and what is not finite
        return x, squares.masked_fill(squares.isnan(), math.inf), None
    wide = x.to(torch.float64 if x.dtype == torch.float64 else torch.float32, copy=True)
    factor = torch.ones_like(squares)
    halves = _halves(largest)
    wide[rows] = (some.to(torch.float64) * halves[0] * halves[1]).to(wide.dtype)
    factor[rows] = (halves[0] * halves[1]).reshape(-1)
    squares = squared_lengths(wide)
    return wide, squares.masked_fill(squares.isnan(), math.inf), factor


def _halves(largest: Tensor) -> tuple[Tensor, Tensor]:
    """Two powers of two, float64 [n, 1], that bring rows of that largest element near 1.

    Of numbers that are very small or very large, the two together may overflow.
    """
    reachable = (largest > 0) & largest.isfinite()
    exponent = torch.floor(torch.log2(torch.where(reachable, largest, 1.0)))
    half = torch.trunc(exponent / 2)
    return torch.exp2(-half)[:, None], torch.exp2(half - exponent)[:, None]


def _rescaled(
    x: Tensor, squares: Tensor, squared_lengths: Lengths
) -> tuple[Tensor, Tensor, Tensor | None]:
    """All rows near length 1, 0 where a row is not finite, without a look at values."""
    largest = x.abs().amax(dim=1).to(torch.float64) if x.shape[0] else squares
    finite = largest.isfinite() & ~squares.isnan()
    if x.dtype == torch.float16:  # of any length that kernels take
        return torch.where(finite[:, None], x, 0), torch.where(finite, squares, math.inf), None
    halves = _halves(largest)
    near = torch.where(finite[:, None], x * halves[0].to(x.dtype) * halves[1].to(x.dtype), 0)
    squares = torch.where(finite, squared_lengths(near), math.inf)
    return near, squares, (halves[0] * halves[1]).reshape(-1)


def _alike(rows: Prepared, columns: Prepared) -> tuple[Prepared, Prepared]:
    """Both sides in one dtype, where one of them had to be widened."""
    dtype = torch.promote_types(rows.side.x.dtype, columns.side.x.dtype)

    def widened(own: Prepared) -> Prepared:
        return own._replace(side=own.side._replace(x=own.side.x.to(dtype)))

    return widened(rows), widened(columns)


def _with_spans(
    own: Prepared,
    order: Tensor,
    labels: Tensor,
    other_order: Tensor,
    other_labels: Tensor,
    other: Prepared,
) -> Prepared:
    """The side with its rows that take part in order, and the spans of their labels opposite."""
    if own.finite.device.type == "cpu":
        order, labels = _taking_part(order, labels, own.finite)
        other_labels = _taking_part(other_order, other_labels, other.finite)[1]
    first = torch.searchsorted(other_labels, labels)
    last = torch.searchsorted(other_labels, labels, right=True)
    return own._replace(side=own.side._replace(order=order, first=first, last=last))


def _taking_part(order: Tensor, labels: Tensor, finite: Tensor) -> tuple[Tensor, Tensor]:
    kept = finite[order]
    return (order, labels) if bool(kept.all()) else (order[kept], labels[kept])
