"""The fused kernels as operators, for graphs that torch.compile and torch.export make.

Decisions of this file:

- Two operators: the loss, and the gradients once the upstream gradient is known. Where that is 1,
  as after `loss.backward()`, the gradients are those that the loss's own pass has left behind
  (`kept_gradients`); for any other they are computed from the inputs again. Handing them over as
  outputs instead would have the graph multiply them by an upstream gradient that nobody knows to be
  1: 8 N D elements moved where one pass moves 4 and two move 6.
- An operator must not look at values to raise: an invalid target makes its pair's loss NaN.
- An input that is one row for all is expanded by the graph, which sums its gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cospair.kernels import cpu, triton_gpu

torch.library.define(
    "cospair::pair_loss",
    "(Tensor x1, Tensor x2, Tensor target, Tensor? weight, float margin, float positive_margin, "
    "str reduction, ScalarType dtype, bool wanted1, bool wanted2) -> (Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
torch.library.define(
    "cospair::pair_gradients",
    "(Tensor upstream, Tensor ticket, Tensor x1, Tensor x2, Tensor target, Tensor? weight, "
    "float margin, float positive_margin, str reduction, bool wanted1, bool wanted2) "
    "-> (Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)


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
    n = target.shape[0]
    learning = torch.is_grad_enabled()
    loss, _ = torch.ops.cospair.pair_loss(
        x1.expand(n, -1),
        x2.expand(n, -1),
        target,
        weight,
        margin,
        positive_margin,
        reduction,
        dtype,
        learning and x1.requires_grad,
        learning and x2.requires_grad,
    )
    return loss


@torch.library.register_fake("cospair::pair_loss")
def _(x1: Tensor, x2: Tensor, target: Tensor, weight: Any, *options: Any) -> tuple[Tensor, Tensor]:
    *_, reduction, dtype, _, _ = options
    loss = x1.new_empty(target.shape if reduction == "none" else (), dtype=dtype)
    return loss, x1.new_empty(1, dtype=torch.uint8)


@torch.library.register_fake("cospair::pair_gradients")
def _(
    upstream: Tensor, ticket: Tensor, x1: Tensor, x2: Tensor, *rest: Any
) -> tuple[Tensor, Tensor]:
    *_, wanted1, wanted2 = rest
    return (
        x1.new_empty(x1.shape if wanted1 else (0,)),
        x2.new_empty(x2.shape if wanted2 else (0,)),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x1, x2, target, weight, *ctx.options, _, _, _ = inputs
    ctx.save_for_backward(output[1], x1, x2, target, weight)


def _backward(ctx: Any, upstream: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[:2]
    gradients = torch.ops.cospair.pair_gradients(
        upstream, *ctx.saved_tensors, *ctx.options, *wanted
    )
    kept = (g if wish else None for g, wish in zip(gradients, wanted, strict=True))
    return *kept, *(None for _ in range(8))


def _refuse(ctx: Any, *upstream: Tensor) -> None:
    raise RuntimeError(
        "second derivatives of the loss must not go through its operator, got a backward of its "
        "gradients; use kernel='reference' in what you compile or export"
    )


torch.library.register_autograd("cospair::pair_loss", _backward, setup_context=_keep)
torch.library.register_autograd("cospair::pair_gradients", _refuse)

for _kernel, _device in ((cpu, "cpu"), (triton_gpu, "cuda")):
    torch.library.impl("cospair::pair_loss", _device)(_kernel.loss_and_ticket)
    torch.library.impl("cospair::pair_gradients", _device)(_kernel.gradients)
