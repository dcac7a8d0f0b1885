"""The pair loss on a GPU, fused in Triton: both gradients in the launch that computes the loss.

Decisions of this file:

- One launch forward. A program holds a block of rows in registers, reads them once and writes
  their gradients for an upstream gradient of 1. The last program to finish adds up the others'
  sums, always in the same order. Rows too wide for registers are walked in chunks, and a second
  time for the gradient. (A weighted mean first normalises its weights, in a few launches of torch.)
- Backward reads the upstream gradient on the device and never waits for it. One launch returns at
  once where it is 1 and writes the gradients anew where it is not, with the upstream folded in
  before the one rounding, so that loss scaling does not underflow float16. A second backward
  through a retained graph fills fresh buffers.
- A row shared by all pairs (a query against a gallery) is read in place. Its gradient is summed in
  float64 and kept so: backward multiplies it and needs no launch of the kernel for it.
- `none` has an upstream gradient a row: forward computes the losses alone, backward the gradients.
- A second derivative goes through the reference kernel, as on the CPU: to autograd the gradient
  found in forward is a constant.
- float16, bfloat16 and float32 are accumulated in float64, where their products are exact: 7
  operations and 4 conversions a pair of elements. They hide behind the memory traffic where
  float64 has half the rate of float32 (data-centre cards). Where it has a 64th, they take, by the
  rates, one to three times as long as the traffic for float32, twice that for narrower types.
- float64 rows are brought to size 1 by powers of two and their sums carried in two parts, the high
  one free of rounding (extraction by a constant: Rump, Ogita, Oishi 2008, algorithm 3.2).
- A cosine near +-1 is held as anchor + rest, with rest from the difference of the rows;
  csrc/cosine.hpp derives the formulas.
- Rows a program and warps depend on d and the dtype alone, so that a row alone is the row in a
  batch, bitwise. `_shape` says how they were chosen.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cospair.kernels import reference

_FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
_PROGRAMS = 4096  # at most: the last of them adds up their sums
_SUMMING_PROGRAMS = 1024  # at most, where each leaves d sums
_SUMS = 1 << 22  # at most, of all of them, while that leaves one program


class _Options(NamedTuple):
    margin: float
    positive_margin: float
    reduction: str
    dtype: torch.dtype


class _Shape(NamedTuple):
    rows: int
    block: int
    chunk: int
    warps: int


def unavailable() -> str:
    """Why this kernel cannot run here; empty where it can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed; `pip install triton` on Linux"
    if not _interpreted() and not torch.cuda.is_available():
        return "there is no CUDA device; TRITON_INTERPRET=1 runs Triton on the CPU, slowly"
    return ""


def refuses(device: torch.device, dtype: torch.dtype) -> str:
    """Why this kernel does not take such tensors; empty where it does."""
    if device.type != "cuda" and not (device.type == "cpu" and _interpreted()):
        return f"it runs on a GPU, not on {device.type}"
    return "" if dtype in _FLOATS else f"it does not take {dtype}"


