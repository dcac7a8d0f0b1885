"""The pair loss on the CPU, fused in C++: both gradients in the pass that computes the loss.

Decisions of this file:

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

from typing import Any, NamedTuple

import torch
from torch import Tensor

from cospair import _checks
from cospair.kernels import buffers, reference

try:
    from cospair.kernels import _pairs  # pyright: ignore[reportAttributeAccessIssue]
except ImportError:  # built without a compiler: unavailable() says so
    _pairs = None

_ELEMENTS = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
_TARGETS = {torch.int64: 0, torch.int32: 1, torch.float32: 2, torch.float64: 3, torch.bool: 4}

# Below this a second thread costs more than it brings; above the other, stores past the caches pay.
_BYTES_A_THREAD = 1 << 20
_BYTES_STREAMED = 4 << 20


class _Options(NamedTuple):
    margin: float
    positive_margin: float
    reduction: str
    dtype: torch.dtype


def unavailable() -> str:
    """Why this kernel cannot run here; empty where it can."""
    return "" if _pairs is not None else "cospair was installed without a C++ compiler"


def serves(x: Tensor) -> bool:
    """Whether the compiled kernels take this tensor."""
    return (
        _pairs is not None
        and x.device.type == "cpu"
        and not x.is_neg()
        and (x.dtype is not torch.float16 or _pairs.has_half)
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
    options = _Options(margin, positive_margin, reduction, dtype)
    if torch.is_grad_enabled() and (x1.requires_grad or x2.requires_grad):
        target, weight = _savable(target), None if weight is None else _savable(weight)
        loss: Tensor = _PairLoss.apply(x1, x2, target, weight, options)  # type: ignore[assignment]
        return loss
    return _forward(x1, x2, target, weight, options, wanted=(False, False))[0]


def _savable(x: Tensor) -> Tensor:
    """A tensor that autograd may keep for backward; one made in inference mode is copied."""
    return x.clone() if x.is_inference() else x


class _PairLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x1: Tensor, x2: Tensor, target: Tensor, weight: Tensor | None, options: _Options
    ) -> Tensor:
        early = options.reduction != "none"
        wanted = (ctx.needs_input_grad[0] and early, ctx.needs_input_grad[1] and early)
        loss, ctx.gradients = _forward(x1, x2, target, weight, options, wanted=wanted)
        ctx.save_for_backward(x1, x2, target, weight)
        ctx.options = options
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        wanted = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled() or not torch._C._has_storage(upstream):
            gradients = _reference_gradients(ctx.saved_tensors, ctx.options, upstream, wanted)
            return (*gradients, None, None, None)
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None or upstream.ndim or upstream.item() != 1.0:
            gradients = _gradients(
                ctx.saved_tensors, ctx.options, upstream, wanted=wanted, out=gradients
            )
        return (*gradients, None, None, None)


def _reference_gradients(
    saved: tuple[Tensor, ...], options: _Options, upstream: Tensor, wanted: tuple[bool, bool]
) -> list[Tensor | None]:
    x1, x2, target, weight = saved
    with torch.enable_grad():
        # aliases: one input may depend on the other, and that path is the caller's to walk
        x1, x2 = x1.view_as(x1), x2.view_as(x2)
        loss = reference.pair_loss(x1, x2, target, weight, **options._asdict())
    inputs = [x for x, wish in zip((x1, x2), wanted, strict=True) if wish]
    found = iter(torch.autograd.grad(loss, inputs, upstream, create_graph=torch.is_grad_enabled()))
    return [next(found) if wish else None for wish in wanted]


def _forward(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    options: _Options,
    *,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, list[Tensor | None] | None]:
    n = target.shape[0]
    weight = _wide(weight, options.reduction)
    losses = (
        torch.empty(n, dtype=x1.dtype, device=x1.device) if options.reduction == "none" else None
    )
    divisor = _divisor(n, weight, options.reduction)
    gradients = _empty_gradients(x1, x2, n, wanted) if any(wanted) else None
    total = _run(
        x1, x2, target, weight, options, scale=1.0 / divisor, losses=losses, gradients=gradients
    )
    if losses is None:
        losses = torch.tensor(total / divisor, dtype=options.dtype, device=x1.device)
    return losses.to(options.dtype), _rounded(gradients, x1.dtype)


def _gradients(
    saved: tuple[Tensor, ...],
    options: _Options,
    upstream: Tensor,
    *,
    wanted: tuple[bool, bool],
    out: list[Tensor | None] | None,
) -> list[Tensor | None]:
    x1, x2, target, weight = saved
    n = target.shape[0]
    weight = _wide(weight, options.reduction)
    scale = 1.0
    if upstream.ndim:
        rows = upstream.to(torch.float64)
        weight = (rows if weight is None else rows * weight).contiguous()
    else:
        scale = upstream.item() / _divisor(n, weight, options.reduction)
    # a shared row's gradient is summed in float64, so not written over the rounded one
    shared = _shared(x1, n) or _shared(x2, n)
    gradients = _empty_gradients(x1, x2, n, wanted) if out is None or shared else out
    _run(x1, x2, target, weight, options, scale=scale, losses=None, gradients=gradients)
    rounded = _rounded(gradients, x1.dtype)
    assert rounded is not None
    return rounded


def _wide(weight: Tensor | None, reduction: str) -> Tensor | None:
    """Weights as the kernels read them, float64."""
    if weight is None:
        return None
    weight = weight.to(torch.float64).contiguous()
    return reference.scaled(weight) if reduction == "mean" else weight


def _divisor(n: int, weight: Tensor | None, reduction: str) -> float:
    if reduction != "mean":
        return 1.0
    if weight is None:
        return float(max(n, 1))
    return weight.sum().item() or 1.0


def _empty_gradients(
    x1: Tensor, x2: Tensor, n: int, wanted: tuple[bool, bool]
) -> list[Tensor | None]:
    return [
        buffers.empty(x.shape, torch.float64 if _shared(x, n) else x.dtype) if wish else None
        for x, wish in zip((x1, x2), wanted, strict=True)
    ]


def _rounded(
    gradients: list[Tensor | None] | None, dtype: torch.dtype
) -> list[Tensor | None] | None:
    return None if gradients is None else [None if g is None else g.to(dtype) for g in gradients]


def _run(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    options: _Options,
    *,
    scale: float,
    losses: Tensor | None,
    gradients: list[Tensor | None] | None,
) -> float:
    """Fill losses and gradients where given; return the sum of the losses."""
    assert _pairs is not None
    n, d = target.shape[0], x1.shape[1]
    x1, x2 = _readable(x1), _readable(x2)
    shared1, shared2 = _shared(x1, n), _shared(x2, n)
    if target.dtype not in _TARGETS:
        target = target.to(torch.float64 if target.is_floating_point() else torch.int64)
    g1, g2 = gradients or (None, None)
    written = sum(g.numel() * g.element_size() for g in (g1, g2) if g is not None)
    streaming = written >= _BYTES_STREAMED
    threads = min(torch.get_num_threads(), 1 + n * d * x1.element_size() // _BYTES_A_THREAD)
    total, invalid = _pairs.pairs(
        _ELEMENTS[x1.dtype], x1.data_ptr(), 0 if shared1 else x1.stride(0), shared1,
        x2.data_ptr(), 0 if shared2 else x2.stride(0), shared2,
        target.data_ptr(), _TARGETS[target.dtype], target.stride(0), _address(weight), n, d,
        options.margin, options.positive_margin, scale,
        _address(losses), _address(g1), _address(g2), streaming, threads,
    )  # fmt: skip
    if invalid >= 0:
        _checks.refuse_target(target, invalid)
    return total


def _readable(x: Tensor) -> Tensor:
    """The rows with a contiguous last dimension."""
    return x.contiguous() if x.shape[1] > 1 and x.stride(1) != 1 else x


def _shared(x: Tensor, n: int) -> bool:
    """Whether this is one row for all n pairs."""
    return x.shape[0] == 1 < n


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()
