"""What each of the compared losses takes a step, without an encoder: mining, forward, backward.

    python benchmarks/loss_times.py                        # prints the table
    python benchmarks/loss_times.py docs/which_loss.md     # and fills the page's marker `times`

A batch of 64 embeddings of 128 features, 16 identities with four each (pairs: 32 of them, half
genuine), each loss with the middle one of its settings. The losses take turns; medians of eleven
rounds of ten steps.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tables import fill, markdown
from torch import Tensor
from torch.nn import functional as F

from cospair.files import write_whole
from cospair.recipes import RECIPES
from cospair.study import CONTENDERS

PEOPLE, EACH, DIMENSIONS = 16, 4, 128
ROUNDS, STEPS = 11, 10


def batch(*, pairs: bool) -> tuple[Tensor, Tensor]:
    """Embeddings that want a gradient, and classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(PEOPLE).repeat_interleave(EACH)
    if pairs:
        first = torch.arange(PEOPLE * EACH // 2) % PEOPLE
        odd = torch.arange(len(first)) % 2
        labels = torch.cat([first, (first + odd) % PEOPLE])
    means = torch.randn(PEOPLE, DIMENSIONS, generator=generator)
    noise = torch.randn(len(labels), DIMENSIONS, generator=generator)
    return F.normalize(means[labels] + noise, dim=1).requires_grad_(), labels


def steps_of() -> dict[str, tuple[Callable[[], Tensor], Tensor]]:
    """A step's forward of every loss by its name, and the embeddings it is of."""
    found = {}
    for contender in CONTENDERS.values():
        if contender.unavailable:
            continue
        settings = contender.settings_for(RECIPES["conv"])
        module = contender.make(settings[len(settings) // 2], PEOPLE, DIMENSIONS)
        x, labels = batch(pairs=contender.family == "pairs")
        found[contender.name] = (lambda m=module, x=x, y=labels: m(x, y), x)
    return found


def microseconds(forward: Callable[[], Tensor], x: Tensor) -> tuple[float, float]:
    """Of a forward pass, and of forward and backward."""
    alone = whole = 0.0
    for _ in range(STEPS):
        start = time.perf_counter()
        loss = forward()
        alone += time.perf_counter() - start
        loss.backward()
        whole += time.perf_counter() - start
        x.grad = None
    return 1e6 * alone / STEPS, 1e6 * whole / STEPS


def main() -> None:
    """Measure in turns, print, fill."""
    steps = steps_of()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for number in range(ROUNDS + 1):  # the first one warms up
        for name, (forward, x) in steps.items():
            once = microseconds(forward, x)
            if number:
                taken[name].append(once)
    body = []
    for name, times in taken.items():
        alone, whole = (statistics.median(column) for column in zip(*times, strict=True))
        body.append([name, f"{alone:,.0f}", f"{whole:,.0f}"])
    head = ["64 embeddings of 128 features, microseconds", "forward", "forward + backward"]
    table = markdown(head, body)
    print(table)
    for page in map(Path, sys.argv[1:]):
        filled = fill(page.read_text(encoding="utf-8"), "times", table)
        write_whole(page, filled.encode())


if __name__ == "__main__":
    main()
