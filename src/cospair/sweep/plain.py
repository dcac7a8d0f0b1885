"""Every pair of a labelled batch, tile by tile, never holding n x n cosines.

The loss separates over pairs, so the gradient is known as soon as a tile is: one sweep computes the
loss and the gradient, in the memory of a tile. Decisions of this file:

- Rows are sorted by label once: only tiles whose label ranges overlap can hold genuine pairs and
  need a mask.
- Only tiles on and above the diagonal are computed; a pair (i < j) counts once and pulls both of
  its rows.
- Cosines are float64, whatever came in, so that a hinge decides rightly; a pair within 1e-14 of its
  hinge stands at it: parallel rows cost exactly 0 and are not counted as active.
- 'active' divides by counts that are known only after the sweep, so genuine and impostor gradients
  are kept apart.
- Second derivatives, transforms and 'none' go through the plain n x n form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cospair import kernels

_TILE = 1024
_TIE = 1e-14  # some rounding errors of a float64 cosine


class Hinges(NamedTuple):
    """What decides a pair's cost: genuine pay under positive_margin, impostors above margin."""

    margin: float
    positive_margin: float
    reduction: str


class _Tile(NamedTuple):
    rows: slice
    columns: slice
    cosines: Tensor  # [rows, columns], float64
    genuine: Tensor | None  # bool [rows, columns], i < j; None: none
    impostor: Tensor | None  # bool [rows, columns], i < j; None: all


def all_pairs_loss(x: Tensor, labels: Tensor, hinges: Hinges) -> Tensor:
    """Loss over every pair i < j of x [n, d] with labels [n]: float64 [], or [n, n] for 'none'."""
    order = torch.argsort(labels, stable=True)
    if hinges.reduction == "none" or not kernels.is_plain(x, labels):
        return _plain_loss(kernels.reference.unit_rows(x), labels, hinges)
    units, labels = kernels.reference.unit_rows(x)[order], labels[order]
    if units.requires_grad:
        loss: Tensor = _AllPairs.apply(units, labels, hinges)  # type: ignore[assignment]
        return loss
    return _sweep(units, labels, hinges, gradient=False)[0]


class _AllPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, units: Tensor, labels: Tensor, hinges: Hinges) -> Tensor:
        loss, gradient = _sweep(units, labels, hinges, gradient=True)
        ctx.save_for_backward(units, labels, gradient)
        ctx.hinges = hinges
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        units, labels, gradient = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return upstream * gradient, None, None
        loss = _plain_loss(units, labels, ctx.hinges)
        (gradient,) = torch.autograd.grad(loss, units, upstream, create_graph=True)
        return gradient, None, None


