"""The pairs.txt of LFW and of the sets that took its form, and the pictures it names.

A line `name n1 n2` is a genuine pair, `name1 n1 name2 n2` an impostor pair; fields are separated by
tabs, or else by blanks. A first line `folds pairs` or `pairs` says how many pairs of each kind a
fold, or the file, holds. Picture n of a person is root/name/name_000n.jpg.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cospair.data.decoding import SUFFIXES, fault_of
from cospair.data.image_sets import ImageSet
from cospair.data.input_files import existing_file, sha256_of


# Comparing arrays gives arrays, so a generated == would raise.
@dataclass(frozen=True, eq=False)
class LfwPairs:
    """Pairs in the file's order.

    Attributes:
        pictures: Each picture that a pair names, once, as "name/name_0001", in order of appearance.
        identities: The name of the person on each picture.
        first: int64 [p], index into pictures.
        second: int64 [p], index into pictures.
        same: bool [p], True = genuine.
        folds: Number of folds that the header states, else None.
        source: The file.
        sha256: Of the file.
    """

    pictures: tuple[str, ...]
    identities: tuple[str, ...]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    folds: int | None
    source: str
    sha256: str

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.same)


def read_lfw_pairs(path: str | os.PathLike[str]) -> LfwPairs:
    r"""Read a file of pairs in LFW's form.

    Args:
        path: Such as pairs.txt, pairsDevTest.txt or pairsDevTrain.txt.

    Returns:
        The pairs.

    Raises:
        ValueError: If the file is missing or empty, a line is of neither form (it is named), the
            header states another number of pairs, or a kind of pair is missing.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "pairs.txt"
        >>> _ = place.write_text("1\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\n")
        >>> pairs = read_lfw_pairs(place)
        >>> pairs.pictures, pairs.same.tolist(), pairs.folds
        (('Ann/Ann_0001', 'Ann/Ann_0002', 'Bob/Bob_0001'), [True, False], 1)

    References:
        Huang, Ramesh, Berg, Learned-Miller (2007), Labeled faces in the wild.
    """
    found = existing_file("pairs", path)
    try:
        text = found.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"pairs must be a text file in UTF-8; got {found}; save it again as such"
        ) from None
    lines = [(i + 1, _fields(line)) for i, line in enumerate(text.splitlines()) if line.strip()]
    folds, each = None, None
    if lines and len(lines[0][1]) in (1, 2) and all(word.isdecimal() for word in lines[0][1]):
        stated = [int(word) for word in lines.pop(0)[1]]
        folds, each = (stated[0] if len(stated) == 2 else None), 2 * int(np.prod(stated))
    read = [_pair(found, number, fields) for number, fields in lines]
    _check_pairs(found, [one[0] == other[0] for one, other in read], each)
    places: dict[tuple[str, int], int] = {}
    ends = np.array(
        [[places.setdefault(picture, len(places)) for picture in pair] for pair in read], np.int64
    )
    return LfwPairs(
        pictures=tuple(f"{name}/{name}_{number:04d}" for name, number in places),
        identities=tuple(name for name, _ in places),
        first=ends[:, 0],
        second=ends[:, 1],
        same=np.array([one[0] == other[0] for one, other in read]),
        folds=folds,
        source=str(found),
        sha256=sha256_of(found),
    )


def lfw_pictures(pairs: LfwPairs, root: str | os.PathLike[str]) -> ImageSet:
    """The pictures that the pairs name, in their order, from a folder root/name/name_0001.jpg.

    Args:
        pairs: From `read_lfw_pairs`.
        root: The folder; a picture may have any suffix that `image_folder` reads.

    Returns:
        The set, one picture for each entry of `pairs.pictures`.

    Raises:
        ValueError: If the folder is missing, or a picture is missing or cannot be read (the first
            is named).
    """
    folder = Path(root)
    if not folder.is_dir():
        raise ValueError(f"root must be a folder; got {folder}, which is none; check the path")
    files = [_picture_file(folder, picture) for picture in pairs.pictures]
    missing = [name for name, file in zip(pairs.pictures, files, strict=True) if file is None]
    _check_found(missing, f"{folder} must hold every picture that the pairs name")
    there = tuple(file for file in files if file is not None)
    for file in there:
        if fault := fault_of(file):
            raise ValueError(
                f"every picture that the pairs name must be readable; got {file}: {fault}; "
                "restore it"
            )
    names = sorted(set(pairs.identities))
    codes = {name: code for code, name in enumerate(names)}
    labels = np.array([codes[name] for name in pairs.identities], np.int64)
    return ImageSet(folder.name, there, labels, tuple(names))


def lfw_rows(pairs: LfwPairs, names: Sequence[str]) -> NDArray[np.int64]:
    """The row of each picture that the pairs name, among named embeddings.

    Args:
        pairs: From `read_lfw_pairs`.
        names: Such as "Ann/Ann_0001.jpg", "Ann_0001.jpg" or "Ann_0001".

    Returns:
        int64 [pictures].

    Raises:
        ValueError: If one is missing (the first is named) or two names mean one picture.
    """
    stems = [Path(name).stem for name in names]
    rows = {stem: row for row, stem in enumerate(stems)}
    if len(rows) < len(stems):
        twice = next(stem for row, stem in enumerate(stems) if rows[stem] != row)
        raise ValueError(
            f"names must tell pictures apart by their last part; got {twice!r} twice; rename one"
        )
    wanted = [picture.split("/")[-1] for picture in pairs.pictures]
    missing = [stem for stem in wanted if stem not in rows]
    _check_found(missing, "names must hold every picture that the pairs name")
    return np.array([rows[stem] for stem in wanted], np.int64)


def _fields(line: str) -> list[str]:
    parts = line.split("\t") if "\t" in line else line.split()
    return [part.strip() for part in parts]


def _pair(path: Path, number: int, fields: list[str]) -> tuple[tuple[str, int], tuple[str, int]]:
    """Both pictures of a line, as name and number."""
    if len(fields) == 3:
        fields = [fields[0], fields[1], fields[0], fields[2]]
        distinct = fields[1] != fields[3]
    else:
        distinct = len(fields) == 4 and fields[0] != fields[2]
    if not distinct or not all(fields) or not (fields[1].isdecimal() and fields[3].isdecimal()):
        raise ValueError(
            f"a line of pairs must be 'name n1 n2' with two pictures, or 'name1 n1 name2 n2' with "
            f"two people; got line {number} of {path}; repair it"
        )
    return (fields[0], int(fields[1])), (fields[2], int(fields[3]))


def _check_pairs(path: Path, same: list[bool], stated: int | None) -> None:
    if stated is not None and len(same) != stated:
        raise ValueError(
            f"pairs must be as many as the first line states; got {len(same)} for {stated} in "
            f"{path}; get the whole file"
        )
    if all(same) or not any(same):
        raise ValueError(
            f"pairs must be genuine and impostor; got {sum(same)} genuine and "
            f"{len(same) - sum(same)} impostor pairs in {path}; add those of the missing kind"
        )


def _picture_file(folder: Path, picture: str) -> Path | None:
    """The file of a picture, by its first suffix that is there; .jpg before the others."""
    for suffix in sorted(SUFFIXES, key=lambda suffix: suffix != ".jpg"):
        file = folder / f"{picture}{suffix}"
        if file.is_file():
            return file
    return None


def _check_found(missing: list[str], rule: str) -> None:
    if missing:
        raise ValueError(
            f"{rule}; got none for {missing[0]} ({len(missing)} missing in all); add "
            f"{'it' if len(missing) == 1 else 'them'}"
        )
