"""The pair loss beside torch's and other libraries', forward alone and forward + backward.

What was freed before decides how malloc serves whoever comes next. So each size, dtype and
direction is timed in a process of its own, and in it the other libraries and what torch.compile
makes have their turns when torch eager, our fused kernels and the floors have had theirs. What one
variant shows alone comes from further processes.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

import cospair
from cospair.bench import alone, apart, drawing, malloc, provenance, ratio_plot, timing
from cospair.bench.apart import Say
from cospair.bench.plan import BOTH, Plan, restored
from cospair.bench.progress import bar
from cospair.bench.variants import EAGER, MARGIN, Loss, Variant, floors, variants

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
    "rounds",
    "median_us",
    "quartile_1_us",
    "quartile_3_us",
    "times_torch_eager",
    "times_floor",
    "gb_per_s",
    "extra_mib",
    "first_call_ms",
    "first_call_with_import_ms",
    "value_error",
)

# Relative, wide dtypes alone: what narrow ones lose is reported, not judged. A sum of 65536 losses
# in any order loses under 1e-5 in float32; a wrong term or divisor shows far above these.
_AGREES = {torch.float32: 1e-4, torch.float64: 1e-9}
_NO_VALUE = 1e6  # the error of NaN and infinity, which JSON does not know


class _Case(NamedTuple):
    """One size, dtype and direction."""

    n: int
    d: int
    dtype: str
    direction: str

    def moved_bytes(self) -> int:
        """Both inputs, and with backward both gradients, once each."""
        tensors = 4 if self.direction == BOTH else 2
        return tensors * self.n * self.d * getattr(torch, self.dtype).itemsize


class _WrongValue(RuntimeError):
    pass


def pairs(
    plan: Plan | None = None,
    *,
    save: Path | None = None,
    plot: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Measure the pair loss and its rivals, side by side, in one process a case.

    Args:
        plan: What to cover; None: four sizes in float32, both directions.
        save: Append the rows and their provenance to this CSV file.
        plot: Draw the ratios to torch eager over the pairs into this SVG file.
        progress: Show a bar on standard error.

    Returns:
        The machine and the versions; `kernels`, every kernel of cospair with the reason why it
        cannot run; `left_out`, sentences on what was not measured; `rows`, a dict a variant, size,
        dtype and direction. `times_torch_eager` is torch eager's median over the row's,
        `times_floor` the row's over the floor's; `gb_per_s` counts the inputs and, with backward,
        the gradients once each; `value_error` is relative to float64. None: not measured.

    Raises:
        ValueError: If `save` or `plot` cannot be written so.
        RuntimeError: If torch cannot run a case, or a float32 or float64 value of cospair is wrong.
    """
    plan = plan or Plan()
    if save is not None:
        provenance.check_place(save, COLUMNS)
    if plot is not None:
        drawing.check_place(plot)
    with timing.threads(plan.threads), bar(_stretches(plan), shown=progress) as say:
        left_out: list[str] = []
        rows = [row for dtype in plan.dtypes for row in _of_dtype(plan, dtype, left_out, say)]
        result = {**_machine(plan), "left_out": list(dict.fromkeys(left_out)), "rows": rows}
        if save is not None:
            provenance.save(rows, save)
    if plot is not None:
        ratio_plot.write(result, plot)
    return result


def figures(
    seconds: Mapping[str, list[float]], *, floor: str, moved_bytes: int
) -> dict[str, dict[str, float]]:
    """Medians, quartiles and ratios by variant, from its seconds a round.

    Example:
        >>> seconds = {"torch eager": [3e-6, 3e-6], "ours": [1e-6, 1e-6], "copy": [5e-7, 5e-7]}
        >>> found = figures(seconds, floor="copy", moved_bytes=4000)["ours"]
        >>> found["times_torch_eager"], found["times_floor"], found["gb_per_s"]
        (3.0, 2.0, 4.0)
    """
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    table = {}
    for name, times in seconds.items():
        low, _, high = statistics.quantiles(times, n=4, method="inclusive")
        table[name] = {
            "median_us": round(medians[name] * 1e6, 2),
            "quartile_1_us": round(low * 1e6, 2),
            "quartile_3_us": round(high * 1e6, 2),
            "times_torch_eager": round(medians[EAGER] / medians[name], 3),
            "times_floor": round(medians[name] / medians[floor], 3),
            "gb_per_s": round(moved_bytes / medians[name] / 1e9, 2),
        }
    return table


def _of_dtype(plan: Plan, dtype: str, left_out: list[str], say: Say) -> list[dict[str, Any]]:
    """Every row of a dtype: the times, then what each variant shows in a process of its own."""
    rows: list[dict[str, Any]] = []
    for size, direction in itertools.product(plan.sizes, plan.directions):
        case = replace(plan, sizes=(size,), dtypes=(dtype,), directions=(direction,))
        surroundings = malloc.environment(plan.malloc)
        found = apart.call(f"{__name__}:timed", asdict(case), environment=surroundings, say=say)
        rows += found["rows"]
        left_out += found["left_out"]
    for name, variant in variants(plan.device, compiled=plan.compiled).items():
        say(f"{name} in a process of its own")
        own = {
            (row["n"], row["d"], row["direction"]): row for row in rows if row["variant"] == name
        }
        if own:
            sizes = tuple(dict.fromkeys((n, d) for n, d, _ in own))
            found = alone.ask(variant, replace(plan, sizes=sizes, dtypes=(dtype,)))
            if "failed" in found:
                left_out.append(f"first call and memory of {name}, {dtype}: {found['failed']}")
            for key, numbers in found.get("cases", []):
                own[tuple(key)].update(numbers)
    return rows


