import numpy as np
import pytest
from PIL import Image

from cospair.data.decoding import decoded, fault_of, read_picture


def saved(path, picture, **options):
    picture.save(path, **options)
    return path


def read(path):
    """Decode a file in which no fault is seen."""
    assert fault_of(path) == ""
    return decoded(path)


def pixels(picture):
    return np.asarray(picture).tolist()


def grey(value=100, size=(6, 4)):
    return Image.new("L", size, value)


def noise(size=(64, 48)):
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3))
    return Image.fromarray(values.astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {}),
        ("a.JPEG", {}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.bmp", {}),
        ("a.pgm", {}),
        ("a.tif", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("a.gif", {}),
    ],
)
def test_every_suffix_is_read(tmp_path, name, options):
    picture = read(saved(tmp_path / name, grey(99), **options))
    assert picture.mode in ("L", "RGB")
    assert picture.size == (6, 4)
    assert set(np.asarray(picture).ravel().tolist()) == {99}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cut.jpg", {}),
        ("cut.jpg", {"progressive": True}),
        ("cut.png", {}),
        ("cut.webp", {}),
        ("cut.gif", {}),
        ("cut.bmp", {}),
        ("cut.tif", {}),
        ("cut.tif", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_picture_has_a_fault(tmp_path, name, options, share):
    path = saved(tmp_path / name, noise(), **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert fault_of(path) != ""


def test_a_png_whose_checksum_is_wrong_has_a_fault(tmp_path):
    path = saved(tmp_path / "sum.png", noise())
    damaged = bytearray(path.read_bytes())
    damaged[-13] ^= 1  # the last byte before IEND's 12: the checksum of the pixels
    path.write_bytes(damaged)
    assert fault_of(path).startswith("broken PNG file")


def test_a_picture_without_a_fault_can_be_decoded(tmp_path):
    # Damage in the middle: whichever files are accepted, none may fail later.
    path = saved(tmp_path / "damaged.jpg", noise(), progressive=True)
    whole = path.read_bytes()
    accepted = 0
    generator = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        if fault_of(path) == "":
            assert decoded(path).mode in ("L", "RGB")
            accepted += 1
    assert 0 < accepted < 40


@pytest.mark.parametrize("size", [(15, 10), (50, 50)])  # Pillow warns of one, refuses the other
def test_a_decompression_bomb_is_a_fault(tmp_path, monkeypatch, size):
    path = saved(tmp_path / "bomb.png", grey(size=size))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "decompression bomb" in fault_of(path)


def test_transparency_lies_over_white(tmp_path):
    picture = Image.new("RGBA", (2, 1))
    picture.putpixel((0, 0), (255, 0, 0, 0))  # wholly transparent: white
    picture.putpixel((1, 0), (255, 0, 0, 51))  # a fifth: 255, 0.8 * 255, 0.8 * 255
    path = saved(tmp_path / "rgba.png", picture)
    assert pixels(read(path)) == [[[255, 255, 255], [255, 204, 204]]]


def test_grey_with_transparency_stays_grey(tmp_path):
    picture = Image.new("LA", (2, 1))
    picture.putpixel((0, 0), (0, 0))
    picture.putpixel((1, 0), (0, 255))
    path = saved(tmp_path / "la.png", picture)
    result = read(path)
    assert (result.mode, pixels(result)) == ("L", [[255, 0]])


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [({}, [[10, 20, 30], [200, 0, 0]]), ({"transparency": 1}, [[10, 20, 30], [255, 255, 255]])],
)
@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_a_palette_is_resolved(tmp_path, transparency, expected, suffix):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 0, 0])
    picture.putpixel((1, 0), 1)
    path = saved(tmp_path / f"palette.{suffix}", picture, **transparency)
    result = read(path)
    assert (result.mode, pixels(result)) == ("RGB", [expected])


