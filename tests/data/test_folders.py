import os
import sys
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from cospair.data import folders
from cospair.data.folders import image_folder


def save(path):
    """Write a small picture, and its folder where there is none."""
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (6, 4), 100).save(path)
    return path


def test_a_folder_is_read_in_natural_order(tmp_path):
    for name in ("s10", "s2", "S1"):
        for picture in ("10.png", "9.png", "b.png"):
            save(tmp_path / name / picture)
    images = image_folder(tmp_path)
    assert images.name == tmp_path.name
    assert images.identities == ("S1", "s2", "s10")
    assert_array_equal(images.labels, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert [Path(path).name for path in images.pictures[:3]] == ["9.png", "10.png", "b.png"]
    assert images.skipped == ()


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
        "'ann/nested.png' was left out: it is a folder within an identity's; give the folder that "
        "holds the identities.",
        f"'ann/notes.txt' was left out: its suffix is none of {suffixes}.",
        "'ann/pipe.png' was left out: it is not a file.",
        "'ann/text.jpg' was left out: it is not a picture that Pillow can read.",
        "'readme.txt' was left out: it lies beside the identity folders, not in one.",
        "'zoe' was left out: it holds no readable picture.",
    )


def test_identity_left_without_a_picture_is_dropped_and_labels_close_up(tmp_path):
    save(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_text("no")
    save(tmp_path / "c" / "1.png")
    images = image_folder(tmp_path)
    assert images.identities == ("a", "c")
    assert_array_equal(images.labels, [0, 1])
    assert images.skipped[-1] == "'b' was left out: it holds no readable picture."


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
        save(tmp_path / name / "фото №1.png")
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
    save(two_people / "ann" / "2.png").chmod(0)
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

    save(two_people / "cat" / "1.png")
    monkeypatch.setattr(folders.os, "listdir", listdir)
    images = image_folder(two_people)
    assert images.identities == ("ann", "cat")
    assert images.skipped == ("'bob' was left out: Permission denied.",)


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
    save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"holds no folder; arrange the files as .*/identity/"):
        image_folder(tmp_path)


def test_a_folder_without_readable_pictures_is_refused(tmp_path):
    (tmp_path / "ann").mkdir()
    with pytest.raises(ValueError, match=r"holds no readable picture \(1 left out; 'ann' was"):
        image_folder(tmp_path)


def test_a_folder_one_level_too_high_is_refused(tmp_path):
    (tmp_path / "people" / "ann").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no readable picture .* it is a folder within an ident"):
        image_folder(tmp_path)


def test_a_single_identity_is_refused(tmp_path):
    save(tmp_path / "ann" / "1.png")
    with pytest.raises(ValueError, match="holds only one identity with a readable picture;"):
        image_folder(tmp_path)


def test_a_root_that_cannot_be_listed_is_refused(two_people, monkeypatch):
    def listdir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(folders.os, "listdir", listdir)
    with pytest.raises(ValueError, match=r"cannot be listed \(Permission denied\)"):
        image_folder(two_people)


@pytest.mark.parametrize("root", [None, 3, b"faces"])
def test_a_root_that_is_no_path_is_refused(root):
    with pytest.raises(TypeError, match="root must be a path; got"):
        image_folder(root)


def test_relative_paths_survive_a_change_of_folder(two_people, monkeypatch):
    monkeypatch.chdir(two_people.parent)
    images = image_folder(two_people.name)
    monkeypatch.chdir("/")
    assert images.picture(0).size == (6, 4)
