"""Picture files: what is wrong with one, and its pixels, upright in "L" or "RGB".

Decisions:
- Transparency is laid over white. 16-bit grey is scaled to 8 bits. Floating-point and 32-bit
  pictures do not say what white is, so they are refused.
- Only the formats below are tried, whatever the suffix: Pillow would start a program of its own
  for some others.
- Pillow is given an open file, not a path: from a path it maps an uncompressed TIFF into memory
  and then scrambles one whose orientation swaps its sides (seen with 13.0).
- Pillow is imported where it is used.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cospair.data.packages import not_installed

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")


def pillow():
    """Return the module PIL.Image, or say how to get it."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise not_installed("a picture", "pillow", "decodes it") from error
    return Image


def decoded(path: Path) -> Image.Image:
    """Return the picture in a file, upright; a damaged file makes this raise nearly anything."""
    with _opened(path) as image:
        return _settled(image)


def read_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Read one picture, upright, mode "L" or "RGB".

    Raises:
        ValueError: If the file cannot be used as a picture; says why.
    """
    fault = fault_of(Path(path)) if os.path.isfile(path) else "there is no such file"
    if fault:
        raise ValueError(
            f"a picture must be a readable picture file, got {os.fspath(path)}: {fault}; "
            "check the path or convert the file"
        )
    return decoded(Path(path))


def fault_of(path: Path) -> str:
    """Say why a file cannot be used as a picture, or return '' after decoding it."""
    if path.suffix.lower() not in SUFFIXES:
        return f"its suffix is none of {', '.join(SUFFIXES)}"
    # Also keeps from opening a pipe, which would wait for ever.
    if not os.path.isfile(path):
        return "it is not a file"
    bomb = pillow().DecompressionBombWarning
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", bomb)
            with _opened(path) as image:
                image.verify()
            with _opened(path) as image:  # verify leaves nothing to decode
                image.draft(None, (1, 1))
                _settled(image)
    # A damaged file makes Pillow's decoders raise nearly anything.
    except Exception as error:
        return reason_of(error)
    return ""


def reason_of(error: Exception) -> str:
    """Return why a file cannot be read as part of a sentence, without its path or a full stop."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture that Pillow can read"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture without decoding it."""
    with open(path, "rb") as file, pillow().open(file, formats=_FORMATS) as image:
        yield image


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
        return pillow().fromarray(((values + 128) // 257).astype(np.uint8))
    grey = upright.mode in ("1", "L", "LA", "La")
    if upright.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = pillow().new("RGBA", layer.size, "white")
        upright = pillow().alpha_composite(white, layer)
    return upright.convert("L" if grey else "RGB")
