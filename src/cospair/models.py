"""The encoder: a trunk, a projection, and embeddings of length 1.

Decisions of this file:

- A model file holds what was learned and the configuration that rebuilds the rest: one safetensors
  file, read without executing anything. A frozen pretrained trunk is not stored again; it comes
  from its package.
- How a picture becomes numbers (size, colours) belongs to the model, because it must be the same
  wherever the model is used.
- At test time a picture's trunk features are averaged with its mirror image's, where the recipe
  says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cospair.files import write_whole

if TYPE_CHECKING:
    from PIL import Image

EncoderName: TypeAlias = Literal["efficientnet-lite0", "conv"]

_CONFIGURATION = "cospair"  # the key of the configuration in a model file's metadata
_PRETRAINED_BLOCKS, _PRETRAINED_GRID = (7,), 4
_CONV_CHANNELS = (24, 48, 96, 128)


@dataclass(frozen=True)
class EmbedderConfig:
    """What rebuilds an `Embedder`, checked when given.

    Args:
        encoder: 'efficientnet-lite0' (frozen, pretrained on ImageNet) or 'conv' (from scratch).
        height: Rows of a prepared picture, at least 16.
        width: Columns of a prepared picture, at least 16.
        channels: 1 (grey) or 3 (RGB).
        dimensions: Length of an embedding.
        mirror: Average a picture's features with its mirror image's at test time.
    """

    encoder: EncoderName
    height: int
    width: int
    channels: int
    dimensions: int
    mirror: bool

    def __post_init__(self) -> None:
        """Check every field."""
        if self.encoder not in get_args(EncoderName):
            known = ", ".join(map(repr, get_args(EncoderName)))
            raise ValueError(f"encoder must be one of {known}, got {self.encoder!r}; choose one")
        if min(self.height, self.width) < 16:
            raise ValueError(
                "height and width must be at least 16 pixels, "
                f"got {self.height} x {self.width}; choose a larger size"
            )
        if self.channels not in (1, 3):
            raise ValueError(
                f"channels must be 1 (grey) or 3 (RGB), got {self.channels}; convert the pictures"
            )


class ConvTrunk(nn.Module):
    """Four convolutions, a sixteenth of each side, flattened: for small aligned pictures."""

    def __init__(self, config: EmbedderConfig) -> None:
        """Build the layers for the configuration's picture size."""
        super().__init__()
        layers: list[nn.Module] = []
        inputs = config.channels
        for depth, outputs in enumerate(_CONV_CHANNELS):
            first = depth == 0
            layers += [
                nn.Conv2d(
                    inputs,
                    outputs,
                    5 if first else 3,
                    stride=2 if first else 1,
                    padding=2 if first else 1,
                    bias=False,
                ),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
                nn.Identity() if first else nn.MaxPool2d(2),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.features = inputs * (config.height >> 4) * (config.width >> 4)

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, f] of pictures [n, c, h, w] with values 0 to 255."""
        x = (x.float() - 127.0) / 64.0
        return self.layers(x.contiguous(memory_format=torch.channels_last)).flatten(1)


class PretrainedTrunk(nn.Module):
    """EfficientNet-Lite0 up to a middle block, pooled to a grid; frozen, never in training mode."""

    def __init__(self, config: EmbedderConfig) -> None:
        """Load the weights from their package."""
        super().__init__()
        from cospair.backbones import efficientnet_lite0

        self.backbone = efficientnet_lite0(pretrained=True).requires_grad_(False)
        with torch.no_grad():
            probe = torch.zeros(1, config.channels, config.height, config.width)
            self.features = self.forward(probe).shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, f] of pictures [n, c, h, w] with values 0 to 255."""
        return self.backbone.features(x, blocks=_PRETRAINED_BLOCKS, grid=_PRETRAINED_GRID)

    def train(self, mode: bool = True) -> PretrainedTrunk:
        """Stay in evaluation mode, whatever the module around it does."""
        return super().train(False)


_TRUNKS: dict[str, type[ConvTrunk] | type[PretrainedTrunk]] = {
    "conv": ConvTrunk,
    "efficientnet-lite0": PretrainedTrunk,
}