def _sweep(
    units: Tensor, labels: Tensor, hinges: Hinges, *, gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Loss and its gradient in the unit rows, both float64."""
    costs = [_Cost(units, gradient=gradient), _Cost(units, gradient=gradient)]
    for tile in _tiles(units, labels):
        if tile.genuine is not None:
            costs[0].add(tile, hinges.positive_margin, -1.0, tile.genuine)
        if tile.impostor is None or bool(tile.impostor.any()):
            costs[1].add(tile, hinges.margin, 1.0, tile.impostor)
    genuine_pairs, impostor_pairs = _pair_counts(labels)
    shares = _shares(
        hinges.reduction, genuine_pairs, impostor_pairs, costs[0].active, costs[1].active
    )
    loss = costs[0].total * shares[0] + costs[1].total * shares[1]
    if not gradient:
        return loss, None
    total = costs[0].gradient.mul_(shares[0]).add_(costs[1].gradient, alpha=shares[1])
    return loss, total.masked_fill_(units.isnan().any(dim=1, keepdim=True), math.nan)


def _shares(
    reduction: str,
    genuine_pairs: int,
    impostor_pairs: int,
    active_genuine: int,
    active_impostor: int,
) -> tuple[float, float]:
    """What one genuine and one impostor pair's loss are multiplied by; an empty kind adds 0."""
    if reduction == "sum":
        return 1.0, 1.0
    if reduction == "mean":
        each = 1.0 / max(genuine_pairs + impostor_pairs, 1)
        return each, each
    if reduction == "balanced":
        return 1.0 / max(genuine_pairs, 1), 1.0 / max(impostor_pairs, 1)
    return 1.0 / max(active_genuine, 1), 1.0 / max(active_impostor, 1)


def _pair_counts(labels: Tensor) -> tuple[int, int]:
    sizes = torch.unique(labels, return_counts=True)[1]
    n, genuine = labels.shape[0], int((sizes * (sizes - 1) // 2).sum())
    return genuine, n * (n - 1) // 2 - genuine


def _cost(cosines: Tensor, margin: float, sign: float) -> Tensor:
    """max(0, sign * (s - margin)), 0 within a tie's distance of the hinge; NaN stays."""
    hinge = (cosines - margin) * sign
    return torch.relu(hinge.masked_fill(hinge.abs() <= _TIE, 0.0))


class _Cost:
    """Running cost of one kind of pair: sum, active pairs, gradient in the unit rows."""

    def __init__(self, units: Tensor, *, gradient: bool) -> None:
        self.finite = units.nan_to_num()  # a NaN row is nobody's active pair and must not spread
        self.total = units.new_zeros(())
        self.active = 0
        self.gradient = torch.zeros_like(units) if gradient else units.new_zeros(0)

    def add(self, tile: _Tile, margin: float, sign: float, mask: Tensor | None) -> None:
        """Take the tile's pairs under the mask at cost max(0, sign * (s - margin))."""
        hinge = _cost(tile.cosines, margin, sign)
        if mask is not None:
            hinge.masked_fill_(~mask, 0.0)
        self.total += hinge.sum()
        active = hinge > 0
        count = int(active.sum())
        self.active += count
        if count and self.gradient.numel():
            pull = active.to(hinge.dtype).mul_(sign)
            self.gradient[tile.rows] += pull @ self.finite[tile.columns]
            self.gradient[tile.columns] += pull.T @ self.finite[tile.rows]


def _tiles(units: Tensor, labels: Tensor) -> Iterator[_Tile]:
    n = labels.shape[0]
    starts = range(0, n, _TILE)
    for top in starts:
        rows = slice(top, min(top + _TILE, n))
        for left in starts[top // _TILE :]:
            columns = slice(left, min(left + _TILE, n))
            cosines = (units[rows] @ units[columns].T).clamp_(-1.0, 1.0)
            yield _Tile(rows, columns, cosines, *_masks(labels, rows, columns))


def _masks(labels: Tensor, rows: slice, columns: slice) -> tuple[Tensor | None, Tensor | None]:
    """Genuine and impostor pairs i < j of a tile of label-sorted rows."""
    diagonal = rows == columns
    if not diagonal and labels[rows.stop - 1] != labels[columns.start]:
        return None, None
    same = labels[rows, None] == labels[None, columns]
    if not diagonal:
        return same, ~same
    return same.triu(1), (~same).triu(1)


def _plain_loss(units: Tensor, labels: Tensor, hinges: Hinges) -> Tensor:
    """The same loss in n x n form, differentiable as often as wanted."""
    cosines = units @ units.T
    same = labels[:, None] == labels[None, :]
    zero = torch.zeros((), dtype=cosines.dtype, device=cosines.device)
    genuine = torch.where(same.triu(1), _cost(cosines, hinges.positive_margin, -1.0), zero)
    impostor = torch.where((~same).triu(1), _cost(cosines, hinges.margin, 1.0), zero)
    if hinges.reduction == "none":
        return genuine + impostor
    pairs = [same.triu(1).sum(), (~same).triu(1).sum()]
    if hinges.reduction == "mean":
        return (genuine.sum() + impostor.sum()) / (pairs[0] + pairs[1]).clamp(min=1)
    if hinges.reduction == "balanced":
        return genuine.sum() / pairs[0].clamp(min=1) + impostor.sum() / pairs[1].clamp(min=1)
    if hinges.reduction == "active":
        active = [(genuine > 0).sum(), (impostor > 0).sum()]
        return genuine.sum() / active[0].clamp(min=1) + impostor.sum() / active[1].clamp(min=1)
    return genuine.sum() + impostor.sum()
