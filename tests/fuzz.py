"""Random cases of the pair loss, and what each must give, in arithmetic of twice float64's width.

    python tests/fuzz.py --cases 1000000 --kernel cpu --seed 0    # ends with a report
    python tests/fuzz.py --kernel cpu --seed 0 --batch 17         # one of its batches again

It exits 1 where an error is past its bound or anything is unexplained: NaN from finite rows, a loss
out of range, a row that counts other neighbours, threads or the order of the inputs in. Decisions:

- A batch is a handful of choices and a seed; all its numbers follow from them. tests/test_fuzz.py
  lets hypothesis choose, the bulk mode draws from a generator.
- Truth is held as two float64 (106 bits). With e = b - (<a, b> / |a|^2) a, the part of b that is
  orthogonal to a, 1 - s^2 = |e|^2 / |b|^2 and ds/da = e / (|a| |b|): nothing cancels near s = +-1.
  tests/truth.py's 300 bits vouch for it, on random rows and on the worst ones found.
- An error is in units of the last place (ulp) of the true value in the result's dtype; a gradient's
  is that of its largest wrong element, in ulp of its row's largest true element. No unit is smaller
  than what the cosine inside resolves (`Bound`): a margin within 1e-16 of the cosine leaves no
  figures of the hinge, in any arithmetic.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import torch
import truth
from torch import Tensor

import cospair
from cospair import kernels

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]
Kernel = Callable[..., Tensor]

# ---- numbers of 106 bits -----------------------------------------------------------------------


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _halves(a: Any) -> tuple[Any, Any]:
    t = 134217729.0 * a  # 2^27 + 1, Veltkamp
    high = t - (t - a)
    return high, a - high


def _two_product(a: Any, b: Any) -> tuple[Any, Any]:
    p = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


@dataclass(frozen=True, slots=True)
class Wide:
    """Numbers held as the sum of two float64 (Dekker 1971)."""

    high: Any
    low: Any = 0.0

    def __add__(self, other: Wide | Array | float) -> Wide:
        """Sum; relative error 2^-104 where signs agree."""
        other = other if isinstance(other, Wide) else Wide(other)
        s, e = _two_sum(self.high, other.high)
        t, f = _two_sum(self.low, other.low)
        s, e = _two_sum(s, e + t)
        return Wide(*_two_sum(s, e + f))

    def __neg__(self) -> Wide:
        """Exact."""
        return Wide(-self.high, -self.low)

    def __sub__(self, other: Wide | Array | float) -> Wide:
        """As the sum."""
        return self + (-other)

    def __mul__(self, other: Wide | Array | float) -> Wide:
        """Product; relative error 2^-103."""
        other = other if isinstance(other, Wide) else Wide(other)
        p, e = _two_product(self.high, other.high)
        return Wide(*_two_sum(p, e + (self.high * other.low + self.low * other.high)))

    def __truediv__(self, other: Wide) -> Wide:
        """Quotient; relative error 2^-102."""
        first = self.high / other.high
        rest = self - other * first
        second = rest.high / other.high
        third = (rest - other * second).high / other.high
        return Wide(first) + second + third

    def root(self) -> Wide:
        """Square root of a positive number."""
        first = np.sqrt(self.high)
        return Wide(first) + (self - Wide(first) * first).high / (2 * first)

    def __getitem__(self, at: Any) -> Wide:
        """The numbers there."""
        return Wide(self.high[at], np.broadcast_to(self.low, self.high.shape)[at])

    def where(self, mask: Any, other: float = 0.0) -> Wide:
        """These where the mask is set, else the other."""
        return Wide(np.where(mask, self.high, other), np.where(mask, self.low, 0.0))

    def total(self) -> Wide:
        """Sum over the last axis, pairwise."""
        x = self
        while (d := x.high.shape[-1]) > 1:
            half = (d + 1) // 2
            middle = x[..., d - half : half]
            x = x[..., : d - half] + x[..., half:]
            if d % 2:
                x = Wide(
                    *(np.append(*both, -1) for both in zip(_pair(x), _pair(middle), strict=True))
                )
        return x[..., 0]


def _pair(x: Wide) -> tuple[Any, Any]:
    return x.high, x.low


# ---- truth -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Geometry:
    """What pairs of rows are to each other, whatever the loss asks.

    Rows are divided by 2**exponent first, so slopes are those of rows of size 1.
    """

    cosine: Wide  # [n]; near +-1 its low part is not enough: gap is 1 - |s|
    gap: Wide
    near: Mask
    slope1: Wide  # [n, d], ds/dx1
    slope2: Wide
    size1: Array  # [n], length
    size2: Array
    exponent1: Whole  # [n]
    exponent2: Whole
    zero: Mask
    broken1: Mask  # NaN or inf came in
    broken2: Mask
    same: Mask  # equal or opposite, element by element

    @property
    def broken(self) -> Mask:
        """Either row holds NaN or inf."""
        return self.broken1 | self.broken2


def _to_size_one(x: Array) -> tuple[Array, Whole]:
    exponent = np.frexp(np.abs(x).max(axis=-1))[1].astype(np.int64)
    return np.ldexp(x, -exponent[:, None]), exponent


def _orthogonal_part(a: Array, b: Array, norm: Wide, dot: Wide) -> Wide:
    """What is left of b beside a, relative to itself as exact as the rest of this arithmetic."""
    ratio = dot / norm
    # whatever ratio is taken, the rest is orthogonalised again; one that is exact keeps e exact
    low = np.where(np.abs(ratio.low) < 2.0**-95 * np.abs(ratio.high), 0.0, ratio.low)
    p, e = _two_product(ratio.high[:, None], a)
    first = Wide(*_two_sum(b, -p)) - e - Wide(*_two_product(low[:, None], a))
    again = (first * a).total() / norm
    rest = first - Wide(*(part[:, None] for part in _pair(again))) * a
    size, before = np.square(rest.high).sum(-1), np.square(first.high).sum(-1)
    return rest.where((size > 2.0**-180 * before)[:, None])


def geometry(x1: Array, x2: Array) -> Geometry:
    """Cosines of paired rows [n, d] and their derivatives; 0 where a row is zero or broken."""
    broken1, broken2 = (np.asarray(~np.isfinite(x).all(-1)) for x in (x1, x2))
    broken = broken1 | broken2
    zero = ~broken & ((x1 == 0).all(-1) | (x2 == 0).all(-1))
    plain = ~(broken | zero)
    (a, exponent1), (b, exponent2) = (
        _to_size_one(np.where(plain[:, None], x, 1.0)) for x in (x1, x2)
    )
    norm1, norm2, dot = (Wide(*_two_product(x, y)).total() for x, y in ((a, a), (b, b), (a, b)))
    lengths = norm1.root() * norm2.root()
    e1, e2 = _orthogonal_part(a, b, norm1, dot), _orthogonal_part(b, a, norm2, dot)
    squared_sine = (e1 * e1).total() / norm2
    near = np.square(dot.high) > 0.25 * norm1.high * norm2.high
    cosine_size = (Wide(np.ones(len(a))) - squared_sine.where(near)).root()
    gap = squared_sine / (cosine_size + 1.0)
    sign = np.sign(dot.high)
    cosine = dot / lengths
    near_cosine = cosine_size * sign
    inverse = Wide(np.ones(len(a))) / lengths
    inverse = Wide(inverse.high[:, None], inverse.low[:, None])
    return Geometry(
        cosine=Wide(
            *(np.where(near, p, q) for p, q in zip(_pair(near_cosine), _pair(cosine), strict=True))
        ).where(plain),
        gap=gap.where(plain & near),
        near=near & plain,
        slope1=(e1 * inverse).where(plain[:, None]),
        slope2=(e2 * inverse).where(plain[:, None]),
        size1=np.sqrt(norm1.high),
        size2=np.sqrt(norm2.high),
        exponent1=exponent1,
        exponent2=exponent2,
        zero=zero,
        broken1=broken1,
        broken2=broken2,
        same=plain & ((x1 == x2).all(-1) | (x1 == -x2).all(-1)),
    )


# ---- cases -------------------------------------------------------------------------------------

DTYPES = ("float16", "bfloat16", "float32", "float64")
# digits of the significand, exponents of the smallest denormal and of the largest power of two
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
SMALLEST = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}
LARGEST = {"float16": 15, "bfloat16": 127, "float32": 127, "float64": 1023}

RELATIONS = (
    "random", "near", "identical", "opposite", "parallel", "doubled", "one ulp", "orthogonal",
    "half", "zero", "both zero", "huge", "constant",
)  # fmt: skip
POISONS = ("nan", "inf", "-inf", "nan and zero")
SCALES = ("ordinary", "far", "mixed", "sparse", "denormal")
LAYOUTS = ("contiguous", "offset", "wide rows", "columns", "stepped", "expanded", "shared")
TARGETS = ("int64", "int32", "int16", "int8", "float64", "float32", "float16", "bfloat16", "bool")
WEIGHTS = ("none", "uniform", "with zeros", "all zero", "strided")
UPSTREAMS = ("one", "random", "zero", "large", "tiny")
WANTED = ((True, True), (True, False), (False, True), (False, False))
MARGINS = (
    (0.0, 1.0), (0.0, 0.0), (0.25, 0.25), (0.5, 1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0),
    (0.3, -0.4),
)  # fmt: skip
LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 128, 129, 255, 257, 511, 512, 513, 1100)


@dataclass(frozen=True)
class Batch:
    """A batch of pairs by its choices; equal choices give equal numbers."""

    dtype: str = "float32"
    n: int = 4
    d: int = 8
    seed: int = 0
    relations: Sequence[str] = RELATIONS  # of the rows in turn
    scales: Sequence[str] = ("ordinary",)
    layouts: tuple[str, str] = ("contiguous", "contiguous")
    target: str = "int64"
    margins: tuple[float, float] = (0.0, 1.0)  # margin, positive_margin
    hinge: int | None = None  # both margins this many ulps from the cosine of row seed % n
    reduction: str = "mean"
    weight: str = "none"
    upstream: str = "one"
    wanted: tuple[bool, bool] = (True, True)


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


def _cast(x: Array, dtype: str) -> Array:
    """The nearest number of the dtype, or its largest."""
    largest = torch.finfo(getattr(torch, dtype)).max
    clipped = torch.from_numpy(np.clip(x, -largest, largest))
    return clipped.to(getattr(torch, dtype)).double().numpy()


def _ulp(x: Array, dtype: str, shift: Whole | int = 0) -> Array:
    """Unit in the last place of x, which is 2**shift times a number of the dtype."""
    exponent = np.frexp(x)[1] - shift
    return np.ldexp(1.0, np.maximum(exponent - DIGITS[dtype], SMALLEST[dtype]) + shift)


def _rows(rng: np.random.Generator, batch: Batch) -> Array:
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
    return _cast(x, batch.dtype)


def _one_ulp_off(x: Array, rng: np.random.Generator, dtype: str) -> Array:
    column = rng.integers(0, x.shape[1], len(x))
    at = (np.arange(len(x)), column)
    moved = x.copy()
    step = _ulp(x[at], dtype)
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
        return found and _cast(found(), dtype)


def _relate(
    batch: Batch, base: Array, other: Array, rng: np.random.Generator, shared: bool
) -> None:
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
    x1, x2 = _rows(rng, batch), _rows(rng, batch)
    first, second = batch.layouts
    if first == second == "shared":  # they would be one pair
        second = "expanded"
    repeated = [layout in ("shared", "expanded") for layout in (first, second)]
    for x, one_row in zip((x1, x2), repeated, strict=True):
        x[:] = x[:1] if one_row else x
    base, other = (x2, x1) if repeated[1] or (not repeated[0] and rng.random() < 0.5) else (x1, x2)
    _relate(batch, base, other, rng, any(repeated))
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


# ---- judgement ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bound:
    """How far a kernel may be off in one dtype, and below what its figures end."""

    loss_ulps: float
    gradient_ulps: float
    hinge: float = 2.0**-50  # what the cosine resolves, absolutely
    gap: float = 2.0**-100  # what 1 - |s| resolves, where that is the loss
    angle: float = 0.0  # the same, as a multiple of the angle
    slope: float = 2.0**-49  # what a gradient resolves, times its row's length


BOUNDS = {
    "cpu": {
        "float16": Bound(0.51, 0.51),
        "bfloat16": Bound(0.51, 0.51),
        "float32": Bound(0.51, 2.5),  # the gradient is computed in float
        "float64": Bound(2.0, 8.0, hinge=2.0**-60, gap=2.0**-110, slope=2.0**-60),
    },
    # plain torch in float64: near +-1 its figures end at the angle that float64 resolves
    "reference": {
        "float16": Bound(0.51, 0.51, angle=2.0**-50),
        "bfloat16": Bound(0.51, 0.51, angle=2.0**-50),
        "float32": Bound(1.0, 1.0, angle=2.0**-50),
        "float64": Bound(8.0, 64.0, angle=2.0**-50),
    },
}


@dataclass
class Findings:
    """What a batch showed: errors in ulps (NaN where 0 is 0), and what nothing excuses."""

    loss: Array
    gradients: tuple[Array, Array]
    off_by_one: int = 0  # gradient elements more than an ulp of their own away
    elements: int = 0
    ties: int = 0  # pairs whose margin and cosine are one number to the arithmetic
    overflows: int = 0  # sums of a query's gradients in which infinities of both signs met
    complaints: list[str] = field(default_factory=list)


def call(kernel: Kernel, inputs: Inputs) -> list[Tensor | None]:
    """Loss and gradients, None where not wanted."""
    b = inputs.batch
    x1, x2 = (
        x.detach().requires_grad_(wish)
        for x, wish in zip((inputs.x1, inputs.x2), b.wanted, strict=True)
    )
    loss = kernel(
        x1,
        x2,
        inputs.target,
        inputs.weight,
        margin=inputs.margin,
        positive_margin=inputs.positive_margin,
        reduction=b.reduction,
        dtype=inputs.dtype,
    )
    wanted = [x for x in (x1, x2) if x.requires_grad]
    found = iter(torch.autograd.grad(loss, wanted, inputs.upstream) if wanted else ())
    return [loss.detach(), *(next(found) if x.requires_grad else None for x in (x1, x2))]


@dataclass(frozen=True)
class Expected:
    """What a batch must give under its margins, weights and upstream gradient."""

    hinge: Wide  # [n], before max(0, .)
    resolution: Array  # [n], of the hinge
    weight: Array
    divisor: Wide
    factor: Wide  # [n], what a slope is multiplied by where the pair costs
    active: Mask
    tie: Mask  # whether it costs is beyond the resolution


def expected(inputs: Inputs, bound: Bound) -> Expected:
    """The truth of a batch."""
    g, b = inputs.geometry, inputs.batch
    genuine = inputs.target.double().numpy() == 1
    sign = np.where(g.near, np.sign(g.cosine.high), 0.0)
    rest = (g.gap * -sign).where(g.near)
    rest = Wide(
        *(np.where(g.near, p, q) for p, q in zip(_pair(rest), _pair(g.cosine), strict=True))
    )
    hinge_genuine = Wide(*_two_sum(inputs.positive_margin, -sign)) - rest
    hinge_impostor = Wide(*_two_sum(sign, -inputs.margin)) + rest
    hinge = Wide(
        *(
            np.where(genuine, p, q)
            for p, q in zip(_pair(hinge_genuine), _pair(hinge_impostor), strict=True)
        )
    )
    anchored = g.near & (sign == np.where(genuine, inputs.positive_margin, inputs.margin))
    angle = np.sqrt(2 * g.gap.high)
    resolution = np.where(anchored, bound.gap + bound.angle * angle, bound.hinge)
    weight = np.ones(b.n) if inputs.weight is None else inputs.weight.double().numpy()
    divisor = Wide(np.ones(()))
    if b.reduction == "mean":
        divisor = Wide(np.array(float(b.n))) if inputs.weight is None else Wide(weight).total()
        divisor = divisor if divisor.high else Wide(np.ones(()))
    upstream = np.broadcast_to(inputs.upstream.double().numpy(), (b.n,))
    factor = Wide(*_two_product(np.where(genuine, -weight, weight), upstream)) / divisor
    return Expected(
        hinge=hinge,
        resolution=resolution,
        weight=weight,
        divisor=divisor,
        factor=factor,
        active=hinge.high > 0,
        tie=(np.abs(hinge.high) <= 2 * resolution) & ~g.same & ~g.broken,
    )


def _loss_errors(inputs: Inputs, want: Expected, found: Array, complaints: list[str]) -> Array:
    g, b = inputs.geometry, inputs.batch
    dtype = str(inputs.dtype).removeprefix("torch.")
    true = want.hinge.where(want.hinge.high > 0) * want.weight
    resolution = want.resolution * want.weight
    broken = g.broken
    if b.reduction != "none":
        true = true.where(~broken).total() / want.divisor
        resolution = resolution.sum() / want.divisor.high
        broken = broken.any()
    unit = np.maximum(_ulp(true.high, dtype), resolution)
    errors = np.abs((found - true.high) - true.low) / unit
    errors = np.where(np.isfinite(found), errors, np.inf)
    errors = np.where(broken | ((true.high == 0) & (found == 0)), np.nan, errors)
    _complain(complaints, broken & ~np.isnan(found), "the loss drops a row that is not finite")
    _complain(complaints, ~broken & ~np.isfinite(found), "the loss of finite rows is not finite")
    if b.reduction == "none":
        settled = ~broken & (want.hinge.high <= 0) & (~want.tie)
        _complain(complaints, settled & (found != 0), "a pair past its margin costs")
        most = np.where(
            inputs.target.double().numpy() == 1, 1 + inputs.positive_margin, 1 - inputs.margin
        )
        most = torch.from_numpy(most * want.weight).to(inputs.dtype).double().numpy()
        _complain(
            complaints, ~broken & ((found < 0) | (found > most)), "a loss is out of its range"
        )
    return np.atleast_1d(errors)


def _complain(complaints: list[str], mask: Any, text: str) -> None:
    rows = np.flatnonzero(mask)
    if rows.size:
        complaints.append(f"{text} (row {rows[0]}, {rows.size} in all)")


def _gradient_errors(
    inputs: Inputs, want: Expected, bound: Bound, side: int, gradient: Tensor, findings: Findings
) -> Array:
    g, b = inputs.geometry, inputs.batch
    slope, size, exponent = ((g.slope1, g.size1, g.exponent1), (g.slope2, g.size2, g.exponent2))[
        side
    ]
    found = gradient.double().numpy()
    factor = want.factor.where(want.active | want.tie)
    true = slope * Wide(*(part[:, None] for part in _pair(factor)))
    resolution = bound.slope * np.abs(factor.high) / size
    settled, broken = ~want.tie, g.broken
    nothing = ~broken & (g.zero | g.same | (factor.high == 0))
    largest = torch.finfo(gradient.dtype).max
    infinite = False
    if len(found) < b.n:  # one row for all: the sum
        infinite = (np.abs(np.ldexp(true.high, -exponent[:, None])) >= largest / 2).any()
        resolution = (resolution + 2.0**-50 * np.abs(true.high).max(-1)).sum(keepdims=True)
        true = Wide(true.high.T, true.low.T).total()
        true = Wide(true.high[None], true.low[None])
        plain = np.flatnonzero(~g.broken & ~g.zero)
        exponent = exponent[plain[:1]] if plain.size else exponent[:1]
        settled, broken, nothing = (
            np.atleast_1d(x) for x in (settled.all(), broken.any(), nothing.all())
        )
    unit = np.maximum(_ulp(np.abs(true.high).max(-1), b.dtype, exponent), resolution)
    scaled = np.ldexp(found, exponent[:, None])
    reach = np.abs(true.high) + bound.gradient_ulps * unit[:, None]
    over = (np.ldexp(reach, -exponent[:, None]) >= largest) | infinite
    findings.overflows += int((np.isnan(found) & infinite & ~broken[:, None]).any())
    excused = broken[:, None] | (over & np.isinf(found)) | (np.isnan(found) & infinite)
    off = np.abs((scaled - true.high) - true.low)
    off = np.where(excused, 0.0, np.where(np.isnan(off), np.inf, off))
    errors = off.max(-1) / unit
    # of a tie both the gradient and none are right
    errors = np.where(settled | ((len(found) == b.n) & (scaled != 0).any(-1)), errors, 0.0)
    complaints, name = findings.complaints, f"x{side + 1}'s gradient"
    own = (g.broken1, g.broken2)[side]
    own = np.atleast_1d(own.any()) if len(found) < b.n else own
    _complain(complaints, own & ~np.isnan(found).any(-1), f"{name} drops a row that is not finite")
    _complain(complaints, (~excused & np.isnan(found)).any(-1), f"{name} of finite rows is NaN")
    _complain(complaints, nothing & (found != 0).any(-1), f"{name} is not 0 where it must be")
    counted = (true.high != 0) & settled[:, None] & ~excused
    least = np.maximum(resolution, 2.0**-50 * np.abs(true.high).max(-1))
    own_unit = np.maximum(_ulp(true.high, b.dtype, exponent[:, None]), least[:, None])
    findings.elements += int(counted.sum())
    findings.off_by_one += int((counted & (off > own_unit)).sum())
    return np.where(broken | ((true.high == 0) & (found == 0)).all(-1), np.nan, errors)


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    """Bit for bit; any NaN is any NaN."""
    if a is None or b is None:
        return a is b
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    bits = [torch.where(x.isnan(), 0, x.contiguous().view(whole)) for x in (a, b)]
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(*bits)


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    """Number for number; 0 is -0."""
    return _equal(None if a is None else a + 0.0, None if b is None else b + 0.0)


def _row_alone(kernel: Kernel, inputs: Inputs, i: int, found: list[Tensor | None]) -> bool:
    """Whether pair i, by itself and contiguous, gets what it got among the others."""
    b = inputs.batch
    upstream = inputs.upstream[i : i + 1] if b.reduction == "none" else inputs.upstream
    x1, x2 = (x[i : i + 1] if len(x) == b.n else x for x in (inputs.x1, inputs.x2))
    alone = replace(
        inputs,
        batch=replace(b, n=1),
        x1=x1.clone(memory_format=torch.contiguous_format),
        x2=x2.clone(memory_format=torch.contiguous_format),
        target=inputs.target[i : i + 1].clone(),
        weight=None if inputs.weight is None else inputs.weight[i : i + 1].clone(),
        upstream=upstream,
    )
    result = call(kernel, alone)
    same = b.reduction != "none" or _equal(result[0], _row(found[0], i))
    for gradient, all_rows in zip(result[1:], found[1:], strict=True):
        if all_rows is not None and len(all_rows) == b.n:
            same = same and _equal(gradient, _row(all_rows, i))
    return same


def _row(x: Tensor | None, i: int) -> Tensor | None:
    return None if x is None else x[i : i + 1]


def _swapped(inputs: Inputs) -> Inputs:
    b = inputs.batch
    return replace(
        inputs, x1=inputs.x2, x2=inputs.x1, batch=replace(b, wanted=(b.wanted[1], b.wanted[0]))
    )


def _invariants(kernel: Kernel, inputs: Inputs, found: list[Tensor | None]) -> Iterator[str]:
    """What must hold bit for bit, whatever the truth."""
    b = inputs.batch
    if not all(_equal(x, y) for x, y in zip(found, call(kernel, inputs), strict=True)):
        yield "a second call gives something else"
    loss, g2, g1 = call(kernel, _swapped(inputs))
    if not all(_same(x, y) for x, y in zip(found, (loss, g1, g2), strict=True)):
        yield "x1 and x2 exchanged give something else"
    if b.reduction != "mean":
        for i in {0, b.seed % b.n, b.n - 1}:
            if not _row_alone(kernel, inputs, i, found):
                yield f"row {i} alone gives something else than among the others"
    if inputs.x1.numel() * inputs.x1.element_size() > 1 << 21:
        before = torch.get_num_threads()
        torch.set_num_threads(2 if before == 1 else 1)
        if not all(_equal(x, y) for x, y in zip(found, call(kernel, inputs), strict=True)):
            yield "one thread and two give different results"
        torch.set_num_threads(before)


def judge(kernel: Kernel, inputs: Inputs, bound: Bound, *, exact: bool = True) -> Findings:
    """Run a batch and compare; exact asks for what must hold bit for bit, too."""
    found = call(kernel, inputs)
    loss = found[0]
    assert loss is not None
    with np.errstate(all="ignore"):
        want = expected(inputs, bound)
        findings = Findings(np.zeros(0), (np.zeros(0), np.zeros(0)), ties=int(want.tie.sum()))
        findings.loss = _loss_errors(inputs, want, loss.double().numpy(), findings.complaints)
        first, second = (
            np.zeros(0) if x is None else _gradient_errors(inputs, want, bound, side, x, findings)
            for side, x in enumerate(found[1:])
        )
    findings.gradients = (first, second)
    for name, errors, most in (
        ("the loss", findings.loss, bound.loss_ulps),
        ("x1's gradient", first, bound.gradient_ulps),
        ("x2's gradient", second, bound.gradient_ulps),
    ):
        worst = np.fmax.reduce(errors, initial=0.0)
        _complain(findings.complaints, errors > most, f"{name} is up to {worst:.3g} ulp off")
    if exact:
        findings.complaints += _invariants(kernel, inputs, found)
    return findings


def examine(kernel: Kernel, batch: Batch, bounds: dict[str, Bound]) -> Findings:
    """Build a batch and judge what the kernel makes of it."""
    return judge(kernel, build(batch), bounds[batch.dtype])


# ---- many batches ------------------------------------------------------------------------------

PARTS = ("loss", "gradient of x1", "gradient of x2")


@dataclass
class Tally:
    """What all batches of a dtype showed."""

    pairs: int = 0
    errors: tuple[list[Array], list[Array], list[Array]] = field(
        default_factory=lambda: ([], [], [])
    )
    worst: list[tuple[float, int, int]] = field(default_factory=lambda: [(0.0, 0, 0)] * 3)
    off_by_one: int = 0
    elements: int = 0
    ties: int = 0
    overflows: int = 0
    complaints: list[str] = field(default_factory=list)

    def add(self, number: int, n: int, found: Findings) -> None:
        """Take up the findings of batch `number`."""
        self.pairs += n
        for part, errors in enumerate((found.loss, *found.gradients)):
            self.errors[part].append(errors)
            worst = float(np.fmax.reduce(errors, initial=0.0))
            if worst > self.worst[part][0]:
                self.worst[part] = (worst, number, int(np.nanargmax(errors)))
        for count in ("off_by_one", "elements", "ties", "overflows"):
            setattr(self, count, getattr(self, count) + getattr(found, count))
        self.complaints += [f"batch {number}: {text}" for text in found.complaints]

    def median(self, part: int) -> float:
        """Median error of a loss (0) or a gradient (1, 2) that is not 0, in ulps."""
        errors = np.concatenate([np.zeros(0), *self.errors[part]])
        return float(np.nanmedian(errors)) if np.isfinite(errors).any() else 0.0


def kernel_named(name: str) -> tuple[Kernel, dict[str, Bound]]:
    """A kernel's pair_loss and its bounds; 'auto' is the public function.

    Raises:
        RuntimeError: If it cannot run here.
    """
    if name == "auto":
        return _public, BOUNDS["cpu" if not kernels.available()["cpu"] else "reference"]
    if kernels.available()[name]:
        raise RuntimeError(f"{name} must be able to run, but {kernels.available()[name]}")
    return importlib.import_module(f"cospair.kernels.{name}").pair_loss, BOUNDS[name]


def _public(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    dtype: torch.dtype,
    **options: Any,
) -> Tensor:
    loss = cospair.cosine_embedding_loss(x1, x2, target, weight=weight, **options)
    assert loss.dtype == dtype, (loss.dtype, dtype)
    return loss


def batch_at(seed: int, number: int, *, plain: bool = False) -> Batch:
    """Batch `number` of the bulk mode under that seed."""
    rng = np.random.default_rng([seed, number])
    return random_batch(rng, DTYPES[number % len(DTYPES)], plain=plain)


def bulk(kernel: Kernel, bounds: dict[str, Bound], cases: int, seed: int) -> dict[str, Tally]:
    """Batches until there are that many pairs."""
    tallies = {dtype: Tally() for dtype in DTYPES}
    number = 0
    while sum(tally.pairs for tally in tallies.values()) < cases:
        batch = batch_at(seed, number)
        try:
            findings = examine(kernel, batch, bounds)
        except Exception as error:  # a finding like any other: the search goes on
            none = np.zeros(0)
            findings = Findings(none, (none, none), complaints=[f"raises {error!r}"])
        tallies[batch.dtype].add(number, batch.n, findings)
        number += 1
    return tallies


def oracle_error(batch: Batch, row: int) -> float:
    """How far this file's truth of a pair is from tests/truth.py's, in float64 ulps."""
    inputs = build(batch)
    g = inputs.geometry
    if g.broken[row] or g.zero[row]:
        return 0.0
    with mpmath.workprec(2400):  # all of float64's range, squared, and 256 bits
        a, b = (
            truth.rows(x[row : row + 1] if len(x) == batch.n else x)[0]
            for x in (inputs.x1, inputs.x2)
        )
        s = truth.cosine(a, b)
        ours, true = (g.gap, 1 - abs(s)) if g.near[row] else (g.cosine, s)
        # below 2^-190 rows count as parallel; away from +-1 the end of 106 bits is absolute
        least = mpmath.ldexp(1, -190 if g.near[row] else -36)
        off = [abs(_exact(ours, row) - true) / max(abs(true), least)]
        for slope, exponent, wanted in zip(
            (g.slope1, g.slope2),
            (g.exponent1, g.exponent2),
            truth.pair(a, b, -1, -2.0, 1.0)[1:],
            strict=True,
        ):
            wanted = [mpmath.ldexp(x, int(exponent[row])) for x in wanted]
            largest = max(*map(abs, wanted), mpmath.ldexp(1, -95))
            off += [abs(_exact(slope, (row, j)) - x) / largest for j, x in enumerate(wanted)]
        return float(max(off) * 2**52)


def _exact(x: Wide, at: Any) -> Any:
    one = x[at]
    return mpmath.mpf(float(one.high)) + mpmath.mpf(float(one.low))


def _line(dtype: str, tally: Tally) -> str:
    cells = [f"{dtype:9}{tally.pairs:>9}"]
    for part, (worst, number, row) in enumerate(tally.worst):
        cells.append(f"{worst:>9.4f}{tally.median(part):>7.3f}  {f'{number}:{row}':<10}")
    share = 1e6 * tally.off_by_one / max(tally.elements, 1)
    return "".join(cells) + f"{share:>9.1f}{tally.ties:>7}{tally.overflows:>6}"


def report(tallies: dict[str, Tally], seed: int) -> float:
    """Print what was found; the largest error of the truth itself, in float64 ulps."""
    print("worst and median error in ulps, and the batch:row of the worst")
    print(f"{'dtype':9}{'pairs':>9}" + "".join(f"{part:>18}{'':8}" for part in PARTS), end="")
    print(f"{'off/1e6':>9}{'ties':>7}{'over':>6}")
    for dtype, tally in tallies.items():
        print(_line(dtype, tally))
    places = {place[1:] for tally in tallies.values() for place in tally.worst}
    rng = np.random.default_rng(seed)
    for number in rng.integers(0, max(number for number, _ in places) + 1, 300):
        places.add((int(number), int(rng.integers(batch_at(seed, int(number)).n))))
    off = max(
        oracle_error(batch, row if row < batch.n else 0)
        for number, row in places
        for batch in [batch_at(seed, number)]
    )
    print(f"the truth against 2400 bits, {len(places)} pairs: {off:.1e} float64 ulps")
    return off


def main() -> None:
    """Run the bulk mode; exit 1 where something is not as stated."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cases", type=int, default=100_000, help="pairs at least")
    parser.add_argument("--kernel", default="cpu", choices=["auto", *BOUNDS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, help="this batch alone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kernel, bounds = kernel_named(asked.kernel)
    start = time.perf_counter()
    if asked.batch is not None:
        batch = batch_at(asked.seed, asked.batch)
        print(replace(batch, relations=batch.relations[: batch.n]))
        findings = examine(kernel, batch, bounds)
        tallies = {batch.dtype: Tally()}
        tallies[batch.dtype].add(asked.batch, batch.n, findings)
    else:
        tallies = bulk(kernel, bounds, asked.cases, asked.seed)
    print(f"kernel {asked.kernel}, seed {asked.seed}, {time.perf_counter() - start:.0f} s")
    off = report(tallies, asked.seed)
    complaints = [f"{dtype}, {text}" for dtype, t in tallies.items() for text in t.complaints]
    print(*complaints[:50], f"{len(complaints)} complaints", sep="\n")
    sys.exit(bool(complaints) or off > 1e-6)


if __name__ == "__main__":
    main()