class Embedder(nn.Module):
    """Trunk + projection + normalisation: pictures in, embeddings of length 1 out.

    Args:
        config: What to build.
        projection: Linear layer from the trunk's features to the embedding; None makes one.
    """

    def __init__(self, config: EmbedderConfig, projection: nn.Linear | None = None) -> None:
        """Build the trunk by name and the projection on top."""
        super().__init__()
        self.config = config
        self.trunk = _TRUNKS[config.encoder](config)
        self.projection = projection or nn.Linear(self.trunk.features, config.dimensions)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings [n, dimensions] of length 1 of prepared pictures [n, c, h, w], 0 to 255."""
        return F.normalize(self.projection(self.features(x)), dim=1)

    def features(self, x: Tensor) -> Tensor:
        """The trunk's features [n, f], mirror images averaged in where that is asked for."""
        features = self.trunk(x)
        if self.training or not self.config.mirror:
            return features
        return (features + self.trunk(x.flip(3))) / 2

    def prepare(self, picture: Image.Image) -> Tensor:
        """A picture as the trunk takes it, uint8 [c, h, w]."""
        return prepared(picture, self.config)

    @torch.no_grad()
    def embed(self, pictures: Tensor, *, batch: int = 64) -> Tensor:
        """Embeddings float32 [n, dimensions] on the CPU of prepared pictures uint8 [n, c, h, w]."""
        self.eval()
        device = self.projection.weight.device
        chunks = [self(chunk.to(device)).float().cpu() for chunk in pictures.split(batch)]
        return torch.cat(chunks) if chunks else torch.empty(0, self.config.dimensions)


def prepared(picture: Image.Image, config: EmbedderConfig) -> Tensor:
    """A picture in the configuration's size and colours, uint8 [c, h, w]."""
    import numpy as np
    from PIL import Image

    wanted = picture.convert("L" if config.channels == 1 else "RGB")
    resized = wanted.resize((config.width, config.height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized, dtype=np.uint8))
    return pixels.unsqueeze(0) if config.channels == 1 else pixels.permute(2, 0, 1).contiguous()


def prepared_all(pictures: Iterable[Image.Image], config: EmbedderConfig) -> Tensor:
    """Every picture prepared, uint8 [n, c, h, w]."""
    return torch.stack([prepared(picture, config) for picture in pictures])


def whitened_projection(features: Tensor, labels: Tensor, *, shrink: float) -> nn.Linear:
    """Linear layer that centres features and gives each class a covariance of about 1.

    The within-class covariance is shrunk towards `shrink` times its mean variance, because there
    are more features than pictures. Where a head starts that is then trained with the loss.

    Args:
        features: Trunk features, float [n, f].
        labels: Class of each row, 0 to classes - 1, int64 [n].
        shrink: Share of the mean variance added to the diagonal, > 0.

    Returns:
        Linear layer f -> f.
    """
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    rows = (features - mean) / deviation
    sums = rows.new_zeros(int(labels.max()) + 1, rows.shape[1]).index_add_(0, labels, rows)
    within = rows - (sums / torch.bincount(labels).unsqueeze(1))[labels]
    covariance = within.T @ within / len(within)
    covariance.diagonal().add_(shrink * covariance.diagonal().mean() + 1e-12)
    triangle = torch.linalg.cholesky(covariance)
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    whitening = torch.linalg.solve_triangular(triangle, identity, upper=False) / deviation
    return linear(whitening, -(whitening @ mean))


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer with these numbers."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def save_embedder(model: Embedder, path: str | os.PathLike[str]) -> str:
    """Write a model file, beside and renamed; return its SHA-256."""
    from safetensors.torch import save

    frozen = {name for name, value in model.trunk.named_parameters() if not value.requires_grad}
    stored_trunk = not frozen
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if stored_trunk or not name.startswith("trunk.")
    }
    content = save(tensors, metadata={_CONFIGURATION: json.dumps(asdict(model.config))})
    write_whole(path, content)
    return sha256(content).hexdigest()


def load_embedder(path: str | os.PathLike[str]) -> Embedder:
    """Read a model file.

    Raises:
        ValueError: If the file is missing or no cospair model.
    """
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, Any] = {}
    try:
        with safe_open(str(path), framework="pt") as file:
            known = (file.metadata() or {}).get(_CONFIGURATION)
            for name in file.keys():  # noqa: SIM118 - not a dict
                tensors[name] = file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"a model must be a file that `cospair train` wrote, got {path} ({error}); check the "
            "path"
        ) from None
    if known is None:
        raise ValueError(
            f"a model must be a file that `cospair train` wrote, got {path} without cospair's "
            "configuration; train one with `cospair train`"
        )
    model = Embedder(EmbedderConfig(**json.loads(known)))
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    if unexpected or [name for name in missing if not name.startswith("trunk.backbone.")]:
        raise ValueError(
            f"a model must hold the tensors of its configuration, got {path} with others; "
            "train it again with this version of cospair"
        )
    return model.eval()


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as recorded beside thresholds and figures."""
    return sha256(Path(path).read_bytes()).hexdigest()
