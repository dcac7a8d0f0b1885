"""How far the pair loss and its gradients stand from the truth, beside torch's, in ulps.

    python benchmarks/accuracy.py                          # prints the tables
    python benchmarks/accuracy.py --save docs/accuracy.md  # and puts them between the page's marks

The same pairs go to every kernel: those of tests/fuzz.py that torch's loss offers too (weights and
positive_margin left out, a loss for each pair, upstream gradients 1), and as many ordinary ones:
normal rows of 1 to 1,100 features. All are measured with one ruler, the bounds of the fused kernel.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cospair import kernels
from cospair.bench.provenance import provenance

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fuzz import kernel_named  # pyright: ignore[reportMissingImports]
from fuzzing.cases import batch_at, build  # pyright: ignore[reportMissingImports]
from fuzzing.choices import DTYPES, Batch  # pyright: ignore[reportMissingImports]
from fuzzing.expected import BOUNDS  # pyright: ignore[reportMissingImports]
from fuzzing.judgement import Findings, Kernel, judge  # pyright: ignore[reportMissingImports]
from fuzzing.wide import Array  # pyright: ignore[reportMissingImports]

BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
# In ulps; NaN and inf where the truth is finite fail, too. In the half types 1,000 would be more
# than the value itself.
FAILURE = {"float16": 10.0, "bfloat16": 10.0, "float32": 1000.0, "float64": 1000.0}
TITLES = {"ordinary": "Ordinary rows", "hostile": "The fuzzer's rows"}


def torchs(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    margin: float,
    positive_margin: float,
    reduction: str,
    dtype: torch.dtype,
) -> Tensor:
    """Torch's loss with a kernel's signature."""
    assert positive_margin == 1
    assert weight is None
    return F.cosine_embedding_loss(x1, x2, target, margin, reduction=reduction).to(dtype)


def measured_kernels() -> dict[str, Kernel]:
    """Every kernel that runs on this machine's CPU, then torch."""
    found: dict[str, Kernel] = {}
    for name in BOUNDS:
        if not kernels.available()[name]:
            found[name], _ = kernel_named(name)
    return found | {"torch": torchs}


def batches(kind: str, cases: int, seed: int) -> Iterator[Batch]:
    """Batches until there are that many pairs of each dtype."""
    done = dict.fromkeys(DTYPES, 0)
    number = 0
    while min(done.values()) < cases:
        batch = batch_at(seed, number, plain=True)
        number += 1
        if done[batch.dtype] >= cases:
            continue
        if kind == "ordinary":
            batch = replace(batch, relations=("random",), scales=("ordinary",), n=min(batch.n, 400))
        done[batch.dtype] += batch.n
        yield batch


class Errors:
    """Errors of one kernel in one dtype: of losses and of both gradients."""

    def __init__(self, failure: float) -> None:
        """Nothing yet."""
        self.failure = failure
        self.losses: list[Array] = []
        self.gradients: list[Array] = []

    def add(self, found: Findings) -> None:
        """Take up a batch's."""
        self.losses.append(found.loss)
        self.gradients += found.gradients

    def cells(self) -> list[str]:
        """Median, worst and share of failures, of the losses and of the gradients."""
        out = []
        for errors in (np.concatenate(self.losses), np.concatenate(self.gradients)):
            errors = errors[~np.isnan(errors)]  # 0 that is 0
            failed = errors > self.failure
            out += [
                _number(float(np.median(errors))),
                _number(float(errors.max(initial=0.0))),
                f"{100 * failed.mean():.3g} %" if failed.any() else "0",
            ]
        return out


def _number(x: float) -> str:
    if not np.isfinite(x):
        return "NaN or inf"
    return f"{x:.0e}" if x >= 1e5 else f"{x:,.0f}" if x >= 100 else f"{x:.2f}"


def measure(kind: str, cases: int, seed: int) -> dict[tuple[str, str], Errors]:
    """Errors by dtype and kernel."""
    found = {
        (dtype, name): Errors(FAILURE[dtype]) for dtype in DTYPES for name in measured_kernels()
    }
    for batch in batches(kind, cases, seed):
        inputs, bound = build(batch), BOUNDS["cpu"][batch.dtype]
        for name, kernel in measured_kernels().items():
            found[batch.dtype, name].add(judge(kernel, inputs, bound, exact=False))
    return found


def table(kind: str, cases: int, seed: int) -> list[str]:
    """A kind's table, in Markdown."""
    lines = [
        f"**{TITLES[kind]}**, at least {cases:,} pairs a dtype",
        "",
        "| dtype | kernel | loss: median | worst | fails | gradients: median | worst | fails |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (dtype, name), errors in measure(kind, cases, seed).items():
        lines.append("| " + " | ".join([dtype, name, *errors.cells()]) + " |")
    return lines


def put_between_marks(page: Path, lines: list[str]) -> None:
    """Replace what stands between the page's marks."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} must hold {BEGIN} and {END}, got neither or one; add them")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text("\n".join([before + BEGIN, *lines, END]) + after)


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000, help="pairs a dtype and kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[str] = []
    for kind in TITLES:
        lines += [*table(kind, asked.cases, asked.seed), ""]
    known = provenance()
    lines.append(
        f"Seed {asked.seed}, torch {known['torch']}, {known['processor']}, "
        f"commit {known['commit']}, {known['date']}."
    )
    print("\n".join(lines))
    if asked.save:
        put_between_marks(asked.save, lines)


if __name__ == "__main__":
    main()
