"""Made-up people, as a head over a frozen trunk and as an encoder from scratch take them."""

from dataclasses import replace

import numpy as np
import torch

from cospair.models import EmbedderConfig
from cospair.recipes import FROM_SCRATCH, Recipe
from cospair.study import Material

PEOPLE, EACH, FEATURES = 12, 6, 8
LABELS = np.repeat(np.arange(PEOPLE), EACH)


def over_features(**changes):
    """Features of people whose centres differ; nothing is computed from pictures."""
    recipe = replace(Recipe(steps=3, people=4, each=4, views=0), **changes)
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(PEOPLE, FEATURES, generator=generator)[LABELS]
    views = centres + 0.8 * torch.randn(2, len(LABELS), FEATURES, generator=generator)
    config = EmbedderConfig(recipe.encoder, 16, 16, 1, FEATURES, recipe.mirror)
    pictures = torch.zeros(len(LABELS), 1, 16, 16, dtype=torch.uint8)
    return Material(recipe, config, pictures, LABELS, views, "made up")


def from_pictures(**changes):
    """Tiny pictures of people for the encoder from scratch."""
    recipe = replace(
        FROM_SCRATCH, **{"steps": 2, "people": 4, "each": 2, "dimensions": 8, **changes}
    )
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (len(LABELS), 1, 16, 16), generator=generator)
    config = EmbedderConfig("conv", 16, 16, 1, recipe.dimensions, recipe.mirror)
    return Material(recipe, config, pictures.to(torch.uint8), LABELS, None, "made up too")
