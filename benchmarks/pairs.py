"""The pair loss beside torch's, forward and backward, in one process, interleaved.

    python benchmarks/pairs.py                      # the table
    python benchmarks/pairs.py --save rows.csv      # and append its rows to a file

A row is the median of the rounds with its quartiles. Floors: reading both inputs and writing two
gradients once (`copy_` of both inputs), into buffers at hand and into fresh ones. Inputs rotate, so
that caches do not flatter.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from provenance import save
from torch import Tensor

import cospair

SIZES = {
    "a small batch": (32, 128),
    "a batch": (256, 512),
    "a large batch": (4096, 512),
    "a pass over a set": (65536, 512),
}
MARGIN = 0.1
HEADER = (
    f"{'variant':24}{'pairs':>14}{'dtype':>10}{'median us':>12}"
    f"{'x eager':>9}{'x floor':>9}{'GB/s':>7}"
)

Step = Callable[[Tensor, Tensor, Tensor], object]


def backward_of(loss: Callable[..., Tensor]) -> Step:
    """One training step's share of the loss: forward, backward, fresh gradients."""

    def step(x1: Tensor, x2: Tensor, target: Tensor) -> None:
        x1.grad = x2.grad = None
        loss(x1, x2, target, margin=MARGIN).backward()

    return step


def copies(fresh: bool) -> Step:
    """The traffic that no exact loss can avoid."""
    kept: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def step(x1: Tensor, x2: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            if fresh:
                return x1.clone(), x2.clone()
            out = kept.setdefault(tuple(x1.shape), (torch.empty_like(x1), torch.empty_like(x2)))
            return out[0].copy_(x1), out[1].copy_(x2)

    return step


def variants(compiled: bool) -> dict[str, Step]:
    """What is compared, by name; torch eager first, because ratios are to it."""
    rows = {
        "torch eager": backward_of(F.cosine_embedding_loss),
        "cospair": backward_of(cospair.cosine_embedding_loss),
        "floor, buffers at hand": copies(fresh=False),
        "floor, fresh buffers": copies(fresh=True),
    }
    if compiled:
        torch.compiler.reset()  # past its limit of recompilations it would fall back to eager
        rows["torch.compile"] = backward_of(torch.compile(F.cosine_embedding_loss, dynamic=False))
    return rows


def inputs(n: int, d: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batches to rotate through, together past the last-level cache or four of them."""
    generator = torch.Generator().manual_seed(0)
    count = 4 if n * d < 1 << 24 else 2

    def embeddings() -> Tensor:
        return torch.randn(n, d, generator=generator).to(dtype).requires_grad_()

    def targets() -> Tensor:
        return torch.randint(0, 2, (n,), generator=generator) * 2 - 1

    return [(embeddings(), embeddings(), targets()) for _ in range(count)]


def measure(
    steps: dict[str, Step], batches: list[tuple[Tensor, Tensor, Tensor]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of a step by variant, one figure a round, the variants in turn within a round."""
    elements = batches[0][0].numel()
    repeats = max(1, min(200, (1 << 22) // elements))
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            for repeat in range(repeats):
                kept = step(*batches[(turn + repeat) % len(batches)])
            for x1, x2, _ in batches:
                x1.grad = x2.grad = None
            del kept
            if turn:  # the first round warms up
                seconds[name].append((time.perf_counter() - start) / repeats)
    return seconds


def rows_for(
    size: tuple[int, int], dtype: torch.dtype, rounds: int, compiled: bool
) -> list[dict[str, object]]:
    """One row a variant, with its ratio to torch eager and to the floor."""
    n, d = size
    seconds = measure(variants(compiled), inputs(n, d, dtype), rounds)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    moved = 4 * n * d * dtype.itemsize
    rows = []
    for name, times in seconds.items():
        low, _, high = statistics.quantiles(times, n=4)
        rows.append(
            {
                "variant": name,
                "n": n,
                "d": d,
                "dtype": str(dtype).removeprefix("torch."),
                "median_us": round(medians[name] * 1e6, 1),
                "quartiles_us": f"{low * 1e6:.1f}..{high * 1e6:.1f}",
                "times_torch_eager": round(medians["torch eager"] / medians[name], 2),
                "times_floor": round(medians[name] / medians["floor, buffers at hand"], 2),
                "gb_per_s": round(moved / medians[name] / 1e9, 1),
            }
        )
    return rows


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument(
        "--dtype",
        nargs="+",
        default=["float32"],
        choices=["float32", "float64", "bfloat16", "float16"],
    )
    parser.add_argument(
        "--compiled", action="store_true", help="also torch.compile; needs a compiler"
    )
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    print(HEADER)
    for dtype in asked.dtype:
        for size in SIZES.values():
            rows = rows_for(size, getattr(torch, dtype), asked.rounds, asked.compiled)
            for row in rows:
                print(
                    f"{row['variant']:24}{row['n']:>9}x{row['d']:<4}{row['dtype']:>10}{row['median_us']:>12}"
                    f"{row['times_torch_eager']:>9}{row['times_floor']:>9}{row['gb_per_s']:>7}"
                )
            if asked.save:
                save(rows, asked.save)


if __name__ == "__main__":
    main()
