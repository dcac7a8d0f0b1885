"""Files that are never half written."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside its place and rename it there: a reader meets the old one or the new."""
    path = Path(path)
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)
