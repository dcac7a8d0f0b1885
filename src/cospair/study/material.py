"""The pictures of a comparison as its encoder takes them, and what needs no training.

Decisions of this file:
- Pictures are prepared once, and over a frozen trunk their features are computed once: every loss
  learns from the same numbers.
- What an encoder starts from is in the table too, as a floor that a loss has to beat.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cospair import models, recipes, training
from cospair.data import ImageSet
from cospair.models import Embedder, EmbedderConfig
from cospair.recipes import Recipe

Rows: TypeAlias = NDArray[np.int64]


class Material(NamedTuple):
    """Prepared pictures of all people, and how an encoder is trained on some of them."""

    recipe: Recipe
    config: EmbedderConfig
    pictures: Tensor  # uint8 [n, c, h, w]
    labels: NDArray[np.int64]  # [n]
    views: Tensor | None  # float32 [views, n, f] over a frozen trunk
    sha256: str  # of the pictures, the labels and the recipe without its loss

    def classes(self, rows: Rows) -> Tensor:
        """Classes 0, 1, ... of some rows, int64."""
        return torch.from_numpy(np.unique(self.labels[rows], return_inverse=True)[1])


def gathered(images: ImageSet, recipe: Recipe, *, seed: int, progress: bool = False) -> Material:
    """Prepare every picture of a set, and its features where the trunk is frozen.

    Args:
        images: The whole set.
        recipe: The encoder and how it is trained.
        seed: Of the views over a frozen trunk.
        progress: Show a bar on standard error.

    Returns:
        What every trial learns from.
    """
    config = recipes.config_for_set(recipe, images)
    pictures = models.prepared_all((images.picture(i) for i in range(len(images))), config)
    views = None
    if recipe.encoder == "efficientnet-lite0":
        model = Embedder(config).eval()
        views = training.feature_views(model, pictures, recipe, seed=seed, progress=progress)
    content = pictures.numpy().tobytes() + images.labels.tobytes()
    # a trial has settings of its own for the loss
    rest = {
        name: given for name, given in recipe.settings().items() if name not in recipes.OF_THE_LOSS
    }
    digest = sha256(content + repr((sorted(rest.items()), config, seed)).encode()).hexdigest()
    return Material(recipe, config, pictures, images.labels, views, digest)


def _pixels(material: Material, train: Rows, held: Rows) -> Tensor:
    mean = material.pictures[train].float().mean(0)
    return (material.pictures[held].float() - mean).flatten(1)


def _features(material: Material, train: Rows, held: Rows) -> Tensor:
    assert material.views is not None
    return training.plain_features(material.views, material.recipe)[held]


def _centred_features(material: Material, train: Rows, held: Rows) -> Tensor:
    assert material.views is not None
    features = training.plain_features(material.views, material.recipe)
    return features[held] - features[train].mean(0)


def _whitened(material: Material, train: Rows, held: Rows) -> Tensor:
    assert material.views is not None
    start = training.whitening(material.views[:, train], material.classes(train), material.recipe)
    with torch.no_grad():
        return start(training.plain_features(material.views, material.recipe)[held])


Baseline: TypeAlias = Callable[[Material, Rows, Rows], Tensor]

# What embeddings [held, d] there are without training, by the encoder's name.
BASELINES: dict[str, dict[str, Baseline]] = {
    "conv": {"pixels minus their mean": _pixels},
    "efficientnet-lite0": {
        "features": _features,
        "features minus their mean": _centred_features,
        "within-class whitening": _whitened,
    },
}