def _interpreted() -> bool:
    """Whether Triton is to run in its interpreter, over CPU tensors."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")


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
    if target.shape[0] == 0 or x1.shape[1] == 0:
        return reference.pair_loss(x1, x2, target, weight, **options._asdict())
    if torch.is_grad_enabled() and (x1.requires_grad or x2.requires_grad):
        target, weight = _savable(target), None if weight is None else _savable(weight)
        loss: Tensor = _PairLoss.apply(x1, x2, target, weight, options)  # type: ignore[assignment]
        return loss
    weight = _normalised(weight, reduction)
    return _forward(x1, x2, target, weight, options, wanted=(False, False))[0]


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
    """Loss [n] or [] without a graph, and a ticket for nothing.

    Whether the upstream gradient is 1 could not be seen without waiting for the device.
    """
    options = _Options(margin, positive_margin, reduction, dtype)
    ticket = x1.new_zeros(1, dtype=torch.uint8)
    if target.shape[0] == 0:
        return reference.pair_loss(x1, x2, target, weight, **options._asdict()), ticket
    weight = _normalised(weight, reduction)
    return _forward(x1, x2, target, weight, options, wanted=(False, False))[0], ticket


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
    """Gradients of x1 and x2 [n, d] for that upstream gradient, [] or [n]; [0] where not wanted."""
    options = _Options(margin, positive_margin, reduction, upstream.dtype)
    if target.shape[0] == 0:
        return torch.zeros_like(x1), torch.zeros_like(x2)
    weight = _normalised(weight, reduction)
    g1, g2 = _launch(x1, x2, target, weight, options, wanted=(wanted1, wanted2), upstream=upstream)
    return x1.new_empty(0) if g1 is None else g1, x2.new_empty(0) if g2 is None else g2


def _device() -> Any:
    """The device code; importing it imports Triton."""
    from cospair.kernels import triton_device

    return triton_device


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
        weights = _normalised(weight, options.reduction)
        loss, gradients = _forward(x1, x2, target, weights, options, wanted=wanted)
        sides = [(g, _shared(x, target)) for g, x in zip(gradients, (x1, x2), strict=True)]
        ctx.rows = [None if shared else g for g, shared in sides] if early else None
        ctx.sums = [g if shared else None for g, shared in sides]
        ctx.save_for_backward(x1, x2, target, weight, weights)
        ctx.options = options
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x1, x2, target, weight, weights = ctx.saved_tensors
        options, wanted = ctx.options, ctx.needs_input_grad[:2]
        if torch.is_grad_enabled() or not torch._C._has_storage(upstream):
            given = options._asdict() | {"dtype": upstream.dtype}
            found = reference.gradients(x1, x2, target, weight, upstream, wanted, **given)
            return (*found, None, None, None)
        rows, ctx.rows = ctx.rows, None  # handed over: a second backward has to make its own
        left = [wish and total is None for wish, total in zip(wanted, ctx.sums, strict=True)]
        gradients = (
            _launch(x1, x2, target, weights, options, wanted=left, upstream=upstream, rows=rows)
            if any(left)
            else [None, None]
        )
        sides = zip(gradients, ctx.sums, strict=True)
        gradients = [g if total is None else total * upstream for g, total in sides]
        return (*[None if g is None else g.to(x1.dtype) for g in gradients], None, None, None)


def _forward(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    options: _Options,
    *,
    wanted: Sequence[bool],
) -> tuple[Tensor, list[Tensor | None]]:
    shape = target.shape if options.reduction == "none" else ()
    loss = torch.empty(shape, dtype=options.dtype, device=x1.device)
    return loss, _launch(x1, x2, target, weight, options, wanted=wanted, loss=loss)


def _normalised(weight: Tensor | None, reduction: str) -> Tensor | None:
    """Weights whose weighted sum is the mean; for the other reductions as they are."""
    if weight is None or reduction != "mean":
        return weight
    wide = reference.scaled(weight.to(torch.float64))
    total = wide.sum()
    return wide / torch.where(total > 0, total, 1.0)


def _launch(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    options: _Options,
    *,
    wanted: Sequence[bool],
    loss: Tensor | None = None,
    upstream: Tensor | None = None,
    rows: list[Tensor | None] | None = None,
) -> list[Tensor | None]:
    """Fill the loss where given and return the gradients wanted, float64 [1, d] of a shared row.

    Given rows hold the gradients for an upstream of 1 and are written only where it is not 1.
    """
    n, d = target.shape[0], x1.shape[1]
    x1, x2, target = _readable(x1), _readable(x2), target.resolve_neg()
    weight, upstream = (None if x is None else x.resolve_neg() for x in (weight, upstream))
    summed = [wish and _shared(x, target) for wish, x in zip(wanted, (x1, x2), strict=True)]
    shape = _shape(d, x1.element_size())
    programs = _programs(n, d, shape.rows, summing=any(summed))
    gradients = rows or [
        _gradient(x, programs, summed=s) if wish else None
        for x, wish, s in zip((x1, x2), wanted, summed, strict=True)
    ]
    strides = [0 if _shared(x, target) else x.stride(0) for x in (x1, x2)]
    unit = 16 // x1.element_size()
    if any(stride % unit for stride in (d, *strides)):
        unit = 1
    none, mean = options.reduction == "none", options.reduction == "mean" and weight is None
    with torch.cuda.device(x1.device) if x1.is_cuda else contextlib.nullcontext():
        partials, counter = _workspace(x1.device)
        _device().pairs[(programs,)](
            x1, x2, *gradients,
            target.view(torch.uint8) if target.dtype == torch.bool else target, weight, upstream,
            loss if none else None, None if none else loss, partials, counter,
            n, strides[0] // unit, strides[1] // unit, target.stride(0),
            0 if weight is None else weight.stride(0),
            upstream.stride(0) if upstream is not None and upstream.ndim else 0,
            _bits(1.0 / n if mean else 1.0), _bits(options.margin), _bits(options.positive_margin),
            D=d, R=shape.rows, BLOCK=shape.block, CHUNK=shape.chunk, UNIT=unit,
            FOLD=256 * shape.warps, SHARED1=summed[0], SHARED2=summed[1], MEAN=mean,
            UNLESS_ONE=rows is not None, DOUBLE=x1.dtype == torch.float64,
            BOOL=target.dtype == torch.bool,
            num_warps=shape.warps, enable_fp_fusion=x1.dtype != torch.float64,
        )  # fmt: skip
    return [
        g.sum(0, keepdim=True) if g is not None and s else g
        for g, s in zip(gradients, summed, strict=True)
    ]


def _gradient(x: Tensor, programs: int, *, summed: bool) -> Tensor:
    """Where the kernel leaves a gradient: its rows, or a sum a program."""
    if summed:
        return torch.empty((programs, x.shape[1]), dtype=torch.float64, device=x.device)
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


def _shape(d: int, size: int) -> _Shape:
    """Rows a program, columns held and read again at a time, warps: for d elements of that size.

    A lane holds at most 16 elements of either row (8 of float64), which keeps every program at 128
    registers a thread or fewer (but those that sum for a shared row) and so 16 warps on an H100's
    multiprocessor. One warp takes a row as long as that suffices: its sums then need no barrier.
    Of short rows it takes as many as give every lane one load of 16 bytes. At a second reading a
    lane holds half as much, because the difference of the rows is there as well.
    """
    block = max(1 << (d - 1).bit_length(), 16)
    lane = 16 if size < 8 else 8
    warps = min(max(block // (32 * lane), 1), 8)
    rows = max(32 * 16 // size // block, 1)
    return _Shape(rows, min(block, 32 * lane * warps), min(block, 16 * lane * warps), warps)


def _programs(n: int, d: int, rows: int, *, summing: bool) -> int:
    most = min(_SUMMING_PROGRAMS, max(_SUMS // d, 1)) if summing else _PROGRAMS
    return min(-(-n // rows), most)


def _workspace(device: torch.device) -> tuple[Tensor, Tensor]:
    """Partial sums and a counter at 0, a pair a stream: the last program sets the counter back.

    A graph under capture gets its own and zeroes it, because it may be replayed on any stream.
    """
    if device.type != "cuda":
        return _kept_workspace(device, 0)
    if torch.cuda.is_current_stream_capturing():
        return _new_workspace(device)
    return _kept_workspace(device, torch.cuda.current_stream(device).cuda_stream)


def _new_workspace(device: torch.device) -> tuple[Tensor, Tensor]:
    space = torch.zeros(1 + _PROGRAMS, dtype=torch.float64, device=device)
    return space[1:], space[:1].view(torch.int32)


@functools.cache
def _kept_workspace(device: torch.device, stream: int) -> tuple[Tensor, Tensor]:
    del stream  # the key alone
    return _new_workspace(device)


def _readable(x: Tensor) -> Tensor:
    """The rows with a contiguous last dimension."""
    x = x.resolve_neg()
    return x.contiguous() if x.shape[1] > 1 and x.stride(1) != 1 else x


def _shared(x: Tensor, target: Tensor) -> bool:
    """Whether this is one row for all pairs."""
    return x.shape[0] == 1 < target.shape[0]


def _bits(x: float) -> int:
    """A float64 as an integer: as it is, Triton would pass it on as float32."""
    return struct.unpack("<q", struct.pack("<d", x))[0]
