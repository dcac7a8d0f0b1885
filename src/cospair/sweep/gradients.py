"""Loss and gradients over all pairs in one sweep a kind, by a kernel of the sweep."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from cospair import kernels
from cospair.kernels.sweeps import Hinge, Swept, Watch
from cospair.sweep import plain
from cospair.sweep.batch import Batch, Hinges, Prepared, pair_weights, prepare


def kernel_for(name: str, batch: Batch, hinges: Hinges) -> ModuleType:
    """The kernel of that name, or the fastest for 'auto'; the reference where it cannot square."""
    chosen = kernels.choose(name, batch.x.device, batch.x.dtype, kernels.SWEEPS)
    if hinges.power in chosen.POWERS:
        return chosen
    if name == "auto":
        return kernels.SWEEPS["reference"]
    raise RuntimeError(
        f"kernel={name!r} must know the power of the hinges, but it has no power={hinges.power}; "
        "use kernel='auto'"
    )


def loss_and_gradients(
    batch: Batch, hinges: Hinges, kernel: ModuleType, watch: Watch, *, wanted: tuple[bool, bool]
) -> tuple[Tensor, tuple[Tensor | None, Tensor | None]]:
    """Loss, float64 [], and its gradients in x and other, float32 or wider; unwanted ones None."""
    with torch.no_grad():
        at_once = _at_once(batch, hinges, kernel, watch, wanted=wanted[0])
        if at_once is not None:
            return at_once
        batch, unit = _normalised(batch)
        rows, columns = prepare(batch, kernel.squared_lengths)
        other = columns and columns.side
        power = hinges.power
        closed = (hinges.positive_margin, power) == (1.0, 1) and hasattr(kernel, "genuine_at_one")
        impostors = kernel.hinge_sweep(
            rows.side, other, Hinge(False, hinges.margin, power), wanted=wanted, watch=watch
        )
        genuine = (
            kernel.genuine_at_one(rows.side, other, watch=watch)
            if closed
            else kernel.hinge_sweep(
                rows.side,
                other,
                Hinge(True, hinges.positive_margin, power),
                wanted=wanted,
                watch=watch,
            )
        )
        of_genuine, of_impostors = _shares(batch, hinges.reduction, genuine, impostors, watch)
        if hinges.reduction == "sum":
            of_genuine, of_impostors = of_genuine * unit, of_impostors * unit
        loss = genuine.total * of_genuine + impostors.total * of_impostors
        gradients: list[Tensor | None] = [None, None]
        sides = [(rows, other, impostors.rows, genuine.rows)]
        if columns is not None:
            sides.append((columns, rows.side, impostors.columns, genuine.columns))
        for at, (own, opposite, pull, genuine_pull) in enumerate(sides):
            if pull is None:
                continue
            share = of_impostors
            if not closed:
                share = torch.ones_like(of_impostors)
                pull.mul_(of_impostors.to(pull.dtype))
                pull.addcmul_(genuine_pull, of_genuine.to(pull.dtype))
            gradients[at] = _finished(
                kernel,
                own,
                opposite,
                genuine=of_genuine if closed else None,
                impostor=share,
                pull=pull,
            )
        return _with_nan(loss, rows, columns), (gradients[0], gradients[1])


def _at_once(
    batch: Batch, hinges: Hinges, kernel: ModuleType, watch: Watch, *, wanted: bool
) -> tuple[Tensor, tuple[Tensor | None, Tensor | None]] | None:
    """The same of a small batch, by a kernel that takes all its pairs at once; else None.

    Who wants to see progress is shown that of a sweep.
    """
    given = (batch.other, batch.weight, watch.progress)
    if any(one is not None for one in given) or not hasattr(kernel, "small_batch"):
        return None
    margins = (hinges.margin, hinges.positive_margin)
    found = kernel.small_batch(
        batch.x,
        batch.labels,
        margins,
        hinges.power,
        hinges.reduction,
        wanted=wanted,
        watch=watch,
    )
    return found and (found[0], (found[1], None))


def _normalised(batch: Batch) -> tuple[Batch, Tensor]:
    """The batch with no weight above 1, and what a pair's weight is counted in, float64 [].

    Weights of any size then leave pulls within float32; means do not depend on their unit.
    """
    weights, units = [], []
    for weight in (batch.weight, batch.other_weight):
        unit = torch.ones((), dtype=torch.float64, device=batch.x.device)
        if weight is not None and weight.shape[0]:
            weight = weight.detach().to(torch.float64)
            unit = torch.exp2(torch.frexp(weight.amax())[1].to(torch.float64))
            weight = weight / unit
        weights.append(weight)
        units.append(unit)
    pair = units[0] * (units[0] if batch.other is None else units[1])
    return batch._replace(weight=weights[0], other_weight=weights[1]), pair


def _shares(
    batch: Batch, reduction: str, genuine: Swept, impostors: Swept, watch: Watch
) -> tuple[Tensor, Tensor]:
    """What both kinds' sums are multiplied by."""
    if watch.stats is not None:
        n, m = batch.labels.shape[0], batch.opposite_labels.shape[0]
        watch.stats.pairs += n * (n - 1) // 2 if batch.other is None else n * m
    weights = (genuine.active, impostors.active)
    if reduction in ("mean", "balanced"):
        weights = pair_weights(batch)
    return plain.shares_of(reduction, *weights)


def _finished(kernel: ModuleType, own: Prepared, opposite: Any, **pulled: Any) -> Tensor:
    """A side's gradient in its rows as they came; NaN for those that are not finite."""
    gradient = kernel.finish(own.side, opposite, **pulled)
    if own.rescaled is not None:
        gradient = gradient.to(torch.float64) * own.rescaled[:, None]
    if own.finite.device.type != "cpu" or own.side.order.shape[0] < own.finite.shape[0]:
        gradient = gradient.masked_fill_(~own.finite[:, None], math.nan)
    return gradient


def _with_nan(loss: Tensor, rows: Prepared, columns: Prepared | None) -> Tensor:
    """The loss, NaN where a row that is not finite is in a pair."""
    sides = [rows] if columns is None else [rows, columns]
    pairs = min(side.finite.shape[0] for side in sides) > (1 if columns is None else 0)
    finite = torch.stack([side.finite.all() for side in sides]).all()
    return torch.where(finite, loss, math.nan) if pairs else loss
