"""Batches to rotate through, steps over them, and seconds of steps that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cospair.bench.plan import BOTH
from cospair.bench.variants import MARGIN, Copy, Loss, Variant

_STRETCH_SECONDS = 0.05
_MOST_CALLS = 500
_TRUTH_NUMBERS = 1 << 13
_SLOW_SECONDS = 20.0  # so a step under a second has its nine rounds
_NO_WARMING_SECONDS = 2.0

Batch = tuple[Tensor, Tensor, Tensor]
Step = Callable[[int], object]  # takes the number of the call, which picks its batch


def batches(n: int, d: int, dtype: str, device: str) -> list[Batch]:
    """(x1, x2, target) to rotate through: four, or two where each is past any cache.

    Cosines lie around 0.6, so that every pair costs and a wrong cosine shows in the mean.
    """
    generator = torch.Generator(device).manual_seed(0)
    count = 4 if n * d < 1 << 24 else 2

    def normal() -> Tensor:
        x = torch.empty(n, d, dtype=getattr(torch, dtype), device=device)
        return x.normal_(generator=generator)

    def batch() -> Batch:
        x1 = normal()
        x2 = normal().mul_(0.8).add_(x1, alpha=0.6)
        drawn = torch.randint(0, 2, (n,), generator=generator, device=device)
        return x1.requires_grad_(), x2.requires_grad_(), drawn.mul_(2).sub_(1)

    return [batch() for _ in range(count)]


def loss_step(
    variant: Variant, loss: Loss, supply: list[Batch], direction: str
) -> Callable[[int], None]:
    """The loss's share of a training step, its gradients dropped within; or the loss alone."""
    ready = [(x1, x2, variant.form(target)) for x1, x2, target in supply]

    def both(call: int) -> None:
        x1, x2, form = ready[call % len(ready)]
        loss(x1, x2, form).backward()
        x1.grad = x2.grad = None

    def forward(call: int) -> None:
        x1, x2, form = ready[call % len(ready)]
        with torch.no_grad():
            loss(x1, x2, form)

    return both if direction == BOTH else forward


def copy_step(copy: Copy, supply: list[Batch]) -> Step:
    """A floor as a step."""

    def step(call: int) -> None:
        with torch.no_grad():
            copy(*supply[call % len(supply)])

    return step


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """So many threads for torch within, its own number where it is None."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wait_for(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def interleaved(
    steps: Mapping[str, Step], rounds: int, device: str, *, tick: Callable[[], None]
) -> dict[str, list[float]]:
    """Seconds a call by name, one figure a round; every round starts with another step.

    A step of seconds leaves after the rounds that its share of the time allows, at least three, and
    goes without the unmeasured call before it: what the predecessor left is nothing beside it.
    """
    names = list(steps)
    once = {name: _once(step, device) for name, step in steps.items()}
    calls = {name: _within(_STRETCH_SECONDS / once[name], 1, _MOST_CALLS) for name in names}
    turns = {name: _within(_SLOW_SECONDS / (2 * once[name]), 3, rounds) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % max(len(names), 1)
        for name in names[first:] + names[:first]:
            if turn < turns[name]:
                if once[name] < _NO_WARMING_SECONDS:
                    steps[name](turn)  # unmeasured: it pays for what the predecessor left
                seconds[name].append(_stretch(steps[name], turn + 1, calls[name], device))
        tick()
    return seconds


def _once(step: Step, device: str) -> float:
    """Seconds of the second call, or of the first one where that takes long."""
    first = _stretch(step, 0, 1, device)
    if first >= _NO_WARMING_SECONDS:
        return first
    return max(_stretch(step, 1, 1, device), 1e-9)


def _within(number: float, least: int, most: int) -> int:
    return min(max(round(number), least), most)


def _stretch(step: Step, first: int, calls: int, device: str) -> float:
    """Seconds a call, of `calls` of them."""
    wait_for(device)
    start = time.perf_counter()
    for call in range(first, first + calls):
        step(call)
    wait_for(device)
    return (time.perf_counter() - start) / calls


def truth(batch: Batch) -> Tensor:
    """Loss of every pair by torch in float64.

    In blocks so small that malloc learns nothing from their being freed.
    """
    x1, x2, target = (x.detach() for x in batch)
    rows = max(1, _TRUTH_NUMBERS // x1.shape[1])
    blocks: Any = zip(x1.split(rows), x2.split(rows), target.split(rows), strict=True)
    return torch.cat(
        [
            F.cosine_embedding_loss(a.double(), b.double(), t, margin=MARGIN, reduction="none")
            for a, b, t in blocks
        ]
    )
