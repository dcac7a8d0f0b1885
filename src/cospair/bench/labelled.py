"""Labelled batches of two kinds, and the loss of all their pairs in float64.

Both kinds have eight rows a class, in random order, and lengths between one and three times each
other's.

- random: normal rows, as an untrained encoder's: cosines around 0 with deviation 1 / sqrt(D).
- trained-like: a random, so nearly orthogonal, mean a class; every eighth class's mean has cosine
  0.8 with the next one's. A row has cosine sqrt(0.7) with its mean, so two rows of a class have
  about 0.7, and two of confusable classes about 0.56.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cospair.bench.plan import TRAINED

_ROWS_A_CLASS = 8
_WITHIN = 0.7
_CONFUSABLE = 0.8
_BATCHES = 2
_TRUTH_NUMBERS = 1 << 21
_TIE = 1e-14  # the library's own: so near to its hinge a float64 cosine stands at it


class Labelled(NamedTuple):
    """A batch."""

    x: Tensor  # [n, d] float32, wants a gradient
    labels: Tensor  # [n] int64


def batches(n: int, d: int, data: str, device: str) -> list[Labelled]:
    """Batches to rotate through, the same ones in every process."""
    generator = torch.Generator(device).manual_seed(0)
    return [_batch(n, d, data, generator) for _ in range(_BATCHES)]


def _batch(n: int, d: int, data: str, generator: torch.Generator) -> Labelled:
    device = generator.device
    order = torch.randperm(n, generator=generator, device=device)
    labels = order // _ROWS_A_CLASS
    x = torch.randn(n, d, generator=generator, device=device)
    if data == TRAINED:
        classes = -(-n // _ROWS_A_CLASS)
        means = F.normalize(torch.randn(classes, d, generator=generator, device=device), dim=1)
        leaning = means[: classes - 1 : _ROWS_A_CLASS]  # the last class has no next one
        following = means[1::_ROWS_A_CLASS][: len(leaning)]
        leaning.mul_(math.sqrt(1 - _CONFUSABLE**2)).add_(following, alpha=_CONFUSABLE)
        noise = F.normalize(x, dim=1).mul_(math.sqrt(1 - _WITHIN))
        x = noise.add_(F.normalize(means, dim=1)[labels], alpha=math.sqrt(_WITHIN))
    lengths = torch.rand(n, 1, generator=generator, device=device).mul_(2).add_(1)
    return Labelled(x.mul_(lengths).requires_grad_(), labels)


def truths(batch: Labelled, margins: Sequence[float]) -> list[float]:
    """Mean cost of the genuine pairs that cost plus that of the impostors that do, by margin.

    The n x n form in float64, in blocks of rows that stay small.
    """
    units = F.normalize(batch.x.detach().double(), dim=1)
    n = len(units)
    rows = max(1, _TRUTH_NUMBERS // n)
    genuine = _Mean()
    impostor = [_Mean() for _ in margins]
    for start in range(0, n, rows):
        cosines = units[start : start + rows] @ units[start:].T
        same = batch.labels[start : start + rows, None] == batch.labels[None, start:]
        later = torch.ones_like(same).triu(1)
        genuine.add(1 - cosines[same & later])
        cosines.masked_fill_(same | ~later, -math.inf)
        for margin, mean in zip(margins, impostor, strict=True):
            mean.add(cosines[cosines > margin] - margin)
    return [genuine.value() + mean.value() for mean in impostor]


class _Mean:
    """Running mean of the costs that are above 0."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, costs: Tensor) -> None:
        costs = costs[costs > _TIE]
        self.total += costs.sum().item()
        self.count += len(costs)

    def value(self) -> float:
        return self.total / max(self.count, 1)
