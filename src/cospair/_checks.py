"""Every check of what a user hands to a loss, and its words.

Shapes and types are looked at always, values only where that costs no synchronisation: a target's
values on the CPU in eager mode (elsewhere an invalid target makes its pair's loss NaN), and
everything where `validate=True` asks for it. Each message says what the rule is, what came and what
to do.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

Reduction: TypeAlias = Literal["none", "mean", "sum"]
AllPairsReduction: TypeAlias = Literal["none", "mean", "sum", "balanced", "active"]

_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


def checked_margin(name: str, value: float) -> float:
    """A margin as a float; refuse what is not a finite number in [-1, 1]."""
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise TypeError(
            f"{name} must be a number in [-1, 1], got {type(value).__name__}; pass a float"
        )
    if not -1.0 <= value <= 1.0:
        raise ValueError(
            f"{name} must be a cosine in [-1, 1], got {value!r}; "
            "a margin beyond it can never be met"
        )
    return float(value)


def check_reduction(value: str, known: object = Reduction) -> None:
    """Refuse a reduction that is not one of the known words."""
    words = get_args(known)
    if value not in words:
        listed = ", ".join(repr(word) for word in words)
        raise ValueError(f"reduction must be one of {listed}, got {value!r}; choose one of them")


def check_power(value: int) -> None:
    """Refuse a power of the hinges other than 1 or 2."""
    if isinstance(value, bool) or value not in (1, 2):
        raise ValueError(
            f"power must be 1 (hinges) or 2 (squared hinges), got {value!r}; choose one of them"
        )


def check_embeddings(name: str, x: Tensor) -> None:
    """Refuse what is not a floating-point tensor with at least one feature."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name} must be a torch.Tensor, got {type(x).__name__}; convert it with "
            "torch.as_tensor"
        )
    if x.dtype not in _FLOATS:
        raise TypeError(
            f"{name} must be float16, bfloat16, float32 or float64, got {x.dtype}; convert it with "
            f"{name}.float()"
        )
    if x.layout is not torch.strided:
        raise TypeError(f"{name} must be dense, got {x.layout}; convert it with {name}.to_dense()")
    if x.ndim and x.shape[-1] == 0:
        raise ValueError(
            f"{name} must have at least one feature, got shape {tuple(x.shape)}; check what the "
            "encoder returns"
        )


def check_pair_shapes(x1: Tensor, x2: Tensor, target: Tensor) -> None:
    """Refuse any shapes but (D) (D) (), (N, D) (N, D) (N), and (D) or (1, D) with (N, D) (N)."""
    found = f"x1 {tuple(x1.shape)}, x2 {tuple(x2.shape)}, target {tuple(target.shape)}"
    if not (1 <= x1.ndim <= 2 and 1 <= x2.ndim <= 2):
        raise ValueError(
            f"x1 and x2 must be (D) or (N, D), got {found}; reshape them to one row a pair, as "
            "x.reshape(-1, D)"
        )
    if x1.shape[-1] != x2.shape[-1]:
        raise ValueError(
            f"x1 and x2 must have the same number of features, got {found}; embed both with the "
            "same encoder"
        )
    n1, n2 = rows_of(x1), rows_of(x2)
    if n1 != n2 and n1 != 1 and n2 != 1:
        raise ValueError(
            "x1 and x2 must have the same number of rows, or one of them a single row, got "
            f"{found}; pair them up"
        )
    single = x1.ndim == 1 and x2.ndim == 1
    expected = () if single else (n2 if n1 == 1 else n1,)
    if tuple(target.shape) != expected:
        raise ValueError(
            f"target must have shape {expected} for these embeddings, got {found}; give one target "
            "a pair"
        )


def rows_of(x: Tensor) -> int:
    """Number of rows, one for a single embedding."""
    return x.shape[0] if x.ndim == 2 else 1


def check_target_type(target: Tensor) -> None:
    """Refuse a target that is not a real tensor."""
    if not isinstance(target, Tensor):
        raise TypeError(
            f"target must be a torch.Tensor of +1 and -1, got {type(target).__name__}; wrap it "
            "with torch.tensor"
        )
    if target.is_complex():
        raise TypeError(
            f"target must be real, got {target.dtype}; use an integer, float or bool tensor"
        )


