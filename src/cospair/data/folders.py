"""Any folder of identity folders as a set of pictures: root/identity/picture.jpg.

Decisions:
- A folder is decoded once when it is read (JPEG at an eighth of its size, which still walks the
  whole stream), and what cannot be decoded is left out and named then: nothing fails in the middle
  of a training run.
- A folder is read two levels deep and no deeper, so a loop of links ends.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NoReturn

import numpy as np

from cospair.data.decoding import fault_of, pillow, reason_of
from cospair.data.image_sets import ImageSet


def image_folder(root: str | os.PathLike[str]) -> ImageSet:
    """Read a folder that holds one folder of pictures for each identity: root/identity/picture.jpg.

    Hidden files and folders are passed over. Anything else that is not a readable picture is left
    out and named in `skipped`, with the reason; so is an identity left without a picture.

    Args:
        root: The folder. Pictures are known by their suffix, in either case, from
            `cospair.data.decoding.SUFFIXES`; of a GIF the first frame counts.

    Returns:
        The files, identities and the pictures of each in natural order (s2 before s10), under the
        folder's name.

    Raises:
        TypeError: If root is not a path.
        ValueError: If root is missing, is not a folder, holds no folder, no readable picture, or
            fewer than two identities with one.
        RuntimeError: If Pillow is not installed.
    """
    if not isinstance(root, (str, os.PathLike)):
        raise TypeError(f"root must be a path; got {root!r}; pass a str or a pathlib.Path")
    pillow()
    folder = Path(os.path.abspath(root))
    skipped: list[str] = []
    found = {entry: _readable_pictures(entry, skipped) for entry in _entries_of_root(folder)}
    found = {entry: pictures for entry, pictures in found.items() if pictures}
    if len(found) < 2:
        count = "only one identity with a readable picture" if found else "no readable picture"
        left_out = f" ({len(skipped)} left out; {skipped[0].rstrip('.')})" if skipped else ""
        _refuse_root(folder, f"holds {count}{left_out}")
    sizes = [len(pictures) for pictures in found.values()]
    return ImageSet(
        name=folder.name,
        pictures=tuple(picture for pictures in found.values() for picture in pictures),
        labels=np.repeat(np.arange(len(found), dtype=np.int64), sizes),
        identities=tuple(entry.name for entry in found),
        skipped=tuple(skipped),
    )


def _entries_of_root(root: Path) -> list[Path]:
    """Return what is not hidden in root, in natural order, or raise with what is wrong with it."""
    if not os.path.isdir(root):
        _refuse_root(root, "is a file" if os.path.exists(root) else "does not exist")
    try:
        entries = _visible(root)
    except OSError as error:
        _refuse_root(root, f"cannot be listed ({reason_of(error)})")
    if not any(os.path.isdir(entry) for entry in entries):
        _refuse_root(root, "holds no folder")
    return entries


def _refuse_root(root: Path, found: str) -> NoReturn:
    """Raise with what was found in place of a folder of identity folders."""
    raise ValueError(
        f"root must be a folder with a folder of pictures for each of at least two identities; "
        f"{str(root)!r} {found}; arrange the files as {root.name}/identity/picture.jpg"
    )


def _visible(folder: Path) -> list[Path]:
    """Return what is not hidden in a folder, in natural order."""
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    return [folder / name for name in sorted(names, key=_natural)]


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sort digits in a name by their value; the name itself settles ties such as s1 and s01."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def _fault_of(path: Path) -> str:
    """What is wrong with a picture, or with a folder in its place; empty where nothing is."""
    if os.path.isdir(path):
        return "it is a folder within an identity's; give the folder that holds the identities"
    return fault_of(path)


def _readable_pictures(entry: Path, skipped: list[str]) -> list[Path]:
    """Return the pictures of an identity; add to skipped a sentence for all else that is there."""
    faults: dict[Path, str] = {}
    reason = "it holds no readable picture"
    if not os.path.isdir(entry):
        reason = "it lies beside the identity folders, not in one"
    elif entry.name.encode(errors="ignore").decode() != entry.name:
        reason = "its name is not valid UTF-8"
    else:
        try:
            faults = {path: _fault_of(path) for path in _visible(entry)}
        except OSError as error:
            reason = reason_of(error)
    for path, fault in faults.items():
        if fault:
            skipped.append(f"{entry.name + '/' + path.name!r} was left out: {fault}.")
    readable = [path for path, fault in faults.items() if not fault]
    if not readable:
        skipped.append(f"{entry.name!r} was left out: {reason}.")
    return readable
