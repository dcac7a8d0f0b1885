"""The pair loss on the CPU, fused in C++: both gradients in the pass that computes the loss.

Decisions of this file:

- A small batch is all round trip: the kernel takes 3 of some 30 microseconds. So one call into C++
  (`_cpu.plan`) looks at tensors and options, and where nothing is left to check, convert or
  intercept it goes straight to the kernel; what is out of the ordinary goes the long way round, by
  `_checks`.
- Forward computes the gradient for an upstream gradient of 1 and backward hands it over. For any
  other upstream gradient, or a second backward through a retained graph, backward runs the kernel
  again with the upstream folded into its scale: the same traffic as multiplying, with one rounding,
  so that loss scaling does not underflow float16.
- `none` has an upstream gradient a row: forward computes the losses alone, backward the gradients.
- A second derivative (backward with grad mode on) is taken through the reference kernel. It must
  be: the gradient computed in forward is a constant to autograd, and its derivative would silently
  be zero.
- An input of one row for all (a query against a gallery) is read in place, and its gradient is
  summed inside.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from cospair.kernels import kept_gradients, reference

try:
    from cospair.kernels import _cpu  # pyright: ignore[reportAttributeAccessIssue]

    _missing = ""
except ImportError as error:
    _cpu = None
    _missing = f"the C++ extension does not load: {error}"
    if isinstance(error, ModuleNotFoundError) or error.msg.startswith("cannot import name"):
        _missing = "cospair was installed without a C++ compiler"
    warnings.warn(
        f"{_missing}; the plain torch kernel serves and is several times slower: install GCC or "
        "Clang, then cospair again with pip's --force-reinstall --no-cache-dir",
        RuntimeWarning,
        stacklevel=2,
    )

_FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
_TARGETS = frozenset({torch.int64, torch.int32, torch.float32, torch.float64, torch.bool})


def unavailable() -> str:
    """Why this kernel cannot run here; empty where it can."""
    return _missing


def refuses(device: torch.device, dtype: torch.dtype) -> str:
    """Why this kernel does not take such tensors; empty where it does."""
    if device.type != "cpu":
        return f"it runs on the CPU, not on {device.type}"
    if dtype not in _FLOATS or (_cpu is not None and dtype == torch.float16 and not _cpu.has_half):
        return f"it was built without {dtype}"
    return ""


def at_once(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    margin: float,
    positive_margin: float,
    reduction: str,
) -> Tensor | None:
    """The loss, where nothing is left to check, convert or intercept; otherwise None."""
    if _cpu is None:
        return None
    task = _cpu.plan(x1, x2, target, margin, positive_margin, reduction)
    return None if task is None else _run(x1, x2, target, None, task)


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
    x1, x2 = _readable(x1), _readable(x2)
    target, weight = _countable(target), _wide(weight, reduction)
    task = _task(x1, x2, target, weight, margin, positive_margin, reduction, dtype, strict=True)
    return _run(x1, x2, target, weight, task)


def loss_and_ticket(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    margin: float,
    positive_margin: float,
    reduction: str,
    dtype: torch.dtype,
    wanted1: bool,
    wanted2: bool,
) -> tuple[Tensor, Tensor]:
    """Loss [n] or [] without a graph, and the ticket of the gradients kept for `gradients`.

    An invalid target makes its pair's loss NaN.
    """
    x1, x2 = _readable(x1), _readable(x2)
    target, weight = _countable(target), _wide(weight, reduction)
    task = _task(x1, x2, target, weight, margin, positive_margin, reduction, dtype, strict=False)
    if reduction == "none" or not (wanted1 or wanted2):
        return task.run(target, False, False)[0], kept_gradients.none_kept()
    loss, g1, g2 = task.run(target, wanted1, wanted2)
    return loss, kept_gradients.keep((g1, g2))


def gradients(
    upstream: Tensor,
    ticket: Tensor,
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    margin: float,
    positive_margin: float,
    reduction: str,
    wanted1: bool,
    wanted2: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of x1 and x2 for that upstream gradient, [] or [n]; [0] where not wanted."""
    wanted = (wanted1, wanted2)
    kept = kept_gradients.take(ticket, wanted)
    assert _cpu is not None
    if kept is not None and _cpu.is_one(upstream):
        g1, g2 = kept
    else:
        x1, x2 = _readable(x1), _readable(x2)
        target, weight = _countable(target), _wide(weight, reduction)
        task = _task(
            x1, x2, target, weight, margin, positive_margin, reduction, x1.dtype, strict=False
        )
        g1, g2 = _scaled(task, upstream, x1, x2, target, weight, wanted)
    return x1.new_empty(0) if g1 is None else g1, x2.new_empty(0) if g2 is None else g2


