import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from cospair.data.splits import identity_folds, split_identities

FORTY = np.repeat(np.arange(40), 10)


labelled = st.lists(st.integers(-5, 12), min_size=2, max_size=60).filter(
    lambda labels: len(set(labels)) >= 2
)


seeds = st.integers(0, 2**70)


@settings(deadline=None)
@given(labels=labelled, seed=seeds, data=st.data())
def test_sides_share_no_identity_and_cover_every_picture(labels, seed, data):
    number = data.draw(st.integers(1, len(set(labels)) - 1))
    train, held = split_identities(labels, test=number, seed=seed)
    assert train.dtype == held.dtype == np.int64
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()
    kinds = [{labels[row] for row in side} for side in (train, held)]
    assert kinds[0] & kinds[1] == set()
    assert len(kinds[1]) == number


@settings(deadline=None)
@given(labels=labelled, seed=seeds, data=st.data())
def test_which_identities_are_held_ignores_order_and_number_of_pictures(labels, seed, data):
    number = data.draw(st.integers(1, len(set(labels)) - 1))
    other = data.draw(st.permutations(labels + labels[:3]))
    first = split_identities(labels, test=number, seed=seed)[1]
    second = split_identities(other, test=number, seed=seed)[1]
    assert {labels[row] for row in first} == {other[row] for row in second}


@settings(deadline=None)
@given(labels=labelled, seed=seeds, data=st.data())
def test_every_identity_is_held_in_exactly_one_fold(labels, seed, data):
    folds = data.draw(st.integers(2, len(set(labels))))
    pairs = identity_folds(labels, folds, seed=seed)
    assert len(pairs) == folds
    assert sorted(row for _, held in pairs for row in held) == list(range(len(labels)))
    sizes = []
    for train, held in pairs:
        assert sorted([*train, *held]) == list(range(len(labels)))
        kinds = [{labels[row] for row in side} for side in (train, held)]
        assert kinds[0] & kinds[1] == set()
        sizes.append(len(kinds[1]))
    assert sum(sizes) == len(set(labels))
    assert max(sizes) - min(sizes) <= 1


def test_seed_decides():
    first = split_identities(FORTY, test=10, seed=3)
    again = split_identities(FORTY, test=10, seed=3)
    other = split_identities(FORTY, test=10, seed=4)
    assert_array_equal(first[1], again[1])
    assert first[1].tolist() != other[1].tolist()
    folds = [[held.tolist() for _, held in identity_folds(FORTY, 4, seed=s)] for s in (3, 3, 4)]
    assert folds[0] == folds[1] != folds[2]


@pytest.mark.parametrize(
    ("test", "number"),
    [(10, 10), (0.25, 10), (0.5, 20), (0.0125, 1), (0.9874, 39), (np.int32(3), 3)],
)
def test_a_number_or_a_share_of_identities(test, number):
    train, held = split_identities(FORTY, test=test, seed=0)
    assert (len(train), len(held)) == (400 - 10 * number, 10 * number)


def test_halves_round_up():
    assert len(split_identities(np.arange(5), test=0.5, seed=0)[1]) == 3


def test_tensors_serve_as_labels():
    expected = split_identities(FORTY, test=10, seed=0)
    found = split_identities(torch.from_numpy(FORTY), test=10, seed=0)
    assert_array_equal(found[0], expected[0])
    assert_array_equal(found[1], expected[1])


def test_labels_above_what_a_float_holds_stay_apart():
    train, held = split_identities([2**53, 2**53 + 1], test=1, seed=0)
    assert (len(train), len(held)) == (1, 1)


@pytest.mark.parametrize(
    ("test", "error", "words"),
    [
        (0, ValueError, "at least one identity on either side; got 0, which holds out 0 of 40"),
        (40, ValueError, "got 40, which holds out 40 of 40"),
        (-1, ValueError, "got -1"),
        (0.001, ValueError, r"got 0\.001, which holds out 0 of 40"),
        (0.99, ValueError, "holds out 40 of 40"),
        (0.0, ValueError, r"above 0 and below 1 where it is a share; got 0\.0"),
        (1.0, ValueError, r"above 0 and below 1 where it is a share; got 1\.0; pass an int"),
        (float("nan"), ValueError, "got nan"),
        (True, TypeError, "got True"),
        ("10", TypeError, "got '10'; pass for example 10 or"),
    ],
)
def test_a_test_side_that_cannot_be_is_refused(test, error, words):
    with pytest.raises(error, match=words):
        split_identities(FORTY, test=test, seed=0)


@pytest.mark.parametrize(
    ("folds", "error", "words"),
    [
        (1, ValueError, "folds must be at least 2; got 1"),
        (41, ValueError, "got 41 folds for 40 identities; ask for fewer"),
        (2.0, TypeError, r"folds must be an int; got 2\.0"),
        (True, TypeError, "folds must be an int; got True"),
    ],
)
def test_folds_that_cannot_be_are_refused(folds, error, words):
    with pytest.raises(error, match=words):
        identity_folds(FORTY, folds, seed=0)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.zeros((2, 2), int), ValueError, r"one-dimensional.*got shape \(2, 2\)"),
        (3, ValueError, r"one-dimensional.*got shape \(\)"),
        ([0.0, 1.0], TypeError, r"labels must be integers; got dtype float64; number"),
        (["ann", "bob"], TypeError, "labels must be integers; got dtype <U3; number"),
        ([True, False], TypeError, "labels must be integers; got dtype bool"),
        ([], ValueError, "holds out 1 of 0"),
        ([7, 7], ValueError, "holds out 1 of 1"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels, error, words):
    with pytest.raises(error, match=words):
        split_identities(labels, test=1, seed=0)


@pytest.mark.parametrize(
    ("seed", "error", "words"),
    [
        (-1, ValueError, "seed must be at least 0; got -1"),
        (0.5, TypeError, r"seed must be an int; got 0\.5"),
        (None, TypeError, "seed must be an int; got None"),
    ],
)
def test_seeds_that_cannot_be_are_refused(seed, error, words):
    with pytest.raises(error, match=words):
        split_identities(FORTY, test=1, seed=seed)
