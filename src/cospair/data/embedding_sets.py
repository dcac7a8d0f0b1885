"""Sets of embeddings: rows with labels that fit together, and their file.

Decisions:
- Labels and cameras are 64-bit integers or strings, names are strings and name one picture each.
- Looking for numbers that are not finite goes through the rows in blocks: they may lie on disk.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.data.identities import identity_column, unique_names
from cospair.data.input_files import sha256_of
from cospair.data.packages import not_installed
from cospair.files import write_whole

# The arrays of an .npz file, by the columns of a table.
ARRAYS = {"embedding": "embeddings", "label": "labels", "camera": "cameras", "name": "names"}
_BLOCK_CELLS = 1 << 22


# Comparing arrays gives arrays, so a generated == would raise.
@dataclass(frozen=True, eq=False)
class EmbeddingSet:
    """Embeddings with the identity of each.

    Attributes:
        rows: Real [n, d], finite; may lie on disk.
        labels: int64 or str [n].
        cameras: int64 or str [n], or None.
        names: str [n], each once, or None.
        source: The file.
        sha256: Of the file; with a file of labels, of both files' bytes, one after the other.
    """

    rows: NDArray[Any]
    labels: NDArray[Any]
    cameras: NDArray[Any] | None = None
    names: NDArray[np.str_] | None = None
    source: str = ""
    sha256: str = ""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)


def write_embeddings(path: str | os.PathLike[str], embeddings: EmbeddingSet) -> None:
    """Write a set as `read_embeddings` reads it, beside and renamed.

    Args:
        path: A .npz or .parquet file.
        embeddings: The set; its source and hash are not written.

    Raises:
        ValueError: If the suffix is another one.
        RuntimeError: If it is Parquet and pyarrow is not installed.
    """
    check_embedding_path(path)
    filled = {
        "label": embeddings.labels,
        "camera": embeddings.cameras,
        "name": embeddings.names,
    }
    arrays = {role: values for role, values in filled.items() if values is not None}
    content = io.BytesIO()
    if Path(path).suffix.lower() == ".npz":
        named = {ARRAYS[role]: values for role, values in arrays.items()}
        np.savez(content, embeddings=embeddings.rows, **named)
    else:
        _write_parquet(content, np.asarray(embeddings.rows), arrays)
    write_whole(path, content.getvalue())


def check_embedding_path(path: str | os.PathLike[str]) -> None:
    """Refuse a place that `write_embeddings` cannot write to, before the work and not after it.

    Args:
        path: As in `write_embeddings`.

    Raises:
        ValueError: If the suffix is neither .npz nor .parquet, or the folder is missing.
    """
    place = Path(path)
    if place.suffix.lower() not in (".npz", ".parquet"):
        raise ValueError(f"path must end in .npz or .parquet; got {place}; choose one of them")
    if not place.absolute().parent.is_dir():
        raise ValueError(
            f"path must lie in a folder that exists; got {place}; make the folder or choose another"
        )


def checked_set(
    rows: NDArray[Any],
    labels: NDArray[Any],
    cameras: NDArray[Any] | None,
    names: NDArray[Any] | None,
    is_text: bool,
    place: Callable[[int], str],
    *,
    sources: tuple[Path, ...],
) -> EmbeddingSet:
    """A set whose parts fit together."""
    _check_rows(rows)
    for name, values in (("labels", labels), ("cameras", cameras), ("names", names)):
        if values is not None and len(np.atleast_1d(values)) != len(rows):
            raise ValueError(
                f"{name} must be one for each embedding; got {values.size} {name} for {len(rows)} "
                f"embeddings in {' and '.join(map(str, sources))}; pair them up"
            )
    return EmbeddingSet(
        rows=rows,
        labels=identity_column("labels", labels, is_text=is_text, place=place),
        cameras=None
        if cameras is None
        else identity_column("cameras", cameras, is_text=is_text, place=place),
        names=None if names is None else unique_names(names, place=place),
        source=str(sources[0]),
        sha256=sha256_of(*sources),
    )


def _check_rows(rows: NDArray[Any]) -> None:
    """Refuse embeddings that are not real [n, d], n and d from 1, finite."""
    if rows.dtype.kind not in "fiu":
        raise TypeError(
            f"embeddings must be real numbers; got dtype {rows.dtype}; convert them to floats"
        )
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(
            f"embeddings must be [n, d] with a row and a column at least; got shape {rows.shape}; "
            "save one row for each picture"
        )
    if rows.dtype.kind != "f":
        return
    step = max(1, _BLOCK_CELLS // rows.shape[1])
    for start in range(0, len(rows), step):
        bad = np.argwhere(~np.isfinite(rows[start : start + step]))
        if len(bad):
            row, column = bad[0]
            raise ValueError(
                f"embeddings must be finite; got {rows[start + row, column]} in row "
                f"{start + row}; repair or drop it"
            )


def _write_parquet(content: io.BytesIO, rows: NDArray[Any], arrays: dict[str, Any]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise not_installed("a Parquet file", "pyarrow", "writes it") from error
    flat = pyarrow.array(np.ascontiguousarray(rows).ravel())
    lists = pyarrow.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    parquet.write_table(
        pyarrow.table({"embedding": lists, **{role: list(v) for role, v in arrays.items()}}),
        content,
    )