def test_the_first_frame_of_a_gif_counts(tmp_path):
    frames = [grey(value) for value in (10, 200)]
    path = saved(tmp_path / "film.gif", frames[0], save_all=True, append_images=frames[1:])
    assert np.unique(np.asarray(read(path))).tolist() == [10]


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_sixteen_bits_become_eight(tmp_path, name):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    if name.endswith("pgm"):  # by hand, since older Pillow reads these but does not write them
        (tmp_path / name).write_bytes(b"P5 6 1 65535\n" + values.astype(">u2").tobytes())
    else:
        saved(tmp_path / name, Image.fromarray(values))
    result = read(tmp_path / name)
    # value / 257 to the nearest: 128 / 257 = 0.498, 129 / 257 = 0.502, 32768 / 257 = 127.5
    assert (result.mode, pixels(result)) == ("L", [[0, 0, 1, 1, 128, 255]])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_a_picture_without_a_known_white_has_a_fault(tmp_path, dtype):
    path = saved(tmp_path / "deep.tif", Image.fromarray(np.ones((2, 2), dtype=dtype)))
    assert fault_of(path).startswith("it has 32 bits a pixel")


def test_one_bit_becomes_black_and_white(tmp_path):
    path = saved(tmp_path / "bit.png", Image.fromarray(np.array([[False, True]])))
    result = read(path)
    assert (result.mode, pixels(result)) == ("L", [[0, 255]])


def test_cmyk_becomes_rgb(tmp_path):
    path = saved(tmp_path / "ink.tif", Image.new("CMYK", (1, 1), (0, 255, 255, 0)))
    assert pixels(read(path)) == [[[255, 0, 0]]]
    path = saved(tmp_path / "ink.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    red = np.asarray(read(path))[0, 0].astype(int)
    # JPEG keeps flat colour to within a few levels.
    np.testing.assert_allclose(red, [255, 0, 0], atol=4)


# What undoes each orientation of EXIF: where row 0 and column 0 of the file belong.
UPRIGHT = {
    1: lambda rows: rows,  # top, left
    2: lambda rows: rows[:, ::-1],  # top, right
    3: lambda rows: rows[::-1, ::-1],  # bottom, right
    4: lambda rows: rows[::-1],  # bottom, left
    5: lambda rows: rows.T,  # left, top
    6: lambda rows: rows.T[:, ::-1],  # right, top
    7: lambda rows: rows.T[::-1, ::-1],  # right, bottom
    8: lambda rows: rows.T[::-1],  # left, bottom
}


@pytest.mark.parametrize("orientation", list(UPRIGHT))
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("jpg", {}),
        ("png", {}),
        ("webp", {"lossless": True}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
    ],
)
def test_exif_orientation_is_applied(tmp_path, suffix, options, orientation):
    stored = np.zeros((16, 32), dtype=np.uint8)
    stored[:8, :8] = 255  # the corner at row 0, column 0
    stored[:8, 8:16] = 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"turned.{suffix}", Image.fromarray(stored), exif=exif, **options)
    result = np.asarray(read(path).convert("L")).astype(int)
    # JPEG keeps flat 8 x 8 blocks to within a few levels.
    np.testing.assert_allclose(result, UPRIGHT[orientation](stored), atol=4)


def test_a_postscript_file_called_jpg_is_not_opened_as_postscript(tmp_path):
    path = saved(tmp_path / "script.jpg", noise(), format="EPS")
    assert fault_of(path) == "it is not a picture that Pillow can read"


def test_read_picture_gives_the_picture_or_says_why_not(tmp_path):
    Image.new("RGBA", (4, 3), (255, 0, 0, 255)).save(tmp_path / "red.png")
    picture = read_picture(tmp_path / "red.png")
    assert (picture.mode, picture.size, picture.getpixel((0, 0))) == ("RGB", (4, 3), (255, 0, 0))
    (tmp_path / "words.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"must be a readable picture file, got .*words\.jpg: "):
        read_picture(tmp_path / "words.jpg")
    with pytest.raises(ValueError, match=r"got .*none\.png: there is no such file; check the path"):
        read_picture(tmp_path / "none.png")
