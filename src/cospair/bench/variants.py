"""What is measured beside what: every way to the pair loss, and the traffic that none can avoid.

Each library gets the targets in its own form, made before the timing. Where its loss is the same
quantity its value must agree with torch's in float64; where it is another one, its own definition
in terms of the losses of the pairs says what to expect.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import cospair
from cospair.bench.plan import BOTH

MARGIN = 0.1
EAGER = "torch eager"
READ = "floor, one read"
AT_HAND = "floor, buffers at hand"
FRESH = "floor, fresh buffers"

_MATRIX_LIMIT = 1 << 29

Loss = Callable[[Tensor, Tensor, Any], Tensor]
Copy = Callable[[Tensor, Tensor, Any], object]


def _unchanged(target: Tensor) -> Any:
    return target


@dataclass(frozen=True)
class Variant:
    """One way to the loss; `load` imports its library and returns the loss of (x1, x2, form)."""

    name: str
    library: str
    load: Callable[[], Loss]
    form: Callable[[Tensor], Any] = _unchanged
    expected: Callable[[Tensor], Tensor] = torch.mean  # its value, from the losses of the pairs
    square: bool = False  # makes an N x N matrix
    first: bool = False  # has its turns before anything has taught malloc to keep other blocks

    def version(self) -> str:
        """The library and its version."""
        return version(self.library)

    def missing(self) -> str:
        """Why it cannot be measured at all; empty where it can."""
        return missing(self.library)

    def left_out(self, n: int, dtype: str) -> str:
        """Why it is not measured at this size; empty where it is."""
        size = n * n * getattr(torch, dtype).itemsize
        if self.square and size > _MATRIX_LIMIT:
            return f"its {n} x {n} matrix would take {size / 2**30:.3g} GiB"
        return ""


def version(library: str) -> str:
    """A library and its version."""
    if library == "cospair":
        return f"cospair {cospair.__version__}"
    name = library.replace("_", "-")
    return f"{name} {importlib.metadata.version(name)}"


def missing(library: str) -> str:
    """Why a library cannot be measured; empty where it can."""
    return "" if importlib.util.find_spec(library) else "it is not installed"


def kernels(table: Mapping[str, ModuleType], device: str) -> list[str]:
    """Names of our kernels that can run on this device."""
    return [
        name
        for name, kernel in table.items()
        if not (kernel.unavailable() or kernel.refuses(torch.device(device), torch.float32))
    ]


def variants(device: str, *, compiled: bool) -> dict[str, Variant]:
    """Every loss to measure by name; torch eager first, because ratios are to it."""
    rows = [Variant(EAGER, "torch", lambda: _plain(F.cosine_embedding_loss), first=True)]
    if compiled:
        rows.append(Variant("torch.compile", "torch", lambda: _compiled(F.cosine_embedding_loss)))
    rows += [
        Variant(
            f"cospair {kernel}",
            "cospair",
            partial(_plain, cospair.cosine_embedding_loss, kernel=kernel),
            first=kernel != "reference",  # which takes blocks of float64
        )
        for kernel in kernels(cospair.kernels.TABLE, device)
    ]
    if compiled:
        ours = partial(_compiled, cospair.cosine_embedding_loss)
        rows.append(Variant("cospair, torch.compile", "cospair", ours))
    rows += [
        Variant(
            "pytorch-metric-learning",
            "pytorch_metric_learning",
            _metric_learning,
            form=_indices,
            square=True,
        ),
        Variant(
            "sentence-transformers",
            "sentence_transformers",
            _sentence_transformers,
            form=lambda target: (target + 1) // 2,
            expected=lambda losses: 0.5 * losses.square().mean(),
        ),
    ]
    return {row.name: row for row in rows}


def floors(direction: str) -> dict[str, Copy]:
    """The traffic that no exact loss can avoid, the one that ratios are to first."""
    if direction == BOTH:
        return {AT_HAND: _into_buffers(), FRESH: lambda x1, x2, _: (x1.clone(), x2.clone())}
    return {READ: lambda x1, x2, _: (_words(x1).sum(), _words(x2).sum())}


def _plain(loss: Callable[..., Tensor], **options: Any) -> Loss:
    return partial(loss, margin=MARGIN, **options)


def _compiled(loss: Callable[..., Tensor]) -> Loss:
    return _plain(torch.compile(loss, dynamic=False))


def _indices(target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Anchors and positives, anchors and negatives: row i of x1 with row i of x2."""
    genuine, impostor = (target > 0).nonzero().flatten(), (target < 0).nonzero().flatten()
    return genuine, genuine, impostor, impostor


def _metric_learning() -> Loss:
    distances: Any = importlib.import_module("pytorch_metric_learning.distances")
    losses: Any = importlib.import_module("pytorch_metric_learning.losses")
    reducers: Any = importlib.import_module("pytorch_metric_learning.reducers")
    # its own reducers average genuine and impostor pairs apart; the sum over n is torch's mean
    total = losses.ContrastiveLoss(
        pos_margin=1.0,
        neg_margin=MARGIN,
        distance=distances.CosineSimilarity(),
        reducer=reducers.SumReducer(),
    )

    def loss(x1: Tensor, x2: Tensor, indices: Any) -> Tensor:
        return total(x1, indices_tuple=indices, ref_emb=x2) / len(x1)

    return loss


def _sentence_transformers() -> Loss:
    room = "sentence_transformers.sentence_transformer.losses"
    if importlib.util.find_spec("sentence_transformers.sentence_transformer") is None:
        room = "sentence_transformers.losses"  # before its version 6
    losses: Any = importlib.import_module(room)
    # its model hands over the embeddings as they are: what is timed is the loss alone
    contrastive = losses.ContrastiveLoss(torch.nn.Identity(), margin=1.0 - MARGIN)

    def loss(x1: Tensor, x2: Tensor, labels: Tensor) -> Tensor:
        return contrastive([{"sentence_embedding": x1}, {"sentence_embedding": x2}], labels)

    return loss


def _into_buffers() -> Copy:
    kept: dict[torch.Size, tuple[Tensor, Tensor]] = {}

    def copy(x1: Tensor, x2: Tensor, _: Any) -> object:
        if x1.shape not in kept:
            kept[x1.shape] = torch.empty_like(x1), torch.empty_like(x2)
        out1, out2 = kept[x1.shape]
        return out1.copy_(x1), out2.copy_(x2)

    return copy


def _words(x: Tensor) -> Tensor:
    """The same memory as 64-bit integers, whose sum runs at the machine's bandwidth."""
    flat = x.reshape(-1)
    return flat.view(torch.int64) if flat.numel() * flat.element_size() % 8 == 0 else flat
