"""The loss over all pairs as an operator, for graphs that torch.compile and torch.export make.

The operator returns the gradients beside the loss: a graph that was compiled must not sweep twice.
Asked for without a gradient they are empty.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cospair.kernels.sweeps import Watch
from cospair.sweep.batch import Batch, Hinges
from cospair.sweep.gradients import kernel_for, loss_and_gradients

torch.library.define(
    "cospair::all_pairs_loss",
    "(Tensor x, Tensor labels, Tensor? other, Tensor? other_labels, Tensor? weight, "
    "Tensor? other_weight, float margin, float positive_margin, str reduction, int power, "
    "str kernel, bool wanted1, bool wanted2) -> (Tensor, Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def all_pairs_loss(batch: Batch, hinges: Hinges, kernel: str) -> Tensor:
    """Loss, float64 [], of the pairs of a batch."""
    wanted = [x is not None and x.requires_grad for x in (batch.x, batch.other)]
    return torch.ops.cospair.all_pairs_loss(*batch, *hinges, kernel, *wanted)[0]


@torch.library.impl("cospair::all_pairs_loss", ("cpu", "cuda"))
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    batch, hinges, (kernel, *wanted) = _read(arguments)
    chosen = kernel_for(kernel, batch, hinges)
    loss, gradients = loss_and_gradients(
        batch, hinges, chosen, Watch(), wanted=(wanted[0], wanted[1])
    )
    first, second = (loss.new_empty(0) if g is None else g for g in gradients)
    return loss, first, second


@torch.library.register_fake("cospair::all_pairs_loss")
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, (_, *wanted) = _read(arguments)
    loss = batch.x.new_empty((), dtype=torch.float64)
    wide = torch.float64 if batch.x.dtype == torch.float64 else torch.float32
    first, second = (
        x.new_empty(x.shape, dtype=wide) if x is not None and wish else loss.new_empty(0)
        for x, wish in zip((batch.x, batch.other), wanted, strict=True)
    )
    return loss, first, second


def _read(arguments: tuple[Any, ...]) -> tuple[Batch, Hinges, tuple[Any, ...]]:
    return Batch(*arguments[:6]), Hinges(*arguments[6:10]), arguments[10:]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.wanted, ctx.dtype = inputs[-2:], inputs[0].dtype
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*output[1:])


def _backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    first, second = (
        (g * upstream.to(g.dtype)).to(ctx.dtype) if wish and upstream is not None else None
        for g, wish in zip(ctx.saved_tensors, ctx.wanted, strict=True)
    )
    return first, None, second, *(None,) * 10


torch.library.register_autograd("cospair::all_pairs_loss", _backward, setup_context=_keep)
