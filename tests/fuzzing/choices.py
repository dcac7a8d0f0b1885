"""What a batch of the fuzzer may be: the choices, and the dtypes in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
