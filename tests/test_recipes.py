from dataclasses import replace

import pytest

from cospair.recipes import FROM_SCRATCH, RECIPES, Recipe, config_for


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((92, 112), (128, 104)),
        ((64, 64), (112, 112)),
        ((300, 100), (64, 200)),
        ((8, 800), (1152, 16)),
    ],
)
def test_prepared_pictures_keep_their_shape(size, expected):
    config = config_for(Recipe(), [size], channels=3)
    assert (config.height, config.width) == pytest.approx(expected, abs=8)
    assert config.height % 8 == config.width % 8 == 0


def test_the_median_shape_decides():
    assert config_for(Recipe(), [(1, 9), (92, 112), (9, 1)], channels=1).width == 104


def test_the_pace_rises_then_falls_to_nothing():
    recipe = replace(FROM_SCRATCH, steps=100, warmup=0.3)
    paces = [recipe.pace(step) for step in range(101)]
    assert paces[30] == 1.0
    assert paces == sorted(paces[:31]) + sorted(paces[31:], reverse=True)
    assert paces[100] == pytest.approx(0.0, abs=1e-12)
    assert Recipe().pace(0) == 1.0


def test_recipes_check_themselves():
    with pytest.raises(ValueError, match=r"people must be at least 2, got 1; a batch needs pairs"):
        Recipe(people=1)
    with pytest.raises(ValueError, match=r"steps, learning_rate and shrink must be above 0, got 0"):
        Recipe(steps=0)
    with pytest.raises(ValueError, match=r"margin must be a cosine in \[-1, 1\], got 3"):
        Recipe(margin=3)


def test_settings_are_flat():
    assert RECIPES["conv"].settings()["encoder"] == "conv"
    assert all(not isinstance(v, dict | list | tuple) for v in Recipe().settings().values())
