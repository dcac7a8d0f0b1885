"""The pair loss in plain torch: the definition, any dtype and device, twice differentiable.

It serves where the fused kernels cannot: under torch.compile, torch.func and forward-mode AD, for
second derivatives, and where nothing was compiled. Decisions of this file:

- It computes in float64 (float32 where a device has none), so that narrow inputs neither overflow
  nor lose figures; float64 rows are first brought to size 1 by a power of two.
- A cosine near +-1 is held as `anchor + rest`, rest taken from the difference of the unit rows: 1 -
  s is then as exact as s itself would be near 0, and equal rows cost exactly 0 with gradient
  exactly 0.
- A zero row has cosine 0 with everything and gradient 0. NaN takes its whole pair: the loss and
  both rows' gradients, a zero row's too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def unavailable() -> str:
    """Why this kernel cannot run here; empty, because it always can."""
    return ""


def refuses(device: torch.device, dtype: torch.dtype) -> str:
    """Why this kernel does not take such tensors; empty, because it takes all."""
    return ""


def unit_rows(x: Tensor) -> Tensor:
    """Rows [n, d] divided by their length, in the wide dtype; zero rows stay, gradient zero."""
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    x = x.contiguous()  # equal rows are summed in the same order however they lie
    if x.dtype == wide:
        largest = x.detach().abs().amax(dim=-1, keepdim=True)
        x = x / torch.where(
            largest > 0, torch.exp2(torch.floor(torch.log2(largest)).clamp(max=1023)), 1.0
        )
    x = x.to(wide)
    squared = (x * x).sum(dim=-1, keepdim=True)
    zero = squared == 0
    # over infinity, a zero row's gradient is 0 but where NaN comes from the row beside it
    length = torch.where(zero, math.inf, torch.where(zero, 1.0, squared).sqrt())
    return x / (length + 0.0 * squared.detach())  # infinity makes NaN of its whole row


def cosine(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine of paired rows as (anchor, rest), each [n]; s = anchor + rest."""
    u, v = unit_rows(x1), unit_rows(x2)
    s = (u * v).sum(dim=-1)
    sign = torch.where(s.detach() < 0, -1.0, 1.0).to(s.dtype)
    difference = u - sign.unsqueeze(-1) * v
    gap = 0.5 * (difference * difference).sum(dim=-1)
    near = s.detach().abs() > 0.5
    anchor = torch.where(near, sign, 0.0)
    return anchor, torch.where(near, -sign * gap, s)


def pair_losses(
    x1: Tensor, x2: Tensor, target: Tensor, *, margin: float, positive_margin: float
) -> Tensor:
    """Loss of each pair [n] in the wide dtype; an invalid target makes it and its gradients NaN."""
    anchor, rest = cosine(x1, x2)
    genuine = target if target.dtype == torch.bool else target == 1
    hinge = torch.where(genuine, (positive_margin - anchor) - rest, (anchor - margin) + rest)
    if target.dtype != torch.bool:
        hinge = hinge * torch.where(genuine | (target == -1), 1.0, math.nan)
    return torch.relu(hinge)


def reduce(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Losses as they are, their sum, or their weighted mean (0 over nothing)."""
    if weight is not None:
        weight = weight.to(losses.dtype)
        weight = scaled(weight) if reduction == "mean" else weight
        losses = losses * weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if weight is None:
        return losses.sum() / max(losses.shape[0], 1)
    total = weight.sum()
    return losses.sum() / torch.where(total > 0, total, 1.0)


def scaled(weight: Tensor) -> Tensor:
    """Weights over their largest: a weighted mean is the same, and its sums stay in range."""
    if weight.shape[0] == 0:
        return weight
    largest = weight.detach().amax()
    return weight / torch.where(largest > 0, largest, 1.0)


def pair_loss(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    margin: float,
    positive_margin: float,
    reduction: str,
    dtype: torch.dtype,
) -> Tensor:
    """Loss [n] or [] of n pairs: x1, x2 [n or 1, d], target [n], weight [n] or None."""
    with torch.autocast(x1.device.type, enabled=False) if _autocast(x1) else _Nothing():
        losses = pair_losses(x1, x2, target, margin=margin, positive_margin=positive_margin)
        return reduce(losses, weight, reduction).to(dtype)


def gradients(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    upstream: Tensor,
    wanted: tuple[bool, bool],
    *,
    margin: float,
    positive_margin: float,
    reduction: str,
    dtype: torch.dtype,
) -> list[Tensor | None]:
    """Gradients of x1 and x2 where wanted, themselves with a graph where grad mode is on."""
    with torch.enable_grad():
        # aliases: one input may depend on the other, and that path is the caller's to walk
        x1, x2 = x1.view_as(x1), x2.view_as(x2)
        loss = pair_loss(
            x1,
            x2,
            target,
            weight,
            margin=margin,
            positive_margin=positive_margin,
            reduction=reduction,
            dtype=dtype,
        )
    inputs = [x for x, wish in zip((x1, x2), wanted, strict=True) if wish]
    found = iter(torch.autograd.grad(loss, inputs, upstream, create_graph=torch.is_grad_enabled()))
    return [next(found) if wish else None for wish in wanted]


def _autocast(x: Tensor) -> bool:
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


class _Nothing:
    """A context that does nothing, at no cost under torch.compile."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass
