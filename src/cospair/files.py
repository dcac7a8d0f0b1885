"""Files that are never half written."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside its place and rename it there: a reader meets the old one or the new.

    It is on the disk before it gets its name, and a writing that fails leaves nothing behind.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")  # two writers do not share one
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
