"""What a user hands to this room, checked once and turned into arrays that figures count with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = ArrayLike | torch.Tensor


def as_array(values: Array) -> NDArray[Any]:
    """Anything array-like as NumPy; a tensor leaves graph and device (which synchronises)."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.double() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def real_numbers(name: str, values: Array, dimensions: int) -> NDArray[np.float64]:
    """A finite float64 copy of the given dimensions, or an error that names the first bad row."""
    array = as_array(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be real numbers; got dtype {array.dtype}; convert them to floats."
        )
    if array.ndim != dimensions:
        shape = "[n, d]" if dimensions == 2 else "[p]"
        raise ValueError(
            f"{name} must be {shape}; got shape {array.shape}; reshape them to {shape}."
        )
    if dimensions == 2 and not array.shape[1]:
        raise ValueError(f"{name} must have features; got shape {array.shape}; pass [n, d], d > 0.")
    array = array.astype(np.float64) + 0.0  # -0.0 and 0.0 become one score
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(np.argwhere(bad)[0])
        place = f"in row {where[0]}" if dimensions == 2 else f"at position {where[0]}"
        raise ValueError(f"{name} must be finite; got {array[where]} {place}; repair or drop it.")
    return array


def unit_rows(name: str, embeddings: Array) -> NDArray[np.float64]:
    """Rows of length 1; zero rows stay zero. The largest entry goes first, against overflow."""
    rows = real_numbers(name, embeddings, 2)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    rows = rows / np.where(largest > 0, largest, 1.0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def identity_labels(name: str, labels: Array, count: int) -> NDArray[Any]:
    """Labels as int64 or strings [count]; floats are refused, because they collide."""
    array = as_array(labels)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype == object and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "biuU":
        raise TypeError(
            f"{name} must be integers or strings; got dtype {array.dtype}; number the identities."
        )
    if array.shape != (count,):
        raise ValueError(
            f"{name} must be [n] with one label per row; got shape {array.shape} for {count} rows; "
            "pass one label for each embedding."
        )
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit int64; got {array.max()}; number the identities from 0.")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def checked_pairs(scores: Array, same: Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores [p] and genuine flags [p] of equal length, both kinds present."""
    values, flags = flagged_scores(scores, same)
    genuine = int(flags.sum())
    check_both_kinds(genuine, len(flags) - genuine)
    return values, flags


def identities_of_pairs(identities: Array, pairs: int) -> NDArray[np.int64]:
    """Identities of both pictures of each pair, [p, 2], as codes from 0 without gaps."""
    people = as_array(identities)
    if people.shape != (pairs, 2) or not pairs:
        raise ValueError(
            f"identities must be [p, 2] for scores [p] with p > 0; got {people.shape} for "
            f"{(pairs,)}; pass the identities of both pictures of every pair."
        )
    labels = identity_labels("identities", people.ravel(), people.size)
    return np.unique(labels, return_inverse=True)[1].reshape(people.shape)


def check_share(name: str, value: float) -> None:
    """Refuse a rate that is asked for but lies outside (0, 1]."""
    if not 0 < value <= 1:
        raise ValueError(f"{name} must lie in (0, 1]; got {value!r}; pass a share such as 0.01.")


def check_most(name: str, most: int) -> None:
    """Refuse a list's length that is no number of pairs."""
    if most < 0:
        raise ValueError(f"{name} must be at least 0; got {most!r}; pass a list's length.")


def check_resamples(resamples: int) -> None:
    """Refuse a number of resamples that cannot place an interval."""
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer):
        raise TypeError(f"resamples must be an integer; got {resamples!r}; pass 0 or 100 and more.")
    if resamples != 0 and resamples < 100:
        raise ValueError(
            f"resamples must be 0 or at least 100; got {resamples}; raise it, fewer cannot place a "
            "95 % interval."
        )


def flagged_scores(scores: Array, same: Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores [p] and genuine flags [p] of equal length, of one kind or none as well."""
    values, flags = real_numbers("scores", scores, 1), as_array(same)
    if flags.size and not np.isin(flags, (0, 1)).all():
        raise TypeError(
            "same must hold True and False, or 1 and 0; got other values; pass target > 0."
        )
    if flags.shape != values.shape:
        raise ValueError(
            f"same must hold one truth value per score; got shape {flags.shape} for "
            f"{values.shape}; pass arrays of equal length."
        )
    return values, flags.astype(np.bool_)


def check_both_kinds(genuine: int, impostors: int) -> None:
    """Refuse pairs of which one kind is missing."""
    if not genuine or not impostors:
        raise ValueError(
            f"scores must come from genuine and impostor pairs; got {genuine} genuine and "
            f"{impostors} impostor pairs; add pictures that give the missing kind."
        )


def check_people_match(same: NDArray[np.bool_], people: NDArray[Any]) -> None:
    """Refuse identities [p, 2] that contradict the genuine flags [p]."""
    if not np.array_equal(people[:, 0] == people[:, 1], same):
        raise ValueError(
            "identities must be equal where same is True and only there; got others; pass the "
            "identities of the pairs' own pictures."
        )


def check_named(name: str, given: str, names: tuple[str, ...]) -> None:
    """Refuse an option that is none of the known ones."""
    if given not in names:
        raise ValueError(
            f"{name} must be one of {', '.join(names)}; got {given!r}; pass one of them."
        )


def check_ranks(name: str, ranks: Sequence[int]) -> None:
    """Refuse ranks that are not whole numbers from 1 up, or none."""
    if not len(ranks) or any(isinstance(k, bool) or int(k) != k or k < 1 for k in ranks):
        raise ValueError(
            f"{name} must hold ranks from 1 up; got {tuple(ranks)!r}; pass ranks such as (1, 5)."
        )
