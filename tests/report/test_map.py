"""The map under a pointer and under the keyboard."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image


def _tone(row):
    """A grey that no other test picture has."""
    return Image.new("L", (92, 112), 40 + 2 * row)


@pytest.fixture
def page(visit, result):
    shown = visit(result, shown=_tone)
    shown.locator("#map").scroll_into_view_if_needed()
    return shown


def _point(page, result, row):
    """Where a picture's point is on the screen, from the result's own places."""
    given = result["map"]
    width = max(given["x"]) - min(given["x"])
    assert width >= max(given["y"]) - min(given["y"])  # else the drawing is turned
    # 36 units of margin on either side of 1000
    x = 36 + 928 * (given["x"][row] - min(given["x"])) / width
    y = 36 + 928 * (max(given["y"]) - given["y"][row]) / width
    box = page.locator("#map").bounding_box()
    height = float(page.locator("#map").get_attribute("viewBox").split()[3])
    scale = min(box["width"] / 1000, box["height"] / height)
    left = box["x"] + (box["width"] - 1000 * scale) / 2
    return left + x * scale, box["y"] + y * scale


def _shown(page, selector):
    pixels = np.asarray(Image.open(BytesIO(page.locator(selector).screenshot())).convert("L"))
    return int(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2])


def _apart(result):
    """Pictures whose points no other point touches."""
    places = np.stack([result["map"]["x"], result["map"]["y"]], axis=1)
    away = np.linalg.norm(places[:, None] - places, axis=2) + 9 * np.eye(len(places))
    return np.flatnonzero(away.min(axis=1) > 0.02).tolist()


@pytest.mark.parametrize("share", [0, 0.4, 1])
def test_hovering_shows_the_picture_of_that_point(page, result, share):
    rows = _apart(result)
    row = rows[int(share * (len(rows) - 1))]
    page.mouse.move(*_point(page, result, row))
    told = page.locator("#map-tip").inner_text()
    assert told.split() == [result["map"]["identity"][row], "picture", str(row)]
    # a lossy format may move a flat grey by a little
    assert abs(_shown(page, "#map-tip svg") - (40 + 2 * row)) <= 3
    assert page.locator("#map .who.on").count() == 1
    assert page.locator("#map .who.on use").count() == 10
    box = page.locator("#map-tip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1440


def test_away_from_the_points_nothing_is_told(page, result):
    page.mouse.move(*_point(page, result, 5))
    assert page.locator("#map-tip").is_visible()
    page.mouse.move(5, 5)
    assert not page.locator("#map-tip").is_visible()
    assert page.locator("#map.lit").count() == 0


def test_the_keyboard_goes_through_an_identity(page, result):
    page.locator("#map-identity").select_option(label="s35")
    own = [i for i, name in enumerate(result["map"]["identity"]) if name == "s35"]
    assert page.locator("#map-strip button").count() == len(own)
    page.locator("#map-identity").focus()
    for row in own[:3]:
        page.keyboard.press("Tab")
        assert page.locator("#map-tip").inner_text().split() == ["s35", "picture", str(row)]
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
            f"s35, picture {row}"
        )
        assert abs(_shown(page, "#map-tip svg") - (40 + 2 * row)) <= 3
    page.locator("#map-identity").select_option(label="all")
    assert page.locator("#map-strip button").count() == 0
    assert page.locator("#map.lit").count() == 0


def test_without_pictures_the_points_still_tell_who_they_are(visit, result):
    page = visit(result, shown=None)
    page.locator("#map").scroll_into_view_if_needed()
    page.mouse.move(*_point(page, result, 12))
    assert page.locator("#map-tip").inner_text().split() == ["s32", "row", "12"]
    assert page.locator("#map-tip svg").count() == 0
