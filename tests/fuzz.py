"""Random cases of the pair loss against what each must give, in arithmetic of 106 bits.

    python tests/fuzz.py --cases 1000000 --kernel cpu --seed 0    # ends with a report
    python tests/fuzz.py --kernel cpu --seed 0 --batch 17         # one of its batches again

It exits 1 where an error is past its bound (fuzzing/expected.py) or anything is unexplained: NaN
from finite rows, a loss out of range, a row that counts other neighbours, threads or the order of
the inputs in. This is the bulk mode, whose batches a generator draws; tests/test_fuzz.py lets
hypothesis choose them.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any

import mpmath
import numpy as np
import torch
import truth
from fuzzing.cases import batch_at, build
from fuzzing.choices import DTYPES, Batch
from fuzzing.expected import BOUNDS, Bound
from fuzzing.judgement import Findings, Kernel, examine
from fuzzing.wide import Array, Wide
from torch import Tensor

import cospair
from cospair import kernels

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
