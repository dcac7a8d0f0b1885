from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cospair.report.sprite_sheet import SHEET_BYTES, TILES, sprite_sheet


def _decode(sheet):
    return Image.open(BytesIO(b64decode(sheet.address.partition(",")[2])))


@pytest.mark.parametrize("number", [1, 2, 5, 9, 100])
def test_each_picture_stands_in_its_place(number):
    tones = np.linspace(20, 240, number).round().astype(int).tolist()
    sheet = sprite_sheet(lambda row: Image.new("L", (60, 60), tones[row]), range(number))
    drawn = np.asarray(_decode(sheet).convert("L")).astype(int)
    assert drawn.shape == (sheet.rows * sheet.height, sheet.columns * sheet.width)
    for place, tone in enumerate(tones):
        row, column = divmod(place, sheet.columns)
        middle = (row * sheet.height + sheet.height // 2, column * sheet.width + sheet.width // 2)
        # a lossy format may move a flat tone by a little
        assert abs(drawn[middle] - tone) <= 3


def test_pictures_of_one_shape_leave_no_bars():
    sheet = sprite_sheet(lambda row: Image.new("L", (20, 80), 255), range(4))
    assert sheet.height == 4 * sheet.width
    assert np.asarray(_decode(sheet).convert("L")).min() > 250


def test_a_narrow_picture_stands_in_the_middle_of_its_tile():
    shapes = [(20, 80), (80, 20)]
    sheet = sprite_sheet(lambda row: Image.new("RGB", shapes[row], "white"), [0, 1])
    drawn = np.asarray(_decode(sheet).convert("L"))
    lit = np.flatnonzero(drawn[sheet.height // 2, : sheet.width] > 128)
    assert (lit[0] + lit[-1] + 1) / 2 == pytest.approx(sheet.width / 2, abs=1)


def test_bytes_are_bounded_by_smaller_tiles():
    rng = np.random.default_rng(0)
    noise = [
        Image.fromarray(rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)) for _ in range(20)
    ]
    sheet = sprite_sheet(lambda row: noise[row % 20], range(400))
    assert sheet.width < TILES[0]
    assert len(b64decode(sheet.address.partition(",")[2])) <= SHEET_BYTES


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_is_taken(mode):
    assert sprite_sheet(lambda row: Image.new(mode, (9, 12)), [0, 1]).columns == 1
