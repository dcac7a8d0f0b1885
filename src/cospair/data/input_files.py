"""Files that a user names: there, not empty, of a kind that is read, and their hash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

_CHUNK = 1 << 20


def existing_file(
    name: str, path: str | os.PathLike[str], suffixes: Sequence[str] | None = None
) -> Path:
    """Return the path of a file that can be read, or say what is wrong with it.

    Args:
        name: What the file is, such as "embeddings", for the sentence.
        path: Where it is.
        suffixes: Those that are read, in lower case; None: any.

    Returns:
        The path.

    Raises:
        ValueError: If the file is missing, a folder, empty, or of another kind.
    """
    found = Path(path)
    if not found.is_file():
        what = "is a folder" if found.is_dir() else "does not exist"
        raise ValueError(f"{name} must be a file; got {found}, which {what}; check the path")
    if suffixes is not None and found.suffix.lower() not in suffixes:
        raise ValueError(
            f"{name} must be a file of kind {', '.join(suffixes)}; got {found}; convert it"
        )
    if found.stat().st_size == 0:
        raise ValueError(f"{name} must hold data; got {found}, which is empty; write it again")
    return found


def sha256_of(*paths: Path) -> str:
    """SHA-256 of the bytes of some files, one after the other, never held whole."""
    digest = sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
