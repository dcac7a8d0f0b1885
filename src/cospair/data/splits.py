"""Splits by identity: a person in training is never seen in the test.

Decisions:
- Which identities are held out depends on the set of labels, the size and the seed alone, not on
  the order or number of the pictures. A data set that gains a picture keeps its split.
- Row indices come back ascending, as int64.
"""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike

from cospair.data.inputs import random_generator, rows_by_identity, whole_number


def split_identities(
    labels: ArrayLike, *, test: int | float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split pictures into training and test so that no identity is in both.

    Args:
        labels: Integer [n], the identity of each picture; any integers.
        test: How many identities to hold out: an int is their number, from 1 to one less than
            there are; a float is their share, above 0 and below 1, rounded to the nearest number
            (halves up).
        seed: At least 0; the same labels, test and seed give the same split.

    Returns:
        (train_indices, test_indices), int64, ascending; together they are 0..n-1.

    Raises:
        TypeError: If labels are not integers, or test or seed is of another type.
        ValueError: If either side would be left without an identity, or seed is negative.

    Example:
        >>> train, held = split_identities([7, 7, 8, 8, 9, 9], test=1, seed=0)
        >>> len(train), len(held)
        (4, 2)
    """
    groups = rows_by_identity(labels)
    number = _identities_to_hold(test, len(groups))
    order = random_generator(seed).permutation(len(groups))
    return _two_sides(groups, order[:number])


def identity_folds(
    labels: ArrayLike, folds: int, *, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut the identities into folds, each held out once while the others train.

    Args:
        labels: Integer [n], the identity of each picture; any integers.
        folds: From 2 to the number of identities. Folds differ by one identity at most.
        seed: At least 0; the same labels, folds and seed give the same folds.

    Returns:
        One (train_indices, held_indices) a fold, int64, ascending; every identity is held exactly
        once.

    Raises:
        TypeError: If labels are not integers, or folds or seed is not an int.
        ValueError: If folds is below 2 or above the number of identities, or seed is negative.

    Example:
        >>> [held.tolist() for _, held in identity_folds([0, 0, 1], 2, seed=0)]
        [[0, 1], [2]]
    """
    groups = rows_by_identity(labels)
    folds = whole_number("folds", folds, least=2)
    if folds > len(groups):
        raise ValueError(
            f"folds must be at most the number of identities; got {folds} folds for {len(groups)} "
            f"identities; ask for fewer folds or give pictures of more identities"
        )
    order = random_generator(seed).permutation(len(groups))
    return [_two_sides(groups, held) for held in np.array_split(order, folds)]


def _identities_to_hold(test: int | float, identities: int) -> int:
    """Turn a number or a share of identities into a number that leaves both sides some."""
    if isinstance(test, bool) or not isinstance(test, Real):
        raise TypeError(
            f"test must be a number of identities (int) or a share of them (float); got {test!r}; "
            f"pass for example 10 or 0.25"
        )
    if isinstance(test, Integral):
        number = int(test)
    elif 0 < test < 1:
        number = math.floor(float(test) * identities + 0.5)
    else:
        raise ValueError(
            f"test must lie above 0 and below 1 where it is a share; got {test!r}; "
            f"pass an int to ask for a number of identities"
        )
    if not 0 < number < identities:
        raise ValueError(
            f"test must leave at least one identity on either side; got {test!r}, which holds out "
            f"{number} of {identities}; change it or give pictures of more identities"
        )
    return number


def _two_sides(groups: list[np.ndarray], held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ascending rows of the identities outside and inside `held`."""
    inside = np.zeros(sum(len(rows) for rows in groups), dtype=bool)
    inside[np.concatenate([groups[identity] for identity in held])] = True
    return np.flatnonzero(~inside), np.flatnonzero(inside)
