import pytest
import torch

from cospair.data.augment import Augmentation, augment

STILL = Augmentation(degrees=0, scale=0, shift=0, mirror=False, gain=0, offset=0)


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 1, 16, 12), generator=generator, dtype=torch.uint8)


def views(how: Augmentation, seed: int = 0) -> torch.Tensor:
    return augment(pictures(), how, torch.Generator().manual_seed(seed))


def test_no_augmentation_changes_nothing():
    torch.testing.assert_close(views(STILL), pictures().float(), rtol=0, atol=1e-3)


def test_the_seed_decides():
    assert torch.equal(views(Augmentation(), 1), views(Augmentation(), 1))
    assert not torch.equal(views(Augmentation(), 1), views(Augmentation(), 2))


def test_values_stay_grey_levels():
    found = views(Augmentation(gain=3.0, offset=500.0))
    assert float(found.min()) >= 0
    assert float(found.max()) <= 255


def test_mirror_gives_pictures_or_their_mirror_images():
    how = Augmentation(degrees=0, scale=0, shift=0, mirror=True, gain=0, offset=0)
    found, wanted = views(how), pictures().float()
    same = [torch.allclose(a, b, atol=1e-3) for a, b in zip(found, wanted, strict=True)]
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-3) for a, b in zip(found, wanted, strict=True)]
    assert [a or b for a, b in zip(same, mirrored, strict=True)] == [True] * 6
    assert any(same)
    assert any(mirrored)


@pytest.mark.parametrize("shift", [0.5])
def test_a_shift_repeats_the_border(shift):
    how = Augmentation(degrees=0, scale=0, shift=shift, mirror=False, gain=0, offset=0)
    flat = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    found = augment(flat, how, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, flat.float())


def test_a_turn_keeps_shapes_of_oblong_pictures():
    """A disc stays a disc: turns happen in pixels, not in the unit square."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(16.0), indexing="ij")
    disc = (((y - 15.5) ** 2 + (x - 7.5) ** 2) < 36).float()[None, None] * 255
    how = Augmentation(degrees=90, scale=0, shift=0, mirror=False, gain=0, offset=0)
    found = augment(disc, how, torch.Generator().manual_seed(1))
    assert float((found - disc).abs().mean()) < 12.0  # only the edge is interpolated anew