def check_target_values(target: Tensor) -> None:
    """Refuse values other than +1 and -1; reads them, so it synchronises on an accelerator."""
    if target.dtype == torch.bool:
        return
    wrong = (target != 1) & (target != -1)
    if bool(wrong.any()):
        refuse_target(target.reshape(-1), int(wrong.reshape(-1).nonzero()[0]))


def refuse_target(target: Tensor, row: int) -> None:
    """Raise for the invalid target at a row."""
    value = target[row].item()
    raise ValueError(
        f"target must hold only +1 (similar) and -1 (dissimilar), got {value!r} at row {row}; "
        "convert 0/1 labels with 2 * target - 1, or pass a bool tensor (True = similar)"
    )


def check_weight(
    weight: Tensor,
    fitting: Tensor,
    *,
    values: bool,
    name: str = "weight",
    like: str = "target",
) -> None:
    """Refuse weights that are not one non-negative finite number for each of `fitting`."""
    if not isinstance(weight, Tensor) or not (
        weight.is_floating_point() or weight.dtype == torch.bool
    ):
        came = weight.dtype if isinstance(weight, Tensor) else type(weight).__name__
        raise TypeError(
            f"{name} must be a floating-point tensor, got {came}; convert it with .float()"
        )
    if weight.shape != fitting.shape:
        raise ValueError(
            f"{name} must have the shape of {like}, {tuple(fitting.shape)}, got "
            f"{tuple(weight.shape)}; give one weight for each"
        )
    if values:
        wrong = ~((weight >= 0) & (weight < math.inf))
        if bool(wrong.any()):
            row = int(wrong.reshape(-1).nonzero()[0])
            raise ValueError(
                f"{name} must be finite and not negative, got {weight.reshape(-1)[row].item()!r} "
                f"at row {row}; "
                "clip the weights first"
            )


def check_other_side(
    x: Tensor,
    other: Tensor | None,
    labels: Tensor,
    other_labels: Tensor | None,
    other_weight: Tensor | None,
) -> None:
    """Refuse half of another side, and one that does not fit x."""
    if (other is None) != (other_labels is None):
        given, missing = ("other", "other_labels")[:: 1 if other_labels is None else -1]
        raise ValueError(
            f"other and other_labels must be given together, got {given} alone; add {missing}"
        )
    if other is None or other_labels is None:
        if other_weight is not None:
            raise ValueError(
                "other_weight must come with other and other_labels, got it alone; add them, or "
                "weigh x's rows with weight"
            )
        return
    if isinstance(other, Tensor) and other.ndim == 2 and other.shape[1] != x.shape[1]:
        raise ValueError(
            f"x and other must have the same number of features, got {tuple(x.shape)} and "
            f"{tuple(other.shape)}; embed both with the same encoder"
        )
    dtypes = [y.dtype for y in (labels, other_labels) if isinstance(y, Tensor)]
    if torch.uint64 in dtypes and set(dtypes) != {torch.uint64}:
        raise TypeError(
            f"labels and other_labels must both be uint64 or neither, got {dtypes[0]} and "
            f"{dtypes[1]}; convert one of them"
        )


def check_devices(**tensors: Tensor | None) -> None:
    """Refuse tensors that live on different devices."""
    devices = [x.device for x in tensors.values() if x is not None]
    if any(device != devices[0] for device in devices):
        found = ", ".join(f"{n} on {x.device}" for n, x in tensors.items() if x is not None)
        raise ValueError(
            f"all tensors must be on one device, got {found}; move them with .to(device)"
        )


def check_finite_rows(name: str, x: Tensor) -> None:
    """Refuse NaN and infinite rows and name the first; synchronises on an accelerator."""
    wrong = ~torch.isfinite(x.detach()).reshape(-1, x.shape[-1]).all(dim=-1)
    if bool(wrong.any()):
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in row {int(wrong.nonzero()[0])}; "
            "look for a diverged encoder or a broken input there"
        )


def check_labels(name: str, labels: Tensor, embeddings: Tensor) -> None:
    """Refuse labels that are not one integer a row."""
    if not isinstance(labels, Tensor):
        raise TypeError(
            f"{name} must be a torch.Tensor of integers, got {type(labels).__name__}; wrap it with "
            "torch.tensor"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(
            f"{name} must be integers, got {labels.dtype}; float labels collide above 2**24, "
            "convert with .long()"
        )
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{name} must have shape ({embeddings.shape[0]},), got {tuple(labels.shape)}; give one "
            "label a row"
        )
