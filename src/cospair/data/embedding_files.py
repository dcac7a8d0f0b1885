"""Embeddings with their labels, as files hold them: .npz, .npy with a file of labels, Parquet.

Rows keep the dtype of their file. Those of a .npy file stay on disk and are read as they are used.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.data.embedding_sets import ARRAYS, EmbeddingSet, checked_set
from cospair.data.input_files import existing_file
from cospair.data.tables import CSV_SUFFIXES, PARQUET_SUFFIXES, Table, checked_roles, open_table

SUFFIXES = (".npz", ".npy", *PARQUET_SUFFIXES)
ROLES = ("embedding", "label", "camera", "name")


def read_embeddings(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> EmbeddingSet:
    """Read embeddings and their labels.

    Args:
        path: A .npz file with arrays "embeddings" and "labels" and, if wanted, "cameras" and
            "names"; a .npy file [n, d] together with `labels`; or a Parquet file with a column of
            lists, or columns numbered from 0 or 1 such as e0, e1, ..., beside "label" and, if
            wanted, "camera" and "name".
        labels: With a .npy file only: a .npy file [n], a .txt file with one label a line, or a CSV
            file with a column "label" (or one column), "camera" and "name".
        columns: Other names of the arrays or columns, by role: "embedding" (of numbered columns
            what stands before the number), "label", "camera", "name".

    Returns:
        The set.

    Raises:
        TypeError: If labels or cameras are floats, or the embeddings are not numbers.
        ValueError: If a file is missing, empty or damaged, a column is missing, lengths disagree,
            a row is not finite (the first is named), or a picture's name stands twice.
        RuntimeError: If it is Parquet and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "people.npz"
        >>> np.savez(place, embeddings=np.eye(3), labels=["ann", "ann", "007"])
        >>> read_embeddings(place).labels
        array(['ann', 'ann', '007'], dtype='<U3')
    """
    roles = checked_roles(columns, ROLES)
    found = existing_file("embeddings", path, SUFFIXES)
    beside = labels is not None
    if beside != (found.suffix.lower() == ".npy"):
        raise ValueError(
            f"labels must be given with a .npy file and only then; got {found} "
            f"{'with' if beside else 'without'} a file of labels; "
            f"{'leave --labels out' if beside else 'name one with --labels FILE'}"
        )
    if labels is not None:
        given = existing_file("labels", labels, (".npy", ".txt", *CSV_SUFFIXES))
        return checked_set(_mapped(found), *_label_file(given, roles), sources=(found, given))
    if found.suffix.lower() == ".npz":
        return checked_set(*_npz(found, roles), sources=(found,))
    return checked_set(*_parquet(found, roles), sources=(found,))


def row_place(row: int) -> str:
    """Where a row of an array stands, for a sentence."""
    return f"row {row}"


def _npz(path: Path, roles: dict[str, str]) -> tuple[Any, ...]:
    try:
        # opened here, because NumPy leaves a damaged file open
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is no .npz file")
        with path.open("rb") as raw, np.load(raw) as file:
            names = {role: roles.get(role, ARRAYS[role]) for role in ROLES}
            wanted = [name for role, name in names.items() if role in roles or role in ROLES[:2]]
            missing = [name for name in wanted if name not in file.files]
            if missing:
                raise ValueError(
                    f"embeddings must hold the arrays {' and '.join(map(repr, wanted))}; got "
                    f"{path} with {', '.join(map(repr, file.files)) or 'none'}; save them by these "
                    "names or say which they are, as --column ROLE=NAME"
                )
            arrays = {role: _loaded(file, name) for role, name in names.items()}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None
    return arrays["embedding"], arrays["label"], arrays["camera"], arrays["name"], False, row_place


def _loaded(file: Any, name: str) -> NDArray[Any] | None:
    """An array of an .npz file; None where there is none."""
    if name not in file.files:
        return None
    try:
        return file[name]
    except ValueError:
        raise TypeError(
            f"{name} must be saved as plain numbers or strings; got Python objects; save "
            f"np.asarray({name}, dtype=str) or integers"
        ) from None


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(path, error) from None


def _label_file(path: Path, roles: dict[str, str]) -> tuple[Any, ...]:
    """Labels, cameras, names, whether they are text, and where a row stands."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        try:
            return np.load(path), None, None, False, row_place
        except (OSError, EOFError, ValueError) as error:
            raise _damaged(path, error) from None
    if suffix == ".txt":
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        text = np.array([line.strip() for line in lines])
        return text, None, None, True, lambda row: f"line {row + 1}"
    table = open_table("labels", path)
    label = roles.get("label", "label")
    if "label" not in roles and len(table.names) == 1:
        label = table.names[0]
    return table.column(label), *_optional(table, roles), True, table.place


def _parquet(path: Path, roles: dict[str, str]) -> tuple[Any, ...]:
    table = open_table("embeddings", path)
    labels = table.column(roles.get("label", "label"))
    rows = _row_columns(table, roles.get("embedding"))
    return rows, labels, *_optional(table, roles), False, table.place


def _optional(table: Table, roles: dict[str, str]) -> tuple[Any, Any]:
    """Cameras and names, where they are there or asked for."""
    found = []
    for role in ("camera", "name"):
        wanted = role in roles or role in table.names
        found.append(table.column(roles.get(role, role)) if wanted else None)
    return found[0], found[1]


def _row_columns(table: Table, wanted: str | None) -> NDArray[Any]:
    """The one column of lists, or the columns that are numbered."""
    if wanted in table.names or (wanted is None and "embedding" in table.names):
        return table.column(wanted or "embedding")
    families = _numbered(table.names)
    if wanted is not None:
        families = {prefix: names for prefix, names in families.items() if prefix == wanted}
    if len(families) != 1:
        table.refuse(
            f"a column of lists {wanted or 'embedding'!r}, or columns of numbers counted from 0 "
            f"or 1 such as {wanted or 'e'}0, {wanted or 'e'}1"
        )
    (names,) = families.values()
    return np.stack([table.column(name) for name in names], axis=1)


def _numbered(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Columns counted from 0 or 1 without a gap, in order, by what stands before the number."""
    families: dict[str, dict[int, str]] = {}
    for name in names:
        prefix = name.rstrip("0123456789")
        if prefix != name:
            families.setdefault(prefix, {})[int(name[len(prefix) :])] = name
    return {
        prefix: [found[number] for number in sorted(found)]
        for prefix, found in families.items()
        if min(found) in (0, 1) and max(found) - min(found) == len(found) - 1 and len(found) > 1
    }


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ValueError(f"a file of arrays must be whole; got {path} ({reason}); save it again")
