"""The rows of a batch: of any size, and standing to each other in every way that is hard."""

from __future__ import annotations

import numpy as np
import torch

from fuzzing.choices import DIGITS, LARGEST, POISONS, SMALLEST, Batch
from fuzzing.geometry import Whole
from fuzzing.wide import Array


def cast(x: Array, dtype: str) -> Array:
    """The nearest number of the dtype, or its largest."""
    largest = torch.finfo(getattr(torch, dtype)).max
    clipped = torch.from_numpy(np.clip(x, -largest, largest))
    return clipped.to(getattr(torch, dtype)).double().numpy()


def ulp(x: Array, dtype: str, shift: Whole | int = 0) -> Array:
    """Unit in the last place of x, which is 2**shift times a number of the dtype."""
    exponent = np.frexp(x)[1] - shift
    return np.ldexp(1.0, np.maximum(exponent - DIGITS[dtype], SMALLEST[dtype]) + shift)


def drawn(rng: np.random.Generator, batch: Batch) -> Array:
    """Random rows [n, d] of the scales in turn."""
    n, d, low, high = batch.n, batch.d, SMALLEST[batch.dtype], LARGEST[batch.dtype] - 2
    x = rng.standard_normal((n, d))
    for i, scale in enumerate(batch.scales):
        rows = slice(i, None, len(batch.scales))
        size = len(x[rows])
        if scale == "far":
            x[rows] = np.ldexp(x[rows], rng.integers(low, high, (size, 1)))
        elif scale == "mixed":
            x[rows] = np.ldexp(x[rows], rng.integers(low, high, (size, d)))
        elif scale == "sparse":
            x[rows] *= rng.random((size, d)) < 0.3
        elif scale == "denormal":
            x[rows] = np.ldexp(x[rows], low + DIGITS[batch.dtype] // 2)
    return cast(x, batch.dtype)


def _one_ulp_off(x: Array, rng: np.random.Generator, dtype: str) -> Array:
    column = rng.integers(0, x.shape[1], len(x))
    at = (np.arange(len(x)), column)
    moved = x.copy()
    step = ulp(x[at], dtype)
    moved[at] += np.where(moved[at] > 0, -step, step)
    return moved


def _turned(x: Array) -> Array:
    """Orthogonal to x, exactly: products cancel in twos."""
    out = np.zeros_like(x)
    even = x.shape[1] // 2 * 2
    out[:, 0:even:2], out[:, 1:even:2] = -x[:, 1:even:2], x[:, 0:even:2]
    return out


def _near(x: Array, rng: np.random.Generator) -> Array:
    size = np.abs(x).max(-1, keepdims=True) * 2.0 ** -rng.integers(1, 60, (len(x), 1))
    # halves first: a row at the top of float64's range must not overflow on the way
    return 2 * np.clip(x / 2 + size / 2 * rng.standard_normal(x.shape), -8e307, 8e307)


def _related(relation: str, x: Array, rng: np.random.Generator, dtype: str) -> Array | None:
    """Rows that stand to x as the relation says; None leaves the random ones."""
    sign = rng.choice([-1.0, 1.0], (len(x), 1))
    with np.errstate(over="ignore"):
        found = {
            "near": lambda: sign * _near(x, rng),
            "identical": lambda: x,
            "opposite": lambda: -x,
            "parallel": lambda: sign * x * rng.choice([3, 7, 1 / 3, rng.random()], (len(x), 1)),
            "doubled": lambda: sign * x * rng.choice([0.25, 2.0], (len(x), 1)),
            "one ulp": lambda: sign * _one_ulp_off(x, rng, dtype),
            "orthogonal": lambda: _turned(x),
            "zero": lambda: np.zeros_like(x),
            "both zero": lambda: np.zeros_like(x),
            "constant": lambda: np.broadcast_to(x[:, :1], x.shape),
        }.get(relation)
        return found and cast(found(), dtype)


def relate(batch: Batch, base: Array, other: Array, rng: np.random.Generator, shared: bool) -> None:
    """Turn rows of other, and of base where it is not one row for all, into what is asked."""
    for i, relation in enumerate(batch.relations):
        rows = slice(i, None, len(batch.relations))
        if not len(base[rows]):
            continue
        related = _related(relation, base[rows], rng, batch.dtype)
        if related is not None:
            other[rows] = related
        if relation == "both zero" and not shared:
            base[rows] = 0
        if relation == "half" and batch.d >= 4:  # a cosine of exactly 1/2 against (1, 0, 0, ...)
            other[rows], other[rows, :4] = 0, 1
            if not shared:
                base[rows], base[rows, 0] = 0, 3
        if relation == "huge":
            other[rows, rng.integers(batch.d)] = torch.finfo(getattr(torch, batch.dtype)).max
        if relation in POISONS:
            if relation == "nan and zero" and not shared:
                base[rows] = 0
            poison = float(relation.split()[0])
            other[rows, rng.integers(batch.d)] = poison
