"""Verification figures over all pairs beside the bare product of the same size: time and memory.

    python benchmarks/figures.py                          # 20000 x 128, both kinds of data
    python benchmarks/figures.py --size 100000x128 --save benchmarks/figures.csv

The bare product is all n x n cosines in float32, in blocks of rows that are thrown away. It and the
figures take turns in one process. Memory is what the resident peak grows by while the figures are
made. Impostors above the reported thresholds are counted again for some rows, by plain float64
products; any other number stops the run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cospair.bench import memory, provenance
from cospair.evaluation.all_pairs.figures import all_pairs_figures
from cospair.evaluation.all_pairs.score_axis import KEYS
from cospair.kernels import cpu_tally
from cospair.kernels.tallies import Request, cells_over, sorted_sides

BLOCK = 2048  # rows of the bare product at a time
AN_IDENTITY = 10  # pictures
NOISE = {"trained-like": 1.3, "random": None}  # times the spread of the identities' means
CHECKED = 100  # rows


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print a row each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", action="append", help="pictures x features, as 20000x128")
    parser.add_argument("--data", action="append", choices=list(NOISE))
    parser.add_argument("--resamples", type=int, action="append", help="0: no intervals")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--save", type=Path, help="append the rows to this CSV file")
    asked = parser.parse_args(words)
    for size in asked.size or ["20000x128"]:
        n, d = map(int, size.split("x"))
        for data in asked.data or list(NOISE):
            for resamples in asked.resamples or [0, 1000]:
                row = measured(n, d, data, resamples, asked.rounds)
                print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
                if asked.save:
                    provenance.save([row], asked.save)


def measured(n: int, d: int, data: str, resamples: int, rounds: int) -> dict[str, Any]:
    """One row: the figures of a set beside its bare product."""
    x, labels = labelled(n, d, data)
    unit = F.normalize(x, dim=1)
    sweeps: list[tuple[int, int]] = []
    found: dict[str, Any] = {}

    def figures() -> None:
        sweeps.clear()
        found.update(
            all_pairs_figures(
                x, labels, resamples=resamples, progress=lambda *done: sweeps.append(done)
            )
        )

    grown = memory.extra_mib(lambda at: figures() if at else None, "cpu")
    products, times = [], []
    for _ in range(rounds):
        products.append(taken(lambda: bare_product(unit)))
        times.append(taken(figures))
    product, ours = (
        [statistics.median(column) for column in zip(*each, strict=True)]
        for each in (products, times)
    )
    check(x, labels, [point["threshold"] for point in found["tar_at_far"] if point["threshold"]])
    return {
        "n": n,
        "d": d,
        "data": data,
        "resamples": resamples,
        "rounds": rounds,
        "instruction_set": provenance.instruction_set(),
        "product_s": round(product[0], 3),
        "figures_s": round(ours[0], 3),
        "times_product": round(ours[0] / product[0], 3),
        "product_cpu_s": round(product[1], 3),
        "figures_cpu_s": round(ours[1], 3),
        "cpu_times_product": round(ours[1] / product[1], 3),
        "extra_mib": grown,
        "sweeps": sweeps[-1][1] / 1000,
        "auc": found["auc"],
        "eer": found["eer"],
        "tar_at_far_1e-3": found["tar_at_far"][-1]["tar"],
        "rows_checked": min(CHECKED, n),
    }


def labelled(n: int, d: int, data: str) -> tuple[Tensor, Tensor]:
    """Rows float32 [n, d] and labels [n], the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randperm(n, generator=generator) // AN_IDENTITY
    x = torch.randn(n, d, generator=generator)
    spread = NOISE[data]
    if spread is not None:
        x = x.mul_(spread) + torch.randn(-(-n // AN_IDENTITY), d, generator=generator)[labels]
    return x, labels


def bare_product(unit: Tensor) -> None:
    """Every cosine, kept nowhere."""
    room = torch.empty(min(BLOCK, len(unit)), len(unit))
    for rows in unit.split(BLOCK):
        torch.mm(rows, unit.T, out=room[: len(rows)])


def taken(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of all processors together: a busy machine adds to the first."""
    start = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def check(x: Tensor, labels: Tensor, thresholds: list[float]) -> None:
    """Count impostors of some rows at each threshold by plain products, and by the kernel."""
    some = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))[:CHECKED]
    unit = F.normalize(x.double(), dim=1)
    keys = (unit[some] @ unit.T).clamp_(-1, 1).mul_(KEYS).round_()
    impostors = keys[labels[some, None] != labels]
    edges = torch.tensor(thresholds, dtype=torch.float64).mul(KEYS).round().unique()
    expected = [int((impostors >= edge).sum()) for edge in edges]
    rows, columns = sorted_sides(unit[some], labels[some], unit, labels)
    request = Request(False, KEYS, edges, cells_over(-KEYS, KEYS, 4096))
    counts = cpu_tally.tally(rows, columns, cpu_tally.packed(columns or rows), request, None).counts
    found = counts.flip(0).cumsum(0).flip(0)[1::2].tolist()
    if found != expected:
        raise SystemExit(f"impostors of {CHECKED} rows: counted {found}, by products {expected}")


if __name__ == "__main__":
    main()
