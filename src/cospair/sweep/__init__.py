"""Every pair of a labelled batch, tile by tile, never holding n x n cosines.

The loss separates over pairs, so the gradient is known as soon as a tile is: one sweep computes the
loss and the gradient. Decisions of this room:

- `batch` sorts the rows by label once: the pairs of a kind are then spans of columns, and tiles
  that hold none are not looked at. Of the pairs within x each is taken once and pulls at both rows.
- `cospair.kernels` sweeps the impostor pairs, and the genuine ones unless their margin is 1, where
  they have a closed form. Cosines decide in float64, whatever came in; a pair within 1e-14 of its
  hinge stands at it: parallel rows cost exactly 0 and are not counted as active.
- 'active' divides by counts that are known only after the sweep, so both kinds' pulls are kept
  apart until then.
- Backward hands the gradient over that forward computed. Second derivatives, transforms and 'none'
  go through `plain`, the n x n form.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from cospair import kernels
from cospair.kernels.sweeps import Watch
from cospair.sweep import op, plain
from cospair.sweep.batch import Batch, Hinges
from cospair.sweep.gradients import kernel_for, loss_and_gradients
from cospair.sweep.ranking import top_k
from cospair.sweep.tails import counts_above, histogram

__all__ = ["Batch", "Hinges", "all_pairs_loss", "counts_above", "histogram", "top_k"]


def all_pairs_loss(batch: Batch, hinges: Hinges, *, kernel: str, watch: Watch) -> Tensor:
    """Loss [] over the pairs of a batch, or [n, m] for 'none'; float64 or the batch's dtype."""
    chosen = kernel_for(kernel, batch, hinges)
    weights = (batch.weight, batch.other_weight)
    learned = any(w is not None and w.requires_grad for w in weights)
    if hinges.reduction == "none" or learned:
        return plain.loss(batch, hinges)
    if torch.compiler.is_compiling() and not torch._C._are_functorch_transforms_active():
        return op.all_pairs_loss(batch, hinges, kernel)
    if not kernels.is_plain(*batch):
        return plain.loss(batch, hinges)
    wanted = any(x is not None and x.requires_grad for x in (batch.x, batch.other))
    if wanted and torch.is_grad_enabled():
        loss: Tensor = _AllPairs.apply(batch.x, batch.other, batch, hinges, chosen, watch)  # type: ignore[assignment]
        return loss
    return loss_and_gradients(batch, hinges, chosen, watch, wanted=(False, False))[0]


class _AllPairs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        other: Tensor | None,
        batch: Batch,
        hinges: Hinges,
        kernel: ModuleType,
        watch: Watch,
    ) -> Tensor:
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        loss, ctx.gradients = loss_and_gradients(batch, hinges, kernel, watch, wanted=wanted)
        ctx.save_for_backward(*batch)
        ctx.hinges = hinges
        ctx.again = (kernel, wanted)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        batch = Batch(*ctx.saved_tensors)
        if torch.is_grad_enabled():
            return *_differentiable(batch, ctx.hinges, upstream), None, None, None, None
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:  # a second backward through a retained graph
            kernel, wanted = ctx.again
            gradients = loss_and_gradients(batch, ctx.hinges, kernel, Watch(), wanted=wanted)[1]
        return *_times(upstream, gradients, batch.x.dtype), None, None, None, None


def _times(
    upstream: Tensor, gradients: tuple[Tensor | None, Tensor | None], dtype: torch.dtype
) -> tuple[Tensor | None, ...]:
    """The gradients times upstream, in place: they are nobody else's yet.

    They become narrow only now, so that loss scaling keeps what float16 alone would lose.
    """
    if upstream.device.type != "cpu" or upstream.item() != 1:
        gradients = tuple(None if g is None else g.mul_(upstream.to(g.dtype)) for g in gradients)  # type: ignore[assignment]
    return tuple(None if g is None else g.to(dtype) for g in gradients)


def _differentiable(
    batch: Batch, hinges: Hinges, upstream: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients with a graph of their own, by the plain form."""
    wanted = [x for x in (batch.x, batch.other) if x is not None and x.requires_grad]
    loss = plain.loss(batch, hinges)
    found = iter(torch.autograd.grad(loss, wanted, upstream.to(loss.dtype), create_graph=True))
    given = (batch.x, batch.other)
    of_x, of_other = (next(found) if x is not None and x.requires_grad else None for x in given)
    return of_x, of_other
