"""Recipes: how an encoder is trained, and what its pictures look like to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cospair.data import Augmentation, ImageSet
from cospair.losses import AllPairsCosineEmbeddingLoss
from cospair.models import EmbedderConfig, EncoderName


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained; the defaults were tuned on training people only.

    Args:
        encoder: 'efficientnet-lite0' (a linear head over the frozen trunk) or 'conv' (from
            scratch).
        margin: Cosine above which an impostor pair costs, in [-1, 1].
        positive_margin: Cosine below which a genuine pair costs, in [-1, 1].
        power: 1 for the hinges, 2 for their squares.
        people: Identities in a batch (P), at most.
        each: Pictures of an identity in a batch (K).
        steps: Optimiser steps.
        learning_rate: AdamW's, where its cosine decay begins.
        weight_decay: AdamW's.
        dimensions: Length of an embedding from scratch; over a frozen trunk it is the trunk's.
        views: Augmented views of a picture over a frozen trunk, beside it and its mirror image.
        shrink: Share of the mean variance added in the head's whitening start.
        warmup: Share of the steps over which the learning rate rises to its full value.
        degrees: Largest turn of a random view.
        scale: Largest change of its size, share.
        shift: Largest shift of it, share of half the picture.
        mirror: Whether a mirror image shows the same identity (not so for writing).
        area: Pixels of a prepared picture, about; its shape follows the pictures.
    """

    encoder: EncoderName = "efficientnet-lite0"
    margin: float = 0.1
    positive_margin: float = 0.4
    power: int = 1
    people: int = 24
    each: int = 4
    steps: int = 100
    learning_rate: float = 3e-4
    weight_decay: float = 0.0
    dimensions: int = 128
    views: int = 4
    shrink: float = 0.3
    warmup: float = 0.0
    degrees: float = 5.0
    scale: float = 0.05
    shift: float = 0.04
    mirror: bool = True
    area: int = 128 * 104

    def __post_init__(self) -> None:
        """Check every option before a picture is read."""
        AllPairsCosineEmbeddingLoss(
            self.margin, positive_margin=self.positive_margin, power=self.power
        )
        for name in ("people", "each"):
            if getattr(self, name) < 2:
                raise ValueError(
                    f"{name} must be at least 2, got {getattr(self, name)}; a batch needs pairs"
                )
        if self.steps < 1 or self.learning_rate <= 0 or self.shrink <= 0:
            raise ValueError(
                "steps, learning_rate and shrink must be above 0, got "
                f"{self.steps}, {self.learning_rate} and {self.shrink}; choose positive numbers"
            )

    def augmentation(self) -> Augmentation:
        """How far its random views may stand from a picture."""
        return Augmentation(
            degrees=self.degrees, scale=self.scale, shift=self.shift, mirror=self.mirror
        )

    def pace(self, step: int) -> float:
        """Share of the full learning rate at a step: a linear rise, then half a cosine to 0."""
        rise = self.warmup * self.steps
        if step < rise:
            return (step + 1) / (rise + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / (self.steps - rise)))

    def settings(self) -> dict[str, Any]:
        """The recipe as a flat dict, for reports."""
        return asdict(self)


OF_THE_LOSS = ("margin", "positive_margin", "power")  # the fields that are the loss's own

FROM_SCRATCH = Recipe(
    encoder="conv",
    margin=0.35,
    positive_margin=1.0,
    power=2,
    people=16,
    each=4,
    steps=300,
    learning_rate=2e-3,
    weight_decay=1e-4,
    warmup=0.3,
    degrees=2.0,
    scale=0.02,
    shift=0.015,
    area=64 * 56,
)
RECIPES: dict[str, Recipe] = {"efficientnet-lite0": Recipe(), "conv": FROM_SCRATCH}


def config_for_set(recipe: Recipe, images: ImageSet) -> EmbedderConfig:
    """A model's configuration for a set of pictures, from some fifty of them."""
    sample = [images.picture(i) for i in range(0, len(images), max(1, len(images) // 50))]
    grey = all(picture.mode == "L" for picture in sample)
    return config_for(recipe, [picture.size for picture in sample], channels=1 if grey else 3)


def config_for(
    recipe: Recipe, sizes: Sequence[tuple[int, int]], *, channels: int
) -> EmbedderConfig:
    """A model's configuration for pictures of these (width, height) sizes: their median shape."""
    aspect = sorted(width / height for width, height in sizes)[len(sizes) // 2]
    height = max(16, 8 * round(math.sqrt(recipe.area / aspect) / 8))
    width = max(16, 8 * round(math.sqrt(recipe.area * aspect) / 8))
    return EmbedderConfig(recipe.encoder, height, width, channels, recipe.dimensions, recipe.mirror)
