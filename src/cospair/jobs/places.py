"""Places where a job is to write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

Place = str | os.PathLike[str]


def check_places(*places: Place | None, given: Sequence[Place | None]) -> None:
    """Refuse a place where no file can or may be written, before the work and not after it."""
    taken = {Path(place).resolve() for place in given if place is not None}
    for place in places:
        if place is None:
            continue
        where = Path(place).resolve()
        if not where.parent.is_dir():
            raise ValueError(
                f"{place} must lie in a folder that exists; got none; make it or choose another"
            )
        if where.is_dir():
            raise ValueError(f"{place} must be a file to write; got a folder; name a file in it")
        if where in taken:
            raise ValueError(
                f"{place} must be a file of its own; got one that is read or written already; "
                "choose another name"
            )
        taken.add(where)
