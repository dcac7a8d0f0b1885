"""The kernels of the pair loss: one table, and the choice among them.

Every kernel is a file with the same functions: `unavailable()`, and `pair_loss` with one signature.
A test compares them.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch.autograd import forward_ad

from cospair.kernels import cpu, reference

TABLE: dict[str, ModuleType] = {"cpu": cpu, "reference": reference}

_PLAIN = (Tensor, torch.nn.Parameter)


def available() -> dict[str, str]:
    """Every kernel by name, with the reason why it cannot run here ('' where it can).

    Example:
        >>> import cospair
        >>> cospair.kernels.available()["reference"]
        ''
    """
    return {name: kernel.unavailable() for name, kernel in TABLE.items()}


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


def choose(x1: Tensor, x2: Tensor, target: Tensor, weight: Tensor | None) -> ModuleType:
    """The fastest kernel that takes these tensors: fused on plain CPU ones, else the reference."""
    fused = (
        target.shape[0] > 0
        and is_plain(x1, x2, target, weight)
        and cpu.serves(x1)
        and cpu.serves(x2)
    )
    fused = fused and not (target.is_neg() or (weight is not None and weight.is_neg()))
    return cpu if fused and not (weight is not None and weight.requires_grad) else reference
