"""What a user hands to this room, checked once: labels, whole numbers and seeds."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike


def rows_by_identity(labels: ArrayLike) -> list[np.ndarray]:
    """List the rows of each identity, identities in ascending order of their label.

    Args:
        labels: Integer [n]; any integers, also a tensor on the CPU.

    Returns:
        One ascending int64 array of rows an identity.

    Raises:
        TypeError: If labels are not integers.
        ValueError: If labels are not one-dimensional.
    """
    values = np.asarray(labels)
    if values.ndim != 1:
        raise ValueError(
            f"labels must be one-dimensional, one integer a picture; got shape {values.shape}; "
            f"flatten them or pass one column"
        )
    if values.size == 0:
        return []
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers; got dtype {values.dtype}; number the identities with "
            f"np.unique(labels, return_inverse=True)[1]"
        )
    order = np.argsort(values, kind="stable").astype(np.int64)
    starts = np.flatnonzero(np.diff(values[order])) + 1
    return np.split(order, starts)


def whole_number(name: str, value: int, *, least: int) -> int:
    """Return the int given for the option `name`, after checking its type and lower bound."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name} must be an int; got {value!r}; pass a whole number such as {least}"
        )
    if value < least:
        raise ValueError(f"{name} must be at least {least}; got {value!r}; raise it")
    return int(value)


def random_generator(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of `seed` and, under it, of `key` (an epoch): independent streams."""
    seed = whole_number("seed", seed, least=0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
