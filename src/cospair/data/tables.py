"""Tables that a user brings, CSV or Parquet, column by column.

Decisions:
- A CSV file has a header and is UTF-8; what separates its cells (comma, semicolon or tab) is read
  off the header. Its cells are text until somebody asks for numbers or identities.
- A Parquet file keeps its own types: a column of strings stays strings.
- Nothing may be missing: an empty cell is an error that names its line, never a NaN.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.data.input_files import existing_file
from cospair.data.packages import not_installed

CSV_SUFFIXES = (".csv", ".tsv")
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file by name, read when asked for.

    Attributes:
        path: The file.
        names: The columns, in the file's order.
        lines: Line of each row in a text file; None where rows have numbers only.
        reader: Gives the column of a name, [n], or [n, d] for one of lists.
    """

    path: Path
    names: tuple[str, ...]
    lines: Sequence[int] | None
    reader: Callable[[str], NDArray[Any]]

    @property
    def is_text(self) -> bool:
        """Whether every cell is text, so that types have to be read off it."""
        return self.lines is not None

    def place(self, row: int) -> str:
        """Where a row stands, for a sentence."""
        return f"row {row}" if self.lines is None else f"line {self.lines[row]}"

    def column(self, name: str) -> NDArray[Any]:
        """One column of the file; its absence names those that are there."""
        if name not in self.names:
            self.refuse(f"a column {name!r}")
        return self.reader(name)

    def refuse(self, wanted: str) -> None:
        """Raise with what was wanted and the columns that are there."""
        raise ValueError(
            f"the table must have {wanted}; got {self.path} with columns "
            f"{', '.join(map(repr, self.names[:12]))}{' ...' if len(self.names) > 12 else ''}; "
            "rename one or say which it is, as --column ROLE=NAME"
        )


def open_table(name: str, path: str | os.PathLike[str]) -> Table:
    """Open a CSV or Parquet file.

    Args:
        name: What the table is, such as "scores", for the sentences.
        path: A .csv or .tsv file with a header, or a .parquet file.

    Returns:
        Its columns.

    Raises:
        ValueError: If the file is missing, empty, damaged, of another kind or has no rows.
        RuntimeError: If it is Parquet and pyarrow is not installed.
    """
    found = existing_file(name, path, (*CSV_SUFFIXES, *PARQUET_SUFFIXES))
    if found.suffix.lower() in PARQUET_SUFFIXES:
        return _parquet(name, found)
    return _csv(name, found)


def checked_roles(columns: Mapping[str, str] | None, roles: tuple[str, ...]) -> dict[str, str]:
    """The columns that a user named, by role; an unknown role is an error."""
    for role in columns or {}:
        if role not in roles:
            raise ValueError(
                f"columns must be given for {', '.join(roles)}; got {role!r}; use one of them"
            )
    return dict(columns or {})


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """A column as finite float64 [n], or an error that names the first bad row."""
    cells = table.column(name)
    try:
        values = cells.astype(np.float64)
    except (TypeError, ValueError):
        row = next(i for i, cell in enumerate(cells) if not _is_number(cell))
        raise ValueError(
            f"column {name!r} must hold numbers; got {str(cells[row])!r} in {table.place(row)} of "
            f"{table.path}; repair or drop it"
        ) from None
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"column {name!r} must hold finite numbers; got {values[bad[0]]} in "
            f"{table.place(bad[0])} of {table.path}; repair or drop it"
        )
    return values


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _csv(name: str, path: Path) -> Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
            names = tuple(cell.strip() for cell in next(reader))
            found = [(reader.line_num, cells) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{name} must be a CSV file in UTF-8; got {path} ({error}); save it again as such"
        ) from None
    if len(set(names)) < len(names):
        raise ValueError(
            f"{name} must name each column once; got {', '.join(names)} in {path}; rename one"
        )
    for line, cells in found:
        if len(cells) != len(names):
            raise ValueError(
                f"{name} must have {len(names)} cells in every line, as its header; got "
                f"{len(cells)} in line {line} of {path}; repair the line"
            )
    _check_rows(name, path, len(found))
    columns = dict(zip(names, zip(*(cells for _, cells in found), strict=True), strict=True))
    lines = [line for line, _ in found]

    def column(wanted: str) -> NDArray[Any]:
        cells = np.array([cell.strip() for cell in columns[wanted]])
        _check_filled(path, wanted, cells == "", lambda row: f"line {lines[row]}")
        return cells

    return Table(path, names, lines, column)


def _parquet(name: str, path: Path) -> Table:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise not_installed("a Parquet file", "pyarrow", "reads it") from error
    try:
        file = parquet.ParquetFile(path, memory_map=True)
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(
            f"{name} must be a Parquet file; got {path} ({error}); write it again"
        ) from None
    _check_rows(name, path, file.metadata.num_rows)

    def column(wanted: str) -> NDArray[Any]:
        values = file.read(columns=[wanted]).column(wanted).combine_chunks()
        missing = values.is_null().to_numpy(zero_copy_only=False)
        _check_filled(path, wanted, missing, lambda row: f"row {row}")
        return _as_numpy(values, path, wanted)

    return Table(path, tuple(file.schema_arrow.names), None, column)


def _as_numpy(values: Any, path: Path, name: str) -> NDArray[Any]:
    """A column without gaps as NumPy; lists as [n, d]."""
    from pyarrow import types

    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if types.is_string(kind) or types.is_large_string(kind):
        return np.array(values.to_pylist())
    if not (types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind)):
        return values.to_numpy(zero_copy_only=False)
    width = values.value_lengths().to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(width != width[0])
    if len(odd):
        raise ValueError(
            f"column {name!r} must hold lists of one length; got {width[odd[0]]} numbers in row "
            f"{odd[0]} and {width[0]} in row 0 of {path}; repair or drop it"
        )
    return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), int(width[0]))


def _check_rows(name: str, path: Path, rows: int) -> None:
    if rows == 0:
        raise ValueError(f"{name} must hold at least one row; got {path} with none; write it again")


def _check_filled(
    path: Path, name: str, missing: NDArray[np.bool_], place: Callable[[int], str]
) -> None:
    if missing.any():
        raise ValueError(
            f"column {name!r} must be filled in every row; got nothing in "
            f"{place(int(np.flatnonzero(missing)[0]))} of {path}; repair or drop it"
        )
