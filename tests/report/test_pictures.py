from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cospair.report.pictures import MOST_BYTES, POOL_BYTES, Pool, thumbnail


def _decode(shown):
    return Image.open(BytesIO(b64decode(shown.address.partition(",")[2])))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_is_taken(mode):
    shown = thumbnail(Image.new(mode, (92, 112)))
    assert (shown.width, shown.height) == _decode(shown).size == (92, 112)


def test_a_large_picture_is_shrunk_and_the_original_left_alone():
    picture = Image.new("RGB", (1000, 500), "teal")
    shown = thumbnail(picture)
    assert shown.address.startswith("data:image/")
    assert (shown.width, shown.height) == (192, 96)
    assert picture.size == (1000, 500)


def test_a_tiny_picture_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, size=(8, 8), dtype=np.uint8)
    shown = thumbnail(Image.fromarray(pixels))
    np.testing.assert_array_equal(np.asarray(_decode(shown)), pixels)


@pytest.mark.parametrize("webp", [True, False])
def test_bytes_are_bounded_even_for_noise(webp, monkeypatch):
    from PIL import features

    monkeypatch.setattr(features, "check", lambda name: webp)
    noise = np.random.default_rng(0).integers(0, 256, size=(300, 300, 3), dtype=np.uint8)
    shown = thumbnail(Image.fromarray(noise))
    assert len(b64decode(shown.address.partition(",")[2])) <= MOST_BYTES


def test_a_pool_holds_each_picture_once():
    asked = []

    def picture(row):
        asked.append(row)
        return Image.new("L", (92, 112), row)

    pool = Pool(picture, [3, 1, 3, 1, 2])
    assert asked == [1, 2, 3]
    assert pool.definitions().count("<image ") == 3
    assert pool.show(2, 'a <b> "c"') == (
        '<svg role="img" aria-label="a &lt;b&gt; &quot;c&quot;" viewBox="0 0 92 112">'
        '<use href="#picture-2"/></svg>'
    )


def test_a_pool_stays_small_whatever_it_holds():
    noise = np.random.default_rng(0).integers(0, 256, size=(200, 200, 3), dtype=np.uint8)
    pool = Pool(lambda row: Image.fromarray(noise), range(240))
    # as base64, with the markup around it
    assert len(pool.definitions()) < 1.6 * POOL_BYTES


def test_tiny_pictures_are_shown_in_blocks():
    assert 'class="blocks"' in Pool(lambda row: Image.new("L", (8, 8)), [0]).show(0, "digit")
