"""What a measurement is asked to cover."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from cospair.bench import malloc

FORWARD = "forward"
BOTH = "forward + backward"
SIZES = ((32, 128), (256, 512), (4096, 512), (65536, 512))
DTYPES = ("float32", "float64", "bfloat16", "float16")
RANDOM = "random"
TRAINED = "trained-like"

AnyPlan = TypeVar("AnyPlan", "Plan", "AllPairsPlan")


@dataclass(frozen=True)
class Plan:
    """Sizes, dtypes and the rest of a measurement; checks itself.

    Args:
        sizes: (pairs, features) of each batch.
        dtypes: Names of dtypes of the embeddings.
        directions: 'forward' (no gradients) and 'forward + backward', either or both.
        device: 'cpu' or 'cuda'.
        threads: Threads that torch may use on the CPU; None leaves its own number.
        rounds: Timed stretches of each variant, at least 2; quartiles want 9.
        compiled: Also measure under torch.compile, which takes seconds a variant and size.
        malloc: 'default', 'kept' (big blocks that are freed stay with the process) or 'returned'
            (they go back to the system); the latter two need glibc.

    Raises:
        ValueError: For an empty or impossible size, an unknown name, or too few rounds.
        RuntimeError: For a device that is not there, `compiled` without a C++ compiler, or a malloc
            that cannot be told.
    """

    sizes: tuple[tuple[int, int], ...] = SIZES
    dtypes: tuple[str, ...] = ("float32",)
    directions: tuple[str, ...] = (FORWARD, BOTH)
    device: str = "cpu"
    threads: int | None = None
    rounds: int = 11
    compiled: bool = False
    malloc: str = "default"

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, before anything is."""
        _check_sizes("pairs", self.sizes)
        _check_names("dtypes", self.dtypes, DTYPES)
        _check_ways(self)
        _check_machine(self)


@dataclass(frozen=True)
class AllPairsPlan:
    """What a measurement of every pair of a batch covers; checks itself.

    Args:
        sizes: (rows, features) of each batch, in float32.
        margins: Cosines above which an impostor pair costs, each in [-1, 1].
        data: Kinds of batches, 'random' and 'trained-like', either or both.
        only: Names of the variants to measure beside the bare product; None: every one.
        memory_gib: A variant that would take more than this, in GiB, is left out.
        directions: As in `Plan`.
        device: As in `Plan`.
        threads: As in `Plan`.
        rounds: As in `Plan`.
        compiled: As in `Plan`.
        malloc: As in `Plan`.

    Raises:
        ValueError: As `Plan`, and for a margin outside [-1, 1] or a limit that is not above 0.
        RuntimeError: As `Plan`.
    """

    sizes: tuple[tuple[int, int], ...] = ((1024, 512), (4096, 512))
    margins: tuple[float, ...] = (0.0, 0.25, 0.5)
    data: tuple[str, ...] = (RANDOM, TRAINED)
    only: tuple[str, ...] | None = None
    memory_gib: float = 8.0
    directions: tuple[str, ...] = (FORWARD, BOTH)
    device: str = "cpu"
    threads: int | None = None
    rounds: int = 11
    compiled: bool = False
    malloc: str = "default"

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, before anything is."""
        _check_sizes("rows", self.sizes)
        _check_names("data", self.data, (RANDOM, TRAINED))
        if not self.margins or not all(-1 <= margin <= 1 for margin in self.margins):
            raise ValueError(
                f"margins must be cosines in [-1, 1], got {self.margins}; name one as 0.25"
            )
        if not 0 < self.memory_gib < math.inf:
            raise ValueError(
                f"memory_gib must be above 0 and finite, got {self.memory_gib}; 8 is the default"
            )
        _check_ways(self)
        _check_machine(self)


def restored(kind: type[AnyPlan], words: Mapping[str, Any]) -> AnyPlan:
    """The plan that `asdict` took apart and JSON carried."""
    return kind(**{name: _tuples(value) for name, value in words.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _check_sizes(rows: str, sizes: tuple[tuple[int, int], ...]) -> None:
    if not sizes or any(n < 1 or d < 1 for n, d in sizes):
        raise ValueError(
            f"sizes must be {rows} x features, both from 1, got {sizes}; name one as 4096x512"
        )


def _check_ways(plan: Plan | AllPairsPlan) -> None:
    _check_names("directions", plan.directions, (FORWARD, BOTH))
    _check_names("device", (plan.device,), ("cpu", "cuda"))
    _check_names("malloc", (plan.malloc,), malloc.MALLOCS)
    if plan.rounds < 2:
        raise ValueError(
            f"rounds must be at least 2, got {plan.rounds}; a spread needs two figures"
        )
    if plan.threads is not None and plan.threads < 1:
        raise ValueError(f"threads must be at least 1, got {plan.threads}; name a number of it")


def _check_machine(plan: Plan | AllPairsPlan) -> None:
    malloc.check(plan.malloc)
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            "device cuda needs a GPU that torch can use, found none; measure on the cpu"
        )
    if plan.compiled and plan.device == "cpu" and not _compiler():
        raise RuntimeError(
            "torch.compile on the cpu needs a C++ compiler on PATH or in CXX, found none; "
            "install one, or measure without it"
        )


def _check_names(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        came = repr(wrong[0]) if wrong else "none"
        raise ValueError(f"{what} must be of {', '.join(known)}, got {came}; choose among them")


def _compiler() -> str | None:
    """A compiler that torch.compile would find."""
    wanted = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next((found for name in wanted if name and (found := shutil.which(name))), None)
