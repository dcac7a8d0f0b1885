"""Every way to the loss of all pairs of a labelled batch, and the product that all assume.

Everyone computes the mean over the genuine pairs that cost plus the mean over the impostor pairs
that do, `reduction='active'` of ours and the default of pytorch-metric-learning.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import cospair
from cospair.bench import variants
from cospair.bench.labelled import Labelled
from cospair.bench.plan import BOTH, FORWARD

PEER = "pytorch-metric-learning"
PRODUCT = "floor, bare product"
NAIVE = "torch, n x n"

_PRODUCT_BYTES = 1 << 31

Loss = Callable[[Tensor, Tensor], Tensor]  # of (x, labels)


@dataclass(frozen=True)
class AllPairsVariant:
    """One way to the loss; `load` imports its library and returns the loss at a margin."""

    name: str
    library: str
    load: Callable[[float], Loss]
    # bytes a pair (i, j) of the n x n, measured at 4096 x 128; none where it makes no such matrix
    bytes_a_pair: Mapping[str, int] = field(default_factory=dict)

    def version(self) -> str:
        """The library and its version."""
        return variants.version(self.library)

    def skipped(self, n: int, direction: str, memory_gib: float) -> str:
        """Why it is not measured here; empty where it is."""
        gib = self.bytes_a_pair.get(direction, 0) * n * n / 2**30
        if gib > memory_gib:
            return f"it would take about {gib:.3g} GiB, over the limit of {memory_gib:g}"
        return variants.missing(self.library)


def all_pairs_variants(device: str, *, compiled: bool) -> dict[str, AllPairsVariant]:
    """Every loss to measure by name, ours first."""
    rows = [
        AllPairsVariant(f"cospair {kernel}", "cospair", partial(_ours, kernel))
        for kernel in variants.kernels(cospair.kernels.SWEEPS, device)
    ]
    rows += [
        AllPairsVariant(PEER, "pytorch_metric_learning", _peer, {FORWARD: 35, BOTH: 35}),
        AllPairsVariant(NAIVE, "torch", _naive, {FORWARD: 28, BOTH: 36}),
    ]
    if compiled:
        few = {FORWARD: 5, BOTH: 8}
        rows.append(AllPairsVariant(f"{NAIVE}, torch.compile", "torch", _compiled, few))
    return {row.name: row for row in rows}


def naive(x: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The loss as one would write it in torch, with n x n cosines."""
    units = F.normalize(x, dim=1)
    cosines = units @ units.T
    same = labels[:, None] == labels[None, :]
    pairs = torch.ones_like(same).triu(1)
    genuine = F.relu(1 - cosines) * (same & pairs)
    impostor = F.relu(cosines - margin) * (~same & pairs)
    genuine = genuine.sum() / (genuine > 0).sum().clamp(min=1)
    return genuine + impostor.sum() / (impostor > 0).sum().clamp(min=1)


def product(x: Tensor) -> Callable[[Tensor], object]:
    """The product x @ x.T into a buffer at hand, in blocks of rows where it takes over 2 GiB."""
    n = len(x)
    rows = max(1, min(n, _PRODUCT_BYTES // (x.element_size() * n)))
    buffer = torch.empty(rows, n, dtype=x.dtype, device=x.device)

    def multiply(x: Tensor) -> None:
        for block in x.split(rows):
            torch.mm(block, x.T, out=buffer[: len(block)])

    return multiply


def all_pairs_step(loss: Loss, supply: list[Labelled], direction: str) -> Callable[[int], None]:
    """The loss's share of a training step, its gradient dropped within; or the loss alone."""

    def both(call: int) -> None:
        x, labels = supply[call % len(supply)]
        loss(x, labels).backward()
        x.grad = None

    def forward(call: int) -> None:
        with torch.no_grad():
            loss(*supply[call % len(supply)])

    return both if direction == BOTH else forward


def _ours(kernel: Any, margin: float) -> Loss:
    loss = cospair.all_pairs_cosine_embedding_loss
    return partial(loss, margin=margin, reduction="active", kernel=kernel)


def _naive(margin: float) -> Loss:
    return partial(naive, margin=margin)


def _compiled(margin: float) -> Loss:
    return partial(torch.compile(naive, dynamic=False), margin=margin)


def _peer(margin: float) -> Loss:
    distances: Any = importlib.import_module("pytorch_metric_learning.distances")
    losses: Any = importlib.import_module("pytorch_metric_learning.losses")
    # its default reducer averages the genuine and the impostor pairs that cost, apart
    return losses.ContrastiveLoss(
        pos_margin=1.0, neg_margin=margin, distance=distances.CosineSimilarity()
    )
