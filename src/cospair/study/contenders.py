"""The losses that are compared, each with the same number of settings tried.

Decisions of this file:

- Every loss sees the same number of pictures a step, through the same encoder. Losses of pairs get
  theirs as pairs, drawn at random, half of them genuine; all others get P x K batches.
- "default" is what `cospair train` minimises, in its recipe's setting: nothing is tried for it.
- Three settings each, around what the loss's authors or users recommend, are tried on people kept
  out of that training; what has no setting is trained once.
- Losses of pytorch-metric-learning are that library's own, taken where it is installed.
- A module here maps embeddings [n, d] and classes [n] to a loss; what it learns itself, as the
  class vectors of ArcFace, is trained with the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cospair.losses import AllPairsCosineEmbeddingLoss, CosineEmbeddingLoss
from cospair.recipes import OF_THE_LOSS, Recipe

Settings: TypeAlias = Mapping[str, float]
Family: TypeAlias = Literal[
    "pairs", "all pairs", "triplets", "regression", "pytorch-metric-learning"
]


@dataclass(frozen=True)
class Contender:
    """One loss in the comparison.

    Attributes:
        name: What it is called in tables.
        family: What it learns from.
        settings: What is tried, the same number for every loss; () takes the recipe's own.
        make: Builds its module for a setting, the number of classes and of dimensions.
        package: Distribution that it comes from, where that is not cospair or torch.
    """

    name: str
    family: Family
    settings: tuple[Settings, ...]
    make: Callable[[Settings, int, int], nn.Module]
    package: str = ""

    def settings_for(self, recipe: Recipe) -> tuple[Settings, ...]:
        """What is tried where the recipe trains the encoder."""
        own = {name: getattr(recipe, name) for name in OF_THE_LOSS}
        return self.settings or (own,)

    @property
    def unavailable(self) -> str:
        """Why it cannot be compared here, or ""."""
        module = self.package.replace("-", "_")
        if not self.package or find_spec(module) is not None:
            return ""
        return f"{self.package} is not installed; pip install {self.package}"


class _Pairs(nn.Module):
    """A loss of pairs for batches whose first half meets their second."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.loss = CosineEmbeddingLoss(
            settings["margin"], positive_margin=settings["positive_margin"]
        )

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        first, second = labels.chunk(2)
        return self.loss(*embeddings.chunk(2), first == second)


class _Triplets(nn.Module):
    """torch's TripletMarginLoss on unit embeddings, its triplets mined from the batch.

    Every genuine pair of the batch is an anchor and its positive. The negative is drawn at random,
    or semi-hard: the nearest one that is farther than the positive (Schroff et al., FaceNet,
    section 3.2), the farthest of all where none is.
    """

    def __init__(self, settings: Settings, *, semi_hard: bool) -> None:
        super().__init__()
        self.loss = nn.TripletMarginLoss(margin=settings["margin"])
        self.semi_hard = semi_hard

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        x = F.normalize(embeddings, dim=1)
        same = labels[:, None] == labels[None, :]
        anchor, positive = same.fill_diagonal_(False).nonzero(as_tuple=True)
        others = labels[anchor][:, None] != labels[None, :]
        if self.semi_hard:
            with torch.no_grad():
                distance = torch.cdist(x, x)
            far = distance[anchor]
            beyond = others & (far > distance[anchor, positive][:, None])
            nearest = far.masked_fill(~beyond, torch.inf).argmin(1)
            farthest = far.masked_fill(~others, -torch.inf).argmax(1)
            negative = torch.where(beyond.any(1), nearest, farthest)
        else:
            negative = torch.multinomial(others.float(), 1)[:, 0]
        return self.loss(x[anchor], x[positive], x[negative])


