"""The kernels of the pair loss: one table, and the choice among them.

Every kernel is a file with the same functions: `unavailable()`, `refuses(device, dtype)` and
`pair_loss` with one signature. A test compares them. `op.py` is how they are reached from a
compiled graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch.autograd import forward_ad

from cospair.kernels import cpu, cpu_sweep, op, reference, reference_sweep, triton_gpu, triton_sweep

Kernel: TypeAlias = Literal["auto", "reference", "cpu", "triton"]

TABLE: dict[str, ModuleType] = {"cpu": cpu, "triton": triton_gpu, "reference": reference}
SWEEPS: dict[str, ModuleType] = {
    "cpu": cpu_sweep,
    "triton": triton_sweep,
    "reference": reference_sweep,
}

_PLAIN = (Tensor, torch.nn.Parameter)


def available() -> dict[str, str]:
    """Every kernel by name, with the reason why it cannot run here ('' where it can).

    Example:
        >>> import cospair
        >>> cospair.kernels.available()["reference"]
        ''
    """
    return {name: kernel.unavailable() for name, kernel in TABLE.items()}


def choose(
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    table: Mapping[str, ModuleType] = TABLE,
) -> ModuleType:
    """The kernel of that name, or for 'auto' the fastest that takes such tensors.

    Raises:
        ValueError: For a name that is none of the kernels'.
        RuntimeError: For a kernel that cannot run here or does not take such tensors.
    """
    if checked_name(name) == "auto":
        return next(k for k in table.values() if not _refusal(k, device, dtype))
    reason = _refusal(table[name], device, dtype)
    if reason:
        raise RuntimeError(
            f"kernel={name!r} must be able to run on these tensors, but {reason}; "
            "use kernel='auto', or see cospair.kernels.available()"
        )
    return table[name]


def checked_name(name: str) -> Kernel:
    """That name; refuse what is no kernel's."""
    if name not in get_args(Kernel):
        known = ", ".join(repr(word) for word in get_args(Kernel))
        raise ValueError(f"kernel must be one of {known}, got {name!r}; choose one of them")
    return cast(Kernel, name)


def _refusal(kernel: ModuleType, device: torch.device, dtype: torch.dtype) -> str:
    return kernel.refuses(device, dtype) or kernel.unavailable()


def is_plain(*tensors: Tensor | None) -> bool:
    """Whether these are eager tensors with memory to read: not traced, transformed or faked."""
    if (
        torch.compiler.is_compiling()
        or _functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
    ):
        return False
    return all(
        x is None or (type(x) in _PLAIN and x.device.type != "meta" and torch._C._has_storage(x))
        for x in tensors
    )


def fitting(
    kernel: ModuleType, x1: Tensor, x2: Tensor, target: Tensor, weight: Tensor | None
) -> ModuleType:
    """That kernel, or what stands in for it where these tensors have no memory it could read.

    In a graph that is compiled the fused kernels are one operator. Under torch.func's transforms,
    forward-mode AD and tracing, for weights that want a gradient, negative views and empty
    batches, the reference kernel computes the same values.
    """
    if kernel is reference or (weight is not None and weight.requires_grad) or not target.shape[0]:
        return reference
    if torch.compiler.is_compiling():
        return reference if torch._C._are_functorch_transforms_active() else op
    if not is_plain(x1, x2, target, weight):
        return reference
    given = (x1, x2, target) if weight is None else (x1, x2, target, weight)
    return reference if any(x.is_neg() for x in given) else kernel
