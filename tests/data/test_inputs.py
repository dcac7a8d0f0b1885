import numpy as np
import pytest

from cospair.data.inputs import random_generator, rows_by_identity, whole_number


def test_rows_by_identity_by_hand():
    groups = rows_by_identity([5, -1, 5, 2, -1])
    assert [rows.tolist() for rows in groups] == [[1, 4], [3], [0, 2]]
    assert {rows.dtype for rows in groups} == {np.dtype(np.int64)}
    assert rows_by_identity([]) == []


def test_streams_of_a_seed_differ_by_key():
    drawn = [random_generator(1, *key).random() for key in ((), (0,), (1,), (0, 0))]
    assert len(set(drawn)) == 4


@pytest.mark.parametrize("value", [3, np.int32(3)])
def test_a_whole_number_becomes_an_int(value):
    assert type(whole_number("k", value, least=3)) is int


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (2, ValueError, "k must be at least 3; got 2; raise it"),
        (4.0, TypeError, r"k must be an int; got 4\.0; pass a whole number such as 3"),
        (True, TypeError, "k must be an int; got True"),
    ],
)
def test_what_is_no_whole_number_is_refused(value, error, words):
    with pytest.raises(error, match=words):
        whole_number("k", value, least=3)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.zeros((2, 2), int), ValueError, r"one-dimensional.*got shape \(2, 2\)"),
        ([0.0, 1.0], TypeError, r"labels must be integers; got dtype float64; number"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels, error, words):
    with pytest.raises(error, match=words):
        rows_by_identity(labels)
