"""The loss of every pair of a labelled batch beside other ways to it, and the bare product.

Each size is timed in a process of its own, the truth is computed in another, and the memory a
variant takes is measured in one a variant.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

import cospair
from cospair.bench import apart, drawing, growth_plot, labelled, malloc, memory, provenance, timing
from cospair.bench.all_pairs_variants import (
    PEER,
    PRODUCT,
    AllPairsVariant,
    Loss,
    all_pairs_step,
    all_pairs_variants,
    product,
)
from cospair.bench.apart import Say
from cospair.bench.plan import BOTH, AllPairsPlan, restored
from cospair.bench.progress import bar

STATS = (
    "pairs",
    "pairs_evaluated",
    "active_genuine",
    "active_impostor",
    "tiles",
    "tiles_screened",
    "tiles_dense",
)
COLUMNS = (
    "variant",
    "library",
    "device",
    "instruction_set",
    "malloc",
    "direction",
    "n",
    "d",
    "dtype",
    "margin",
    "data",
    "rounds",
    "median_ms",
    "quartile_1_ms",
    "quartile_3_ms",
    "times_product",
    "times_pytorch_metric_learning",
    "extra_mib",
    *STATS,
    "value_error",
    "skipped",
)

# A mean over up to 2^31 float32 costs, in any order, loses under 1e-5; a wrong pair, divisor or
# margin shows far above this.
_AGREES = 1e-4


class _Case(NamedTuple):
    """One size, kind of data, margin and direction."""

    n: int
    d: int
    data: str
    margin: float
    direction: str

    def words(self) -> str:
        return f"{self.direction}, {self.n} x {self.d}, {self.data}, margin {self.margin:g}"


class _WrongValue(RuntimeError):
    pass


def all_pairs(
    plan: AllPairsPlan | None = None,
    *,
    save: Path | None = None,
    plot: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Measure the loss of all pairs and its rivals, side by side, in one process a size.

    Args:
        plan: What to cover; None: two sizes, three margins, both kinds of data and directions.
        save: Append the rows and their provenance to this CSV file.
        plot: Draw time and memory over the rows of a batch into this SVG file.
        progress: Show a bar on standard error.

    Returns:
        The machine and the versions; `kernels`, every kernel of cospair with the reason why it
        cannot run; `rows`, a dict a variant, size, kind of data, margin and direction.
        `times_product` is the row's median over the bare product's,
        `times_pytorch_metric_learning` that library's over the row's; `extra_mib` is the growth of
        the peak of memory; `value_error` is relative to float64; `skipped` says why a row has no
        figures. None: not measured.

    Raises:
        ValueError: If `save` or `plot` cannot be written so, or a variant is not known.
        RuntimeError: If a value of cospair is wrong.
    """
    plan = plan or AllPairsPlan()
    chosen = _chosen(plan)
    if save is not None:
        provenance.check_place(save, COLUMNS)
    if plot is not None:
        drawing.check_place(plot)
    rounds = len(plan.sizes) * len(plan.data) * len(plan.margins) * len(plan.directions)
    total = rounds * plan.rounds + len(plan.sizes) * (1 + len(chosen))
    with timing.threads(plan.threads), bar(total, shown=progress) as say:
        rows: list[dict[str, Any]] = []
        for size in plan.sizes:
            measured = _of_size(replace(plan, sizes=(size,)), say)
            rows += measured
            if save is not None:
                provenance.save(measured, save)  # at once: the next size may take an hour
        result = {**_machine(plan), "rows": rows}
    if plot is not None:
        growth_plot.write(result, plot)
    return result


def _chosen(plan: AllPairsPlan) -> dict[str, AllPairsVariant]:
    known = all_pairs_variants(plan.device, compiled=plan.compiled)
    for name in plan.only or ():
        if name not in known:
            raise ValueError(
                f"only must name variants, of {', '.join(map(repr, known))} here, got {name!r}; "
                "choose among them"
            )
    return {name: known[name] for name in known if plan.only is None or name in plan.only}


def _of_size(plan: AllPairsPlan, say: Say) -> list[dict[str, Any]]:
    """Every row of a size: values to check by, times, then each variant's memory."""
    given = asdict(plan)
    surroundings = malloc.environment(plan.malloc)
    size = "{} x {}".format(*plan.sizes[0])
    say(f"{size} in float64")
    truths = apart.call(f"{__name__}:truths", given)
    rows = apart.call(
        f"{__name__}:timed", {"plan": given, "truths": truths}, environment=surroundings, say=say
    )
    for name, variant in _chosen(plan).items():
        say(f"{size}, memory of {name}")
        own = [row for row in rows if row["variant"] == name and not row["skipped"]]
        if own:
            cases = [[row[key] for key in _Case._fields] for row in own]
            given = {"plan": asdict(plan), "name": name, "cases": cases}
            taken = apart.call(
                f"{__name__}:taken", given, environment=surroundings, library=variant.library
            )
            for row, mib in zip(own, taken, strict=True):
                row["extra_mib"] = mib
    return rows


def truths(here: apart.Here, given: Mapping[str, Any]) -> list[list[float]]:
    """The loss in float64 by kind of data and margin."""
    plan = restored(AllPairsPlan, given)
    ((n, d),) = plan.sizes
    return [
        labelled.truths(labelled.batches(n, d, data, plan.device)[0], plan.margins)
        for data in plan.data
    ]


