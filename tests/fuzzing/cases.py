"""A batch's numbers, all of which follow from its choices and its seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fuzzing.choices import (
    DIGITS,
    DTYPES,
    LAYOUTS,
    LENGTHS,
    MARGINS,
    POISONS,
    RELATIONS,
    SCALES,
    TARGETS,
    UPSTREAMS,
    WANTED,
    WEIGHTS,
    Batch,
)
from fuzzing.geometry import Geometry, geometry
from fuzzing.rows import drawn, relate
from fuzzing.wide import Array


@dataclass(frozen=True)
class Inputs:
    """A batch as a kernel takes it, and what it is."""

    batch: Batch
    x1: Tensor
    x2: Tensor
    target: Tensor
    weight: Tensor | None
    upstream: Tensor
    margin: float
    positive_margin: float
    geometry: Geometry

    @property
    def dtype(self) -> torch.dtype:
        """The result's; a float16 sum that could overflow comes in float32."""
        b = self.batch
        wide = b.reduction == "sum" and (self.weight is not None or 2 * b.n > 65_504)
        return torch.float32 if wide and b.dtype == "float16" else getattr(torch, b.dtype)


def _laid_out(x: Array, batch: Batch, layout: str) -> Tensor:
    """The rows in memory as the layout says; what lies between them is NaN."""
    values = torch.from_numpy(x).to(getattr(torch, batch.dtype))
    n, d = values.shape
    if layout in ("shared", "expanded"):
        return values[:1] if layout == "shared" else values[:1].expand(n, d)
    around = {
        "offset": ((n * d + 3,), lambda m: m[3:].view(n, d)),
        "wide rows": ((n, d + 5), lambda m: m[:, 2 : d + 2]),
        "columns": ((d, n), lambda m: m.t()),
        "stepped": ((n, 2 * d), lambda m: m[:, ::2]),
    }
    if layout == "contiguous":
        return values
    shape, view = around[layout]
    return view(torch.full(shape, torch.nan, dtype=values.dtype)).copy_(values)


def _weight(batch: Batch, rng: np.random.Generator) -> Tensor | None:
    if batch.weight == "none":
        return None
    weight = rng.random(batch.n)
    if batch.weight == "with zeros":
        weight *= rng.random(batch.n) < 0.5
    if batch.weight == "all zero":
        weight[:] = 0
    if batch.weight == "strided":
        return torch.from_numpy(np.repeat(weight, 2)).to(torch.float32)[::2]
    return torch.from_numpy(weight)


def _upstream(batch: Batch, dtype: torch.dtype, rng: np.random.Generator) -> Tensor:
    shape = (batch.n,) if batch.reduction == "none" else ()
    value = {
        "one": lambda: np.ones(shape),
        "random": lambda: rng.standard_normal(shape),
        "zero": lambda: np.zeros(shape),
        "large": lambda: np.full(shape, 4096.0),
        "tiny": lambda: np.full(shape, 2.0**-12),
    }[batch.upstream]()
    return torch.as_tensor(value).to(dtype)


def _margins(batch: Batch, found: Geometry) -> tuple[float, float]:
    if batch.hinge is None:
        return batch.margins
    cosine = float(found.cosine.high[batch.seed % batch.n])
    for _ in range(abs(batch.hinge)):
        cosine = float(np.nextafter(cosine, np.copysign(2.0, batch.hinge)))
    margin = min(max(cosine, -1.0), 1.0)
    return margin, margin


def build(batch: Batch) -> Inputs:
    """The batch's numbers."""
    rng = np.random.default_rng(batch.seed)
    x1, x2 = drawn(rng, batch), drawn(rng, batch)
    first, second = batch.layouts
    if first == second == "shared":  # they would be one pair
        second = "expanded"
    repeated = [layout in ("shared", "expanded") for layout in (first, second)]
    for x, one_row in zip((x1, x2), repeated, strict=True):
        x[:] = x[:1] if one_row else x
    base, other = (x2, x1) if repeated[1] or (not repeated[0] and rng.random() < 0.5) else (x1, x2)
    relate(batch, base, other, rng, any(repeated))
    if all(repeated):
        other[:] = other[:1]
    target = torch.from_numpy(rng.choice([-1, 1], batch.n))
    target = target > 0 if batch.target == "bool" else target.to(getattr(torch, batch.target))
    with np.errstate(all="ignore"):
        found = geometry(x1, x2)
    margin, positive_margin = _margins(batch, found)
    inputs = Inputs(
        batch,
        _laid_out(x1, batch, first),
        _laid_out(x2, batch, second),
        target.repeat_interleave(2)[::2] if batch.seed % 4 == 0 else target,
        _weight(batch, rng),
        torch.empty(0),
        margin,
        positive_margin,
        found,
    )
    return replace(inputs, upstream=_upstream(batch, inputs.dtype, rng))


def random_batch(rng: np.random.Generator, dtype: str, *, plain: bool = False) -> Batch:
    """A batch for the bulk mode; a plain one asks nothing that torch's own loss does not offer."""
    d = int(rng.choice(LENGTHS)) if rng.random() < 0.5 else int(2 ** rng.uniform(0, np.log2(1101)))
    threaded = d >= 64 and rng.random() < 0.01  # enough bytes for a second thread
    most = 2_500_000 * 8 // (d * DIGITS[dtype]) if threaded else min(32768 // d, 400)
    n = most if rng.random() < 0.6 else int(rng.integers(1, min(most, 64) + 1))

    def pick(of: Sequence[Any], usual: float = 0.0) -> Any:
        return of[0] if rng.random() < usual else of[int(rng.integers(len(of)))]

    relations = tuple(rng.permutation([*RELATIONS, "random", "random", "near", "near", "one ulp"]))
    if rng.random() < 0.05:
        relations = (*relations, *POISONS)
    free = (float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)))
    batch = Batch(
        dtype=dtype, n=n, d=d, seed=int(rng.integers(2**31)), relations=relations,
        scales=tuple(pick(SCALES) for _ in range(7)),
        target=pick(TARGETS, 0.5), margins=pick(MARGINS) if rng.random() < 0.7 else free,
        reduction="none", upstream="one",
    )  # fmt: skip
    if plain:
        return replace(batch, margins=(batch.margins[0], 1.0), target="int64")
    return replace(
        batch,
        layouts=(pick(LAYOUTS, 0.4), pick(LAYOUTS, 0.4)),
        hinge=int(rng.integers(-1, 2)) if rng.random() < 0.15 else None,
        reduction=pick(("none", "mean", "sum"), 0.4),
        weight=pick(WEIGHTS, 0.6),
        upstream=pick(UPSTREAMS, 0.5),
        wanted=pick(WANTED, 0.8),
    )


def batch_at(seed: int, number: int, *, plain: bool = False) -> Batch:
    """Batch `number` of the bulk mode under that seed."""
    rng = np.random.default_rng([seed, number])
    return random_batch(rng, DTYPES[number % len(DTYPES)], plain=plain)
