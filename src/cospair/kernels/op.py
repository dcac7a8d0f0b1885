"""The fused kernels as operators, for graphs that torch.compile and torch.export make.

Decisions of this file:

- Two operators: the loss, and the gradients from the inputs once the upstream gradient is known. In
  eager mode one pass does both; in a graph the gradient of that pass would have to be multiplied
  by an upstream gradient that nobody knows to be 1, which reads and writes it all again: 8 N D
  elements moved where two passes over the inputs move 6.
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
    "str reduction, ScalarType dtype) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
torch.library.define(
    "cospair::pair_gradients",
    "(Tensor upstream, Tensor x1, Tensor x2, Tensor target, Tensor? weight, float margin, "
    "float positive_margin, str reduction, bool wanted1, bool wanted2) -> (Tensor, Tensor)",
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
    return torch.ops.cospair.pair_loss(
        x1.expand(n, -1),
        x2.expand(n, -1),
        target,
        weight,
        margin,
        positive_margin,
        reduction,
        dtype,
    )


@torch.library.register_fake("cospair::pair_loss")
def _(x1: Tensor, x2: Tensor, target: Tensor, weight: Any, *options: Any) -> Tensor:
    *_, reduction, dtype = options
    return x1.new_empty(target.shape if reduction == "none" else (), dtype=dtype)


@torch.library.register_fake("cospair::pair_gradients")
def _(upstream: Tensor, x1: Tensor, x2: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    *_, wanted1, wanted2 = rest
    return (
        x1.new_empty(x1.shape if wanted1 else (0,)),
        x2.new_empty(x2.shape if wanted2 else (0,)),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x1, x2, target, weight, *ctx.options, _ = inputs
    ctx.save_for_backward(x1, x2, target, weight)


def _backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[:2]
    gradients = torch.ops.cospair.pair_gradients(
        upstream, *ctx.saved_tensors, *ctx.options, *wanted
    )
    kept = (g if wish else None for g, wish in zip(gradients, wanted, strict=True))
    return *kept, None, None, None, None, None, None


def _refuse(ctx: Any, *upstream: Tensor) -> None:
    raise RuntimeError(
        "second derivatives of the loss must not go through its operator, got a backward of its "
        "gradients; use kernel='reference' in what you compile or export"
    )


torch.library.register_autograd("cospair::pair_loss", _backward, setup_context=_keep)
torch.library.register_autograd("cospair::pair_gradients", _refuse)

for _kernel, _device in ((cpu, "cpu"), (triton_gpu, "cuda")):
    torch.library.impl("cospair::pair_loss", _device)(_kernel.loss_alone)
    torch.library.impl("cospair::pair_gradients", _device)(_kernel.gradients)
