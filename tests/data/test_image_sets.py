import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cospair.data import ImageSet, faces, image_folder


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
    assert np.asarray(part.picture(0)).tolist() == [[18, 19, 20], [21, 22, 23]]


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