def _task(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    margin: float,
    positive_margin: float,
    reduction: str,
    dtype: torch.dtype,
    *,
    strict: bool,
) -> Any:
    assert _cpu is not None
    wide = dtype != x1.dtype
    divisor = _divisor(target.shape[0], weight, reduction)
    return _cpu.task(
        x1, x2, target, weight, margin, positive_margin, reduction, divisor, wide, strict
    )


def _run(x1: Tensor, x2: Tensor, target: Tensor, weight: Tensor | None, task: Any) -> Tensor:
    if torch.is_grad_enabled() and (x1.requires_grad or x2.requires_grad):
        return _apply(x1, x2, _savable(target), None if weight is None else _savable(weight), task)
    return task.run(target, False, False)[0]


def _savable(x: Tensor) -> Tensor:
    """A tensor that autograd may keep for backward; one made in inference mode is copied."""
    return x.clone() if x.is_inference() else x


class _PairLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x1: Tensor, x2: Tensor, target: Tensor, weight: Tensor | None, task: Any
    ) -> Tensor:
        wanted1, wanted2 = ctx.needs_input_grad[:2]
        loss, *ctx.gradients = task.run(target, wanted1, wanted2)
        ctx.save_for_backward(x1, x2, target, weight)
        ctx.task = task
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gradients, ctx.gradients = ctx.gradients, None
        if torch.is_grad_enabled() or not torch._C._has_storage(upstream):
            return *_differentiable(ctx, upstream), None, None, None
        assert _cpu is not None
        if gradients is not None and _cpu.is_one(upstream):
            return *gradients, None, None, None
        x1, x2, target, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        found = _scaled(ctx.task, upstream, x1, x2, target, weight, wanted)
        return *found, None, None, None


# Past `Function.apply`, which asks again whether a transform is active: the caller has seen to it.
_apply: Any = super(torch.autograd.Function, _PairLoss).apply  # type: ignore[misc]


def _scaled(
    task: Any,
    upstream: Tensor,
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    wanted: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    scale = 1.0
    if upstream.ndim:
        rows = upstream.to(torch.float64).resolve_neg()
        weight = (rows if weight is None else rows * weight).contiguous()
    else:
        scale = upstream.item() / task.divisor
    # a function: Dynamo, under compiled autograd, would call the method without its task
    gradients = type(task).gradients
    return gradients(task, _readable(x1), _readable(x2), target, weight, scale, *wanted)


def _differentiable(ctx: Any, upstream: Tensor) -> list[Tensor | None]:
    x1, x2, target, weight = ctx.saved_tensors
    return reference.gradients(
        x1,
        x2,
        target,
        weight,
        upstream,
        ctx.needs_input_grad[:2],
        margin=ctx.task.margin,
        positive_margin=ctx.task.positive_margin,
        reduction=ctx.task.reduction,
        dtype=upstream.dtype,
    )


def _readable(x: Tensor) -> Tensor:
    """The rows with a contiguous last dimension."""
    return x.contiguous() if x.shape[1] > 1 and x.stride(1) != 1 else x


def _countable(target: Tensor) -> Tensor:
    """Targets in a dtype that the kernels read."""
    if target.dtype in _TARGETS:
        return target
    return target.to(torch.float64 if target.is_floating_point() else torch.int64)


def _wide(weight: Tensor | None, reduction: str) -> Tensor | None:
    """Weights as the kernels read them, float64."""
    if weight is None:
        return None
    weight = weight.to(torch.float64).contiguous()
    return reference.scaled(weight) if reduction == "mean" else weight


def _divisor(n: int, weight: Tensor | None, reduction: str) -> float:
    if reduction != "mean":
        return 1.0
    return float(n) if weight is None else weight.sum().item() or 1.0
