"""What a measurement is asked to cover."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import torch

FORWARD = "forward"
BOTH = "forward + backward"
SIZES = ((32, 128), (256, 512), (4096, 512), (65536, 512))
DTYPES = ("float32", "float64", "bfloat16", "float16")


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

    Raises:
        ValueError: For an empty or impossible size, an unknown name, or too few rounds.
        RuntimeError: For a device that is not there, or `compiled` without a C++ compiler.
    """

    sizes: tuple[tuple[int, int], ...] = SIZES
    dtypes: tuple[str, ...] = ("float32",)
    directions: tuple[str, ...] = (FORWARD, BOTH)
    device: str = "cpu"
    threads: int | None = None
    rounds: int = 11
    compiled: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, before anything is."""
        self._check_values()
        self._check_machine()

    def _check_values(self) -> None:
        if not self.sizes or any(n < 1 or d < 1 for n, d in self.sizes):
            raise ValueError(
                f"sizes must be pairs x features, both from 1, got {self.sizes}; name one as "
                "4096x512"
            )
        _check_names("dtypes", self.dtypes, DTYPES)
        _check_names("directions", self.directions, (FORWARD, BOTH))
        _check_names("device", (self.device,), ("cpu", "cuda"))
        if self.rounds < 2:
            raise ValueError(
                f"rounds must be at least 2, got {self.rounds}; a spread needs two figures"
            )
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}; name a number of it")

    def _check_machine(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError(
                "device cuda needs a GPU that torch can use, found none; measure on the cpu"
            )
        if self.compiled and self.device == "cpu" and not _compiler():
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
