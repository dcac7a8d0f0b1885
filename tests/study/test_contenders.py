import math

import pytest
import torch
from torch.nn import functional as F

from cospair.losses import cosine_embedding_loss
from cospair.recipes import RECIPES
from cospair.study import CONTENDERS, Contender

LABELS = torch.tensor([0, 0, 1, 1])


def _made(key, settings, classes=4, dimensions=6):
    if CONTENDERS[key].unavailable:
        pytest.skip(CONTENDERS[key].unavailable)
    return CONTENDERS[key].make(settings, classes, dimensions)


def _at(*degrees):
    """Points of the unit circle."""
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def _chord(degrees):
    return 2 * math.sin(math.radians(degrees) / 2)


def test_every_contender_has_the_same_number_of_settings():
    numbers = {key: len(one.settings) for key, one in CONTENDERS.items()}
    assert numbers.pop("default") == 0
    assert set(numbers.values()) == {3}


def test_the_default_takes_the_recipes_own_setting():
    recipe = RECIPES["conv"]
    own = {"margin": recipe.margin, "positive_margin": 1.0, "power": 2}
    assert CONTENDERS["default"].settings_for(recipe) == (own,)
    three = CONTENDERS["triplet-random"]
    assert three.settings_for(recipe) == three.settings


@pytest.mark.parametrize("key", CONTENDERS)
def test_every_setting_makes_a_loss_with_a_gradient(key):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(4)
    if CONTENDERS[key].family == "pairs":  # the first half meets the second: both kinds of pair
        labels = torch.cat([labels[:8], labels[:4], labels[8:12]])
    for settings in CONTENDERS[key].settings_for(RECIPES["conv"]):
        x = torch.randn(16, 6, generator=generator).requires_grad_()
        loss = _made(key, settings)(x, labels)
        loss.backward()
        assert loss.shape == ()
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert x.grad.any()


def test_pairs_are_those_of_the_two_halves():
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 2, 1])
    found = _made("pairs-torch", {"margin": 0.25, "positive_margin": 1.0})(x, labels)
    target = torch.tensor([1, -1, -1])
    torch.testing.assert_close(found, F.cosine_embedding_loss(x[:3], x[3:], target, margin=0.25))
    hinge = _made("pairs-symmetric", {"margin": 0.25, "positive_margin": 0.25})(x, labels)
    expected = cosine_embedding_loss(x[:3], x[3:], target, margin=0.25, positive_margin=0.25)
    torch.testing.assert_close(hinge, expected)


def test_semi_hard_takes_the_nearest_that_is_farther_than_the_positive():
    margin, positions = 0.1, (0, 30, 20, 90)
    found = _made("triplet-semi-hard", {"margin": margin})(_at(*positions), LABELS)
    # anchor, positive, negative by hand, as degrees between them: at 20 degrees both others are
    # nearer than the positive, and the farther of them is taken
    triplets = [(30, 90), (30, 60), (70, 20), (70, 90)]
    terms = [max(0.0, _chord(near) - _chord(far) + margin) for near, far in triplets]
    # torch adds 1e-6 to each coordinate of a difference
    assert found.item() == pytest.approx(sum(terms) / 4, abs=1e-5)


def test_semi_hard_takes_no_nearer_negative_while_a_farther_one_is_there():
    x, labels = _at(0, 30, 20, 35, 90), torch.tensor([0, 0, 1, 1, 1])
    loss = _made("triplet-semi-hard", {"margin": 0.1})(x, labels)
    triplets = [(30, 35), (30, 60), (15, 20), (70, 20), (15, 35), (55, 35), (70, 90), (55, 60)]
    terms = [max(0.0, _chord(near) - _chord(far) + 0.1) for near, far in triplets]
    assert loss.item() == pytest.approx(sum(terms) / 8, abs=1e-5)  # as above


def test_a_random_negative_is_of_another_class():
    x = _at(0, 30, 90, 90)
    found = _made("triplet-random", {"margin": 1.0})(x, LABELS)
    # whichever negative is drawn for the first two; the last two lie on one point
    near = (_chord(30) - _chord(90) + 1) + (_chord(30) - _chord(60) + 1)
    far = [max(0.0, 1 - _chord(90)), max(0.0, 1 - _chord(60))]
    between = [near + a + b for a in far for b in far]
    assert min(abs(4 * found.item() - one) for one in between) < 1e-4  # four times 1e-5, as above


def test_embeddings_are_drawn_to_codes_of_the_length_asked_for():
    loss = _made("mse-embeddings", {"length": 2.0}, classes=2, dimensions=6)
    codes = dict(loss.named_buffers())["codes"]
    torch.testing.assert_close(codes.norm(dim=1), torch.full((2,), 2.0))
    assert loss(codes[LABELS], LABELS).item() == 0
    torch.testing.assert_close(loss(torch.zeros(4, 6), LABELS), torch.tensor(4.0))


def test_cosines_are_drawn_to_one_and_to_the_target():
    found = _made("mse-cosines", {"impostor_target": 0.25})(5 * _at(0, 60, 90, 90), LABELS)
    cosines = [math.cos(math.radians(angle)) for angle in (90, 90, 30, 30)]
    impostors = sum((s - 0.25) ** 2 for s in cosines) / 4
    assert found.item() == pytest.approx((0.25 + 0) / 2 + impostors, rel=1e-12)


def test_what_is_not_installed_says_so():
    absent = Contender("x", "pairs", (), lambda *_: torch.nn.Identity(), "no-such-package")
    assert absent.unavailable == "no-such-package is not installed; pip install no-such-package"
    assert CONTENDERS["default"].unavailable == ""