class _Codes(nn.Module):
    """MSELoss of embeddings to a fixed random code of their class, of length 1."""

    def __init__(self, settings: Settings, classes: int, dimensions: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        codes = F.normalize(torch.randn(classes, dimensions, generator=generator), dim=1)
        self.codes: Tensor
        self.register_buffer("codes", settings["length"] * codes)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(embeddings, self.codes[labels], reduction="sum") / len(labels)


class _Cosines(nn.Module):
    """MSELoss of all cosines of a batch to 1 for genuine pairs and to a target for impostors."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.target = settings["impostor_target"]

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        x = F.normalize(embeddings, dim=1)
        cosines = x @ x.T
        same = (labels[:, None] == labels[None, :]).triu(1)
        other = (labels[:, None] != labels[None, :]).triu(1)
        wanted = [(cosines[same], 1.0), (cosines[other], self.target)]
        return sum(F.mse_loss(s, torch.full_like(s, target)) for s, target in wanted)  # type: ignore[return-value]


def _of_library(loss: str, **fixed: Any) -> Callable[[Settings, int, int], nn.Module]:
    """A loss of pytorch-metric-learning by its class's name."""

    def make(settings: Settings, classes: int, dimensions: int) -> nn.Module:
        from pytorch_metric_learning import distances, losses

        arguments: dict[str, Any] = {**fixed, **settings}
        if loss == "ArcFaceLoss":
            arguments |= {"num_classes": classes, "embedding_size": dimensions}
        if loss == "ContrastiveLoss":
            arguments["distance"] = distances.CosineSimilarity()
        return getattr(losses, loss)(**arguments)

    return make


def _tried(name: str, *values: float, **fixed: float) -> tuple[Settings, ...]:
    return tuple({name: value, **fixed} for value in values)


def _all_pairs(settings: Settings, classes: int, dimensions: int) -> nn.Module:
    return AllPairsCosineEmbeddingLoss(
        settings["margin"],
        positive_margin=settings["positive_margin"],
        reduction="active",
        power=int(settings.get("power", 1)),
    )


_SYMMETRIC: tuple[Settings, ...] = tuple(
    {"margin": margin, "positive_margin": margin} for margin in (0.0, 0.25, 0.5)
)

CONTENDERS: dict[str, Contender] = {
    "default": Contender("cospair's default", "all pairs", (), _all_pairs),
    "pairs-torch": Contender(
        "pairs, 1 - s",
        "pairs",
        _tried("margin", 0.0, 0.25, 0.5, positive_margin=1.0),
        lambda settings, _classes, _dimensions: _Pairs(settings),
    ),
    "pairs-symmetric": Contender(
        "pairs, symmetric hinge",
        "pairs",
        _SYMMETRIC,
        lambda settings, _classes, _dimensions: _Pairs(settings),
    ),
    "all-pairs-torch": Contender(
        "all pairs, 1 - s",
        "all pairs",
        _tried("margin", 0.0, 0.25, 0.5, positive_margin=1.0),
        _all_pairs,
    ),
    "all-pairs-symmetric": Contender(
        "all pairs, symmetric hinge", "all pairs", _SYMMETRIC, _all_pairs
    ),
    "all-pairs-squared": Contender(
        "all pairs, squared hinges",
        "all pairs",
        _tried("margin", 0.25, 0.35, 0.5, positive_margin=1.0, power=2),
        _all_pairs,
    ),
    "triplet-random": Contender(
        "triplets, random",
        "triplets",
        _tried("margin", 0.1, 0.3, 1.0),
        lambda settings, _classes, _dimensions: _Triplets(settings, semi_hard=False),
    ),
    "triplet-semi-hard": Contender(
        "triplets, semi-hard",
        "triplets",
        _tried("margin", 0.1, 0.2, 0.4),
        lambda settings, _classes, _dimensions: _Triplets(settings, semi_hard=True),
    ),
    "mse-embeddings": Contender(
        "MSE of embeddings to class codes",
        "regression",
        _tried("length", 0.5, 1.0, 2.0),
        lambda settings, classes, dimensions: _Codes(settings, classes, dimensions),
    ),
    "mse-cosines": Contender(
        "MSE of all cosines",
        "regression",
        _tried("impostor_target", 0.0, 0.1, 0.25),
        lambda settings, _classes, _dimensions: _Cosines(settings),
    ),
    "pml-contrastive": Contender(
        "contrastive",
        "pytorch-metric-learning",
        _tried("neg_margin", 0.0, 0.25, 0.5, pos_margin=1.0),
        _of_library("ContrastiveLoss"),
        "pytorch-metric-learning",
    ),
    "nt-xent": Contender(
        "NT-Xent",
        "pytorch-metric-learning",
        _tried("temperature", 0.07, 0.1, 0.2),
        _of_library("NTXentLoss"),
        "pytorch-metric-learning",
    ),
    "multi-similarity": Contender(
        "multi-similarity",
        "pytorch-metric-learning",
        _tried("base", 0.25, 0.5, 0.75, alpha=2.0, beta=50.0),
        _of_library("MultiSimilarityLoss"),
        "pytorch-metric-learning",
    ),
    "arcface": Contender(
        "ArcFace",
        "pytorch-metric-learning",
        _tried("scale", 8.0, 16.0, 64.0, margin=28.6),
        _of_library("ArcFaceLoss"),
        "pytorch-metric-learning",
    ),
}
