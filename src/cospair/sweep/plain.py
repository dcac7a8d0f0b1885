"""All pairs in n x n form: the definition, differentiable as often as wanted.

It serves where the sweep cannot: for the matrix itself, second derivatives, torch.func's
transforms, forward-mode AD, tracing, and weights that want a gradient. It holds several matrices of
n x n float64 numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cospair.kernels import reference
from cospair.kernels.sweeps import TIE
from cospair.sweep.batch import Batch, Hinges


def loss(batch: Batch, hinges: Hinges) -> Tensor:
    """Loss [] of a batch's pairs, or its matrix [n, m] for 'none'; wide dtype."""
    rows = reference.unit_rows(batch.x)
    columns = rows if batch.other is None else reference.unit_rows(batch.other)
    return of_unit_rows(rows, columns, batch, hinges)


def of_unit_rows(rows: Tensor, columns: Tensor, batch: Batch, hinges: Hinges) -> Tensor:
    """The same from the unit rows of both sides."""
    cosines = rows @ columns.T
    genuine = batch.labels[:, None] == batch.opposite_labels[None, :]
    impostor = ~genuine
    if batch.other is None:
        genuine, impostor = genuine.triu(1), impostor.triu(1)
    zero = torch.zeros((), dtype=cosines.dtype, device=cosines.device)
    of_genuine = torch.where(genuine, _cost(cosines, hinges.positive_margin, -1.0), zero)
    of_impostor = torch.where(impostor, _cost(cosines, hinges.margin, 1.0), zero)
    kinds = (genuine, impostor)
    if hinges.reduction == "active":
        kinds = of_genuine > 0, of_impostor > 0
    if hinges.power == 2:
        of_genuine, of_impostor = of_genuine.square(), of_impostor.square()
    weights = _pair_weights(batch, cosines)
    if hinges.reduction == "none":
        return (of_genuine + of_impostor) * weights
    sums = [(of_genuine * weights).sum(), (of_impostor * weights).sum()]
    counts = [torch.where(kind, weights, zero).sum() for kind in kinds]
    shares = shares_of(hinges.reduction, *counts)
    return sums[0] * shares[0] + sums[1] * shares[1]


def shares_of(reduction: str, genuine: Tensor, impostor: Tensor) -> tuple[Tensor, Tensor]:
    """What both kinds' sums are multiplied by, given the weights of what they are means of."""
    if reduction == "sum":
        return torch.ones_like(genuine), torch.ones_like(impostor)
    if reduction == "mean":
        genuine = impostor = genuine + impostor
    return _inverse(genuine), _inverse(impostor)


def _inverse(weight: Tensor) -> Tensor:
    """1 over it, and 0 of nothing."""
    return torch.where(weight > 0, 1.0 / torch.where(weight > 0, weight, 1.0), 0.0)


def _cost(cosines: Tensor, margin: float, sign: float) -> Tensor:
    """max(0, sign * (s - margin)), 0 within a tie's distance of the hinge; NaN stays."""
    hinge = (cosines.clamp(-1.0, 1.0) - margin) * sign
    return torch.relu(hinge.masked_fill(hinge.abs() <= TIE, 0.0))


def _pair_weights(batch: Batch, cosines: Tensor) -> Tensor:
    """Weights [n, m] of the pairs, or [1, 1] where all are 1."""
    if batch.weight is None and batch.other_weight is None:
        return torch.ones((1, 1), dtype=cosines.dtype, device=cosines.device)
    rows = cosines.new_ones(cosines.shape[0]) if batch.weight is None else batch.weight
    if batch.other is None:
        columns = rows
    else:
        ones = cosines.new_ones(cosines.shape[1])
        columns = ones if batch.other_weight is None else batch.other_weight
    return rows.to(cosines.dtype)[:, None] * columns.to(cosines.dtype)[None, :]
