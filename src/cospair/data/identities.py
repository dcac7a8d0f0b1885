"""Identities, cameras and names as files hold them: 64-bit integers or strings, never floats.

Decisions:
- Text is read as integers where every value is one in its plain form (no leading zero, no sign but
  a minus) and fits 64 bits; else all of them stay strings, leading zeros included.
- Where every value is a number and one has a decimal point, a program has turned identities into
  floats on the way: an error, because floats collide.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_INT64 = np.iinfo(np.int64)


def identity_column(
    name: str, values: NDArray[Any], *, is_text: bool, place: Callable[[int], str]
) -> NDArray[Any]:
    """Labels or cameras [n] as int64 or strings.

    Args:
        name: What they are, such as "labels", for the sentences.
        values: The column as its file gave it.
        is_text: Whether every value is text whose type has to be read off it.
        place: Where a row stands, for the sentences.

    Returns:
        int64 or str [n].

    Raises:
        TypeError: If they are floats, or neither integers nor strings.
        ValueError: If they are not one-dimensional, one is empty, or one does not fit int64.
    """
    if values.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional; got shape {values.shape}; pass one for each row"
        )
    if is_text:
        values = _typed(name, values, place)
    if values.dtype.kind == "f":
        raise TypeError(
            f"{name} must be integers or strings; got floats such as {values[0]}, which collide; "
            "save them as int64"
        )
    if values.dtype.kind not in "biuU":
        raise TypeError(
            f"{name} must be integers or strings; got dtype {values.dtype}; convert them"
        )
    if values.dtype.kind == "U":
        _check_all(name, values == "", "must not be empty", values, place)
        return values
    if values.dtype.kind == "u":
        _check_all(name, values > _INT64.max, "must fit 64 bits with a sign", values, place)
    return values.astype(np.int64)


def unique_names(values: NDArray[Any], *, place: Callable[[int], str]) -> NDArray[np.str_]:
    """Names of pictures [n] as strings, each one once."""
    names = values.astype(np.str_)
    order = np.argsort(names, kind="stable")
    again = np.flatnonzero(names[order][1:] == names[order][:-1])
    if len(again):
        first, second = sorted(order[again[0] : again[0] + 2].tolist())
        raise ValueError(
            f"names must be those of different pictures; got {str(names[first])!r} in "
            f"{place(first)} and {place(second)}; drop one"
        )
    return names


def _typed(name: str, text: NDArray[Any], place: Callable[[int], str]) -> NDArray[Any]:
    """Text as int64 where all of it is integers in plain form, else as it is."""
    distinct = np.unique(text).tolist()
    if all(_INTEGER.fullmatch(value) for value in distinct):
        whole = [int(value) for value in distinct]
        return text.astype(np.int64) if _fit(whole) else text
    if all(_NUMBER.fullmatch(value) for value in distinct):
        pointed = np.char.find(text.astype(np.str_), ".") >= 0
        if pointed.any():
            row = int(np.flatnonzero(pointed)[0])
            raise TypeError(
                f"{name} must be integers or strings; got the float {text[row]} in {place(row)}, "
                "and floats collide; write whole numbers or names"
            )
    return text


def _fit(values: list[int]) -> bool:
    return min(values) >= _INT64.min and max(values) <= _INT64.max


def _check_all(
    name: str, bad: NDArray[Any], rule: str, values: NDArray[Any], place: Callable[[int], str]
) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{name} {rule}; got {values[row].item()!r} in {place(row)}; write whole numbers or "
            "names"
        )
