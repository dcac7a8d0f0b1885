"""Scores of pairs, as CSV or Parquet files hold them.

Decisions:
- Whether a pair is genuine comes from a column of truth (1/0, +1/-1 or true/false), from the two
  identities, or from both, which must then agree.
- Identities and names of pictures are optional; a pair of pictures stands once, in either order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.data.identities import identity_column
from cospair.data.input_files import sha256_of
from cospair.data.tables import Table, checked_roles, numbers, open_table

ROLES = ("score", "same", "first", "second", "first_identity", "second_identity")
_TRUE = ("1", "+1", "1.0", "true")
_FALSE = ("0", "0.0", "false")
_MINUS = ("-1", "-1.0")


# Comparing arrays gives arrays, so a generated == would raise.
@dataclass(frozen=True, eq=False)
class ScoredPairs:
    """Scores of pairs and what they should have been.

    Attributes:
        scores: float64 [p], finite, higher = more alike.
        same: bool [p], True = genuine; both kinds are there.
        identities: int64 or str [p, 2], or None.
        pictures: str [p, 2], the names of both pictures, or None.
        source: The file.
        sha256: Of the file.
    """

    scores: NDArray[np.float64]
    same: NDArray[np.bool_]
    identities: NDArray[Any] | None = None
    pictures: NDArray[np.str_] | None = None
    source: str = ""
    sha256: str = ""

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.scores)


def read_scores(
    path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None
) -> ScoredPairs:
    r"""Read scored pairs from a table.

    Args:
        path: A CSV file with a header, or a Parquet file, with a column "score" and either "same"
            (or "label"): 1/0, +1/-1 or true/false; or "first_identity" and "second_identity"; or
            both. "first" and "second", where they are there, name the two pictures.
        columns: Other names of the columns, by role: "score", "same", "first", "second",
            "first_identity", "second_identity".

    Returns:
        The pairs, in the file's order.

    Raises:
        TypeError: If identities are floats.
        ValueError: If the file is missing, empty or damaged, a column is missing, a score is not a
            finite number, truth values are of no known kind or disagree with the identities, a
            pair stands twice, or all pairs are of one kind.
        RuntimeError: If it is Parquet and pyarrow is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> place = pathlib.Path(tempfile.mkdtemp()) / "scores.csv"
        >>> _ = place.write_text("score,same\n0.9,1\n0.2,0\n")
        >>> read_scores(place).same
        array([ True, False])
    """
    roles = checked_roles(columns, ROLES)
    table = open_table("scores", path)
    scores = numbers(table, roles.get("score", "score"))
    identities = _identities(table, roles)
    same = _truth(table, roles, identities)
    _check_both_kinds(table, same)
    pictures = _pictures(table, roles)
    return ScoredPairs(scores, same, identities, pictures, str(table.path), sha256_of(table.path))


def _identities(table: Table, roles: dict[str, str]) -> NDArray[Any] | None:
    sides = _both(table, roles, "first_identity", "second_identity")
    if sides is None:
        return None
    count = len(sides[0])
    both = np.concatenate(sides)  # typed together: "7" beside "x" is a string on either side
    labels = identity_column(
        "identities", both, is_text=table.is_text, place=lambda row: table.place(row % count)
    )
    return np.stack([labels[:count], labels[count:]], axis=1)


def _pictures(table: Table, roles: dict[str, str]) -> NDArray[np.str_] | None:
    sides = _both(table, roles, "first", "second")
    if sides is None:
        return None
    pictures = np.stack([side.astype(np.str_) for side in sides], axis=1)
    alone = np.flatnonzero(pictures[:, 0] == pictures[:, 1])
    if len(alone):
        raise ValueError(
            f"a pair must be of two pictures; got {str(pictures[alone[0], 0])!r} against itself in "
            f"{table.place(alone[0])} of {table.path}; drop it"
        )
    codes = np.unique(pictures, return_inverse=True)[1].reshape(pictures.shape)
    codes = np.sort(codes.astype(np.int64), axis=1)
    order = np.lexsort((codes[:, 1], codes[:, 0]))
    again = np.flatnonzero((codes[order][1:] == codes[order][:-1]).all(axis=1))
    if len(again):
        rows = sorted(order[again[0] : again[0] + 2].tolist())
        raise ValueError(
            f"a pair must stand once; got {' and '.join(map(str, pictures[rows[0]]))} in "
            f"{table.place(rows[0])} and {table.place(rows[1])} of {table.path}; drop one"
        )
    return pictures


def _both(
    table: Table, roles: dict[str, str], first: str, second: str
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Two columns that go together; None where neither is there nor asked for."""
    names = [roles.get(role, role) for role in (first, second)]
    asked = first in roles or second in roles
    if not asked and not any(name in table.names for name in names):
        return None
    return table.column(names[0]), table.column(names[1])


def _truth(
    table: Table, roles: dict[str, str], identities: NDArray[Any] | None
) -> NDArray[np.bool_]:
    name = roles.get("same") or next((n for n in ("same", "label") if n in table.names), None)
    equal = None if identities is None else identities[:, 0] == identities[:, 1]
    if name is None:
        if equal is None:
            table.refuse("a column 'same' (or 'label'), or 'first_identity' and 'second_identity'")
            raise AssertionError
        return equal
    same = _truth_column(table, name)
    if equal is not None and not np.array_equal(same, equal):
        row = int(np.flatnonzero(same != equal)[0])
        raise ValueError(
            f"column {name!r} must say of each pair what its identities say; got {bool(same[row])} "
            f"in {table.place(row)} of {table.path}; drop one of the columns or repair it"
        )
    return same


def _truth_column(table: Table, name: str) -> NDArray[np.bool_]:
    """Truth values of one kind: 1/0, +1/-1 or true/false."""
    values, codes = np.unique(table.column(name), return_inverse=True)
    words = [str(value).lower() for value in values.tolist()]
    known = (*_TRUE, *_FALSE, *_MINUS)
    odd = [i for i, word in enumerate(words) if word not in known]
    if odd or (set(words) & set(_FALSE) and set(words) & set(_MINUS)):
        at = odd[0] if odd else next(i for i, word in enumerate(words) if word in _MINUS)
        row = int(np.flatnonzero(codes == at)[0])
        raise ValueError(
            f"column {name!r} must hold 1 and 0, +1 and -1, or true and false; got {words[at]!r} "
            f"in {table.place(row)} of {table.path}; write one of these kinds"
        )
    return np.array([word in _TRUE for word in words])[codes]


def _check_both_kinds(table: Table, same: NDArray[np.bool_]) -> None:
    if same.all() or not same.any():
        raise ValueError(
            f"scores must come from genuine and impostor pairs; got {int(same.sum())} genuine and "
            f"{int((~same).sum())} impostor pairs in {table.path}; add pairs of the missing kind"
        )