def timed(here: apart.Here, given: Mapping[str, Any]) -> dict[str, Any]:
    """The times of a plan's every size, dtype and direction, in this process."""
    plan = restored(Plan, given)
    ways = [(dtype, n, d) for dtype in plan.dtypes for n, d in plan.sizes]
    cases = [_Case(n, d, dtype, way) for dtype, n, d in ways for way in plan.directions]
    left_out: list[str] = []
    with timing.threads(plan.threads):
        rows = [row for case in cases for row in _of_case(plan, case, left_out, here.say)]
    return {"rows": rows, "left_out": left_out}


def _of_case(plan: Plan, case: _Case, left_out: list[str], say: Say) -> list[dict[str, Any]]:
    """One row a variant, measured in turns."""
    torch.compiler.reset()  # past its limit of recompilations it would fall back to eager
    supply = timing.batches(case.n, case.d, case.dtype, plan.device)
    losses = timing.truth(supply[0])
    copies = floors(case.direction)
    known = variants(plan.device, compiled=plan.compiled)
    seconds: dict[str, list[float]] = {}
    errors: dict[str, float] = {}
    tick = partial(say, f"{case.direction}, {case.n} x {case.d}, {case.dtype}")
    for first in (True, False):
        group = {name: variant for name, variant in known.items() if variant.first == first}
        steps = _steps(group, case, supply, losses, left_out, errors)
        if first:
            steps |= {name: timing.copy_step(copy, supply) for name, copy in copies.items()}
        seconds |= timing.interleaved(steps, plan.rounds, plan.device, tick=tick)
    found = figures(seconds, floor=next(iter(copies)), moved_bytes=case.moved_bytes())
    return [
        {
            **dict.fromkeys(COLUMNS),
            "variant": name,
            "library": known[name].version() if name in known else f"torch {torch.__version__}",
            "device": provenance.device_name(plan.device),
            "instruction_set": provenance.instruction_set(),
            "malloc": plan.malloc,
            "rounds": len(seconds[name]),
            "value_error": errors.get(name),
            **case._asdict(),
            **found[name],
        }
        for name in (*known, *copies)
        if name in found
    ]


def _steps(
    group: Mapping[str, Variant],
    case: _Case,
    supply: list[timing.Batch],
    losses: torch.Tensor,
    left_out: list[str],
    errors: dict[str, float],
) -> dict[str, timing.Step]:
    """A warm step of every variant that can run this case; notes the errors of their values."""
    steps: dict[str, timing.Step] = {}
    for name, variant in group.items():
        if variant.missing():
            left_out.append(f"{name}: {variant.missing()}")
            continue
        try:
            step, errors[name] = _warm_step(variant, case, supply, losses)
            steps[name] = step
        except RuntimeError as error:  # what it cannot do here, or has no memory for
            said = f"{name} at {case.n} x {case.d}, {case.dtype}: {str(error).splitlines()[0]}"
            if name == EAGER or (isinstance(error, _WrongValue) and variant.library == "cospair"):
                raise RuntimeError(said) from error
            left_out.append(said)
    return steps


def _warm_step(
    variant: Variant, case: _Case, supply: list[timing.Batch], losses: torch.Tensor
) -> tuple[timing.Step, float]:
    reason = variant.left_out(case.n, case.dtype)
    if reason:
        raise RuntimeError(reason)
    loss = variant.load()
    with torch.set_grad_enabled(case.direction == BOTH):  # compiled once a mode
        error = _value_error(variant, loss, supply[0], losses)
    step = timing.loss_step(variant, loss, supply, case.direction)
    step(0)
    return step, error


def _value_error(variant: Variant, loss: Loss, batch: timing.Batch, losses: torch.Tensor) -> float:
    """Relative to float64; refuses a wide dtype's value that is another quantity."""
    x1, x2, target = batch
    value = loss(x1, x2, variant.form(target)).detach().double().item()
    expected = variant.expected(losses).item()
    error = abs(value - expected) / max(abs(expected), 1e-30)
    limit = _AGREES.get(x1.dtype)
    if limit is not None and not error <= limit:
        raise _WrongValue(
            f"its value must agree with torch in float64 to {limit:g}, got {value:.6g} for "
            f"{expected:.6g}; its time would be worth nothing"
        )
    return float(f"{error:.2g}") if error < _NO_VALUE else _NO_VALUE


def _machine(plan: Plan) -> dict[str, Any]:
    return {
        "bench": "pairs",
        "device": provenance.device_name(plan.device),
        **provenance.provenance(),
        "instruction_set": provenance.instruction_set(),
        "malloc": plan.malloc,
        "rounds": plan.rounds,
        "margin": MARGIN,
        "kernels": cospair.kernels.available(),
    }


def _stretches(plan: Plan) -> int:
    """What the bar counts: rounds, of both groups, and processes of variants."""
    rounds = len(plan.sizes) * len(plan.directions) * 2 * plan.rounds
    return len(plan.dtypes) * (rounds + len(variants(plan.device, compiled=plan.compiled)))