def timed(here: apart.Here, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a size, in this process."""
    plan = restored(AllPairsPlan, given["plan"])
    ((n, d),) = plan.sizes
    rows = []
    with timing.threads(plan.threads):
        for data, values in zip(plan.data, given["truths"], strict=True):
            supply = labelled.batches(n, d, data, plan.device)
            multiply = product(supply[0].x)
            for margin, truth in zip(plan.margins, values, strict=True):
                for direction in plan.directions:
                    case = _Case(n, d, data, margin, direction)
                    rows += _of_case(plan, case, supply, multiply, truth, here.say)
    return rows


def taken(here: apart.Here, given: Mapping[str, Any]) -> list[float | None]:
    """The memory a variant takes in each case, in this process."""
    plan = restored(AllPairsPlan, given["plan"])
    variant = _chosen(plan)[given["name"]]
    found = []
    with timing.threads(plan.threads):
        for case in (_Case(*words) for words in given["cases"]):
            torch.compiler.reset()
            supply = labelled.batches(case.n, case.d, case.data, plan.device)
            step = all_pairs_step(variant.load(case.margin), supply, case.direction)
            found.append(memory.extra_mib(step, plan.device))
    return found


def _of_case(
    plan: AllPairsPlan,
    case: _Case,
    supply: list[labelled.Labelled],
    multiply: Callable[[torch.Tensor], object],
    truth: float,
    say: Say,
) -> list[dict[str, Any]]:
    """One row a variant, measured in turns."""
    torch.compiler.reset()
    known = _chosen(plan)
    facts: dict[str, dict[str, Any]] = {name: {} for name in known}
    steps: dict[str, timing.Step] = {}
    for name, variant in known.items():
        try:
            steps[name], facts[name] = _warm_step(variant, plan, case, supply, truth)
        except RuntimeError as error:  # what it cannot do here, or has no memory for
            if isinstance(error, _WrongValue) and variant.library == "cospair":
                raise RuntimeError(f"{name}, {case.words()}: {error}") from error
            facts[name] = {"skipped": (str(error).splitlines() or [repr(error)])[0]}
    steps[PRODUCT] = _product_step(multiply, supply)
    seconds = timing.interleaved(steps, plan.rounds, plan.device, tick=lambda: say(case.words()))
    numbers = figures(seconds)
    versions = {name: variant.version() for name, variant in known.items() if name in steps}
    return [
        {
            **dict.fromkeys(COLUMNS),
            "variant": name,
            "library": versions.get(name, f"torch {torch.__version__}" if name == PRODUCT else ""),
            "device": provenance.device_name(plan.device),
            "instruction_set": provenance.instruction_set(),
            "malloc": plan.malloc,
            "dtype": "float32",
            "rounds": len(seconds.get(name, ())),
            **case._asdict(),
            **numbers.get(name, {}),
            **facts.get(name, {}),
        }
        for name in (*known, PRODUCT)
    ]


def figures(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float | None]]:
    """Medians, quartiles and ratios by variant, from its seconds a round.

    Example:
        >>> seconds = {"ours": [1e-3, 1e-3], "floor, bare product": [2e-3, 2e-3]}
        >>> found = figures(seconds)["ours"]
        >>> found["median_ms"], found["times_product"], found["times_pytorch_metric_learning"]
        (1.0, 0.5, None)
    """
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    peer = medians.get(PEER)
    table: dict[str, dict[str, float | None]] = {}
    for name, times in seconds.items():
        low, _, high = statistics.quantiles(times, n=4, method="inclusive")
        table[name] = {
            "median_ms": round(medians[name] * 1e3, 4),
            "quartile_1_ms": round(low * 1e3, 4),
            "quartile_3_ms": round(high * 1e3, 4),
            "times_product": round(medians[name] / medians[PRODUCT], 4),
            "times_pytorch_metric_learning": round(peer / medians[name], 3) if peer else None,
        }
    return table


def _product_step(
    multiply: Callable[[torch.Tensor], object], supply: list[labelled.Labelled]
) -> timing.Step:
    def step(call: int) -> None:
        with torch.no_grad():
            multiply(supply[call % len(supply)].x)

    return step


def _warm_step(
    variant: AllPairsVariant,
    plan: AllPairsPlan,
    case: _Case,
    supply: list[labelled.Labelled],
    truth: float,
) -> tuple[timing.Step, dict[str, Any]]:
    """A step that has run, and what is known beside its time."""
    reason = variant.skipped(case.n, case.direction, plan.memory_gib)
    if reason:
        raise RuntimeError(reason)
    loss = variant.load(case.margin)
    step = all_pairs_step(loss, supply, case.direction)
    facts: dict[str, Any] = {"value_error": _value_error(loss, supply[0], case, truth)}
    if variant.library == "cospair":
        facts |= _stats(loss, supply[0])
    step(1)
    return step, facts


def _value_error(loss: Loss, batch: labelled.Labelled, case: _Case, truth: float) -> float:
    """Relative to float64; refuses another quantity."""
    with torch.set_grad_enabled(case.direction == BOTH):  # compiled once a mode
        value = loss(*batch).detach().double().item()
    error = abs(value - truth) / max(abs(truth), 1e-30)
    if not error <= _AGREES:
        raise _WrongValue(
            f"its value must agree with float64's to {_AGREES:g}, got {value:.6g} for {truth:.6g}; "
            "its time would be worth nothing"
        )
    return float(f"{error:.2g}")


def _stats(loss: Callable[..., torch.Tensor], batch: labelled.Labelled) -> dict[str, int]:
    """What a sweep of ours did."""
    stats = cospair.SweepStats()
    with torch.no_grad():
        loss(*batch, stats=stats)
    return {name: getattr(stats, name) for name in STATS}


def _machine(plan: AllPairsPlan) -> dict[str, Any]:
    return {
        "bench": "all-pairs",
        "device": provenance.device_name(plan.device),
        **provenance.provenance(),
        "instruction_set": provenance.instruction_set(),
        "malloc": plan.malloc,
        "rounds": plan.rounds,
        "kernels": cospair.kernels.available(),
    }
