"""What a kernel makes of a batch, beside what it must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fuzzing.cases import Inputs, build
from fuzzing.choices import Batch
from fuzzing.expected import Bound, Expected, expected
from fuzzing.rows import ulp
from fuzzing.wide import Array, Wide, parts

Kernel = Callable[..., Tensor]


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
    unit = np.maximum(ulp(true.high, dtype), resolution)
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
    true = slope * Wide(*(part[:, None] for part in parts(factor)))
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
    unit = np.maximum(ulp(np.abs(true.high).max(-1), b.dtype, exponent), resolution)
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
    drops = broken & ~np.isnan(found).all(-1)
    _complain(complaints, drops, f"{name} drops a pair that is not finite")
    _complain(complaints, (~excused & np.isnan(found)).any(-1), f"{name} of finite rows is NaN")
    _complain(complaints, nothing & (found != 0).any(-1), f"{name} is not 0 where it must be")
    counted = (true.high != 0) & settled[:, None] & ~excused
    least = np.maximum(resolution, 2.0**-50 * np.abs(true.high).max(-1))
    own_unit = np.maximum(ulp(true.high, b.dtype, exponent[:, None]), least[:, None])
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
