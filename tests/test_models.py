from dataclasses import asdict, replace

import pytest
import torch
from PIL import Image

from cospair.models import (
    Embedder,
    EmbedderConfig,
    file_sha256,
    load_embedder,
    prepared,
    save_embedder,
    whitened_projection,
)

CONV = EmbedderConfig("conv", 32, 24, 1, 16, True)
PRETRAINED = EmbedderConfig("efficientnet-lite0", 64, 48, 1, 20, True)


def pictures(config: EmbedderConfig, n: int = 3) -> torch.Tensor:
    shape = (n, config.channels, config.height, config.width)
    return torch.randint(
        0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.mark.parametrize("config", [CONV, PRETRAINED, replace(PRETRAINED, channels=3)])
def test_embeddings_have_length_one_and_survive_the_file(config, tmp_path):
    torch.manual_seed(0)
    model = Embedder(config).eval()
    embeddings = model.embed(pictures(config))
    assert embeddings.shape == (3, config.dimensions)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    sha = save_embedder(model, tmp_path / "model.safetensors")
    assert sha == file_sha256(tmp_path / "model.safetensors")
    again = load_embedder(tmp_path / "model.safetensors")
    assert asdict(again.config) == asdict(config)
    assert torch.equal(again.embed(pictures(config)), embeddings)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_frozen_trunk_is_not_stored_and_not_trained(tmp_path):
    model = Embedder(PRETRAINED).train()
    assert not model.trunk.training
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "projection"
    }
    save_embedder(model, tmp_path / "model.safetensors")
    numbers = model.projection.weight.numel() + model.projection.bias.numel()
    assert (tmp_path / "model.safetensors").stat().st_size < 4 * numbers + 2000


def test_mirror_images_embed_alike_where_asked():
    torch.manual_seed(0)
    model = Embedder(CONV).eval()
    torch.testing.assert_close(model.embed(pictures(CONV)), model.embed(pictures(CONV).flip(3)))
    torch.manual_seed(0)
    plain = Embedder(replace(CONV, mirror=False)).eval()
    assert not torch.allclose(plain.embed(pictures(CONV)), plain.embed(pictures(CONV).flip(3)))


def test_batches_do_not_matter():
    torch.manual_seed(0)
    model = Embedder(CONV).eval()
    torch.testing.assert_close(
        model.embed(pictures(CONV, 5)), model.embed(pictures(CONV, 5), batch=2)
    )
    assert model.embed(pictures(CONV, 0)).shape == (0, 16)


def test_prepared_pictures():
    rgb = Image.new("RGB", (100, 50), (255, 0, 0))
    grey = prepared(rgb, CONV)
    assert grey.shape == (1, 32, 24)
    assert int(grey[0, 0, 0]) == 76  # ITU-R 601 luma of red
    colours = prepared(Image.new("L", (7, 9), 40), replace(CONV, channels=3))
    assert colours.shape == (3, 32, 24)
    assert bool((colours == 40).all())


def test_whitening_gives_each_class_unit_covariance():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20).repeat_interleave(50)
    mixing = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    centres = 5 * torch.randn(20, 6, generator=generator, dtype=torch.float64)
    noise = torch.randn(1000, 6, generator=generator, dtype=torch.float64) @ mixing
    features = centres[labels] + noise
    layer = whitened_projection(features, labels, shrink=1e-6).double()
    white = layer(features)
    within = white - torch.stack([white[labels == c].mean(0) for c in range(20)])[labels]
    covariance = within.T @ within / len(within)
    # the layer's numbers are float32
    torch.testing.assert_close(covariance, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        white.mean(0), torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-4
    )


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(
        ValueError, match=r"a model must be a file that `cospair train` wrote, got .*none"
    ):
        load_embedder(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match=r"a model must be a file that `cospair train` wrote"):
        load_embedder(tmp_path / "text.safetensors")
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"without cospair's configuration"):
        load_embedder(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"encoder": "resnet"},
            r"encoder must be one of 'efficientnet-lite0', 'conv', got 'resnet'",
        ),
        ({"height": 8}, r"height and width must be at least 16 pixels, got 8 x 24"),
        ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(RGB\), got 2"),
    ],
)
def test_configurations_check_themselves(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONV, **change)
