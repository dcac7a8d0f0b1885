"""Random views of pictures: small shifts, turns and scalings, a mirror image, another light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How far a random view may stand from its picture; every range is symmetric around none.

    Args:
        degrees: Largest turn, degrees.
        scale: Largest change of size, share.
        shift: Largest shift, share of half the picture.
        mirror: Whether half the views are mirror images.
        gain: Largest change of contrast, share.
        offset: Largest change of brightness, grey levels of 255.
    """

    degrees: float = 5.0
    scale: float = 0.05
    shift: float = 0.04
    mirror: bool = True
    gain: float = 0.1
    offset: float = 8.0


def augment(pictures: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """One random view of each picture.

    Args:
        pictures: [n, c, h, w], uint8 or float with values 0 to 255.
        how: The ranges.
        generator: Source of randomness; the same state gives the same views.

    Returns:
        Views float32 [n, c, h, w], values 0 to 255; outside the picture its border is repeated.
    """
    n, _, height, width = pictures.shape
    transforms = _transforms(n, height / width, how, generator)
    grid = F.affine_grid(transforms, [n, 1, height, width], align_corners=False)
    views = F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)
    gain = 1 + how.gain * _uniform(n, generator).view(n, 1, 1, 1)
    offset = how.offset * _uniform(n, generator).view(n, 1, 1, 1)
    return ((views - 127) * gain + 127 + offset).clamp_(0, 255)


def _transforms(n: int, aspect: float, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Affine maps [n, 2, 3] in normalised coordinates that turn in pixel space."""
    angle = math.radians(how.degrees) * _uniform(n, generator)
    size = 1 + how.scale * _uniform(n, generator)
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    mirrored = (torch.rand(n, generator=generator) < 0.5) & how.mirror
    flip = torch.where(mirrored, -1.0, 1.0)
    shift_x, shift_y = (how.shift * _uniform(n, generator) for _ in range(2))
    rows = [cosine * flip, -sine * aspect, shift_x, sine * flip / aspect, cosine, shift_y]
    return torch.stack(rows, dim=1).view(n, 2, 3)


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(n, generator=generator) - 1
