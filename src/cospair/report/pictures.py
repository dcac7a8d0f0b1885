"""Pictures inside the page: small, and bounded in bytes so that the page stays under 6 MB."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = (192, 128, 96, 64, 48)  # longest side in pixels, tried in turn
MOST_BYTES = 12_000  # 48 pictures of this size stay under 0.8 MB as base64
PIXEL_ART = 64  # up to this side a picture is enlarged in blocks, and stored without loss


class Thumbnail(NamedTuple):
    """An encoded picture: a data address with its size in pixels."""

    address: str
    width: int
    height: int


def thumbnail(picture: Image) -> Thumbnail:
    """Shrink and encode a picture: the largest of `SIDES` that fits `MOST_BYTES`."""
    plain = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    for side in SIDES[:-1]:
        shown, size = _at_side(plain, side)
        if size <= MOST_BYTES:
            return shown
    return _at_side(plain, SIDES[-1])[0]


def _at_side(picture: Image, side: int) -> tuple[Thumbnail, int]:
    """Encode at one size; also give the bytes that took."""
    small = picture.copy()
    small.thumbnail((side, side))
    kind, data = _encode(small)
    address = f"data:image/{kind};base64,{b64encode(data).decode('ascii')}"
    return Thumbnail(address, small.width, small.height), len(data)


def _encode(picture: Image) -> tuple[str, bytes]:
    from PIL import features

    buffer = BytesIO()
    if max(picture.size) <= PIXEL_ART or not features.check("webp"):
        picture.save(buffer, "PNG", optimize=True)
        return "png", buffer.getvalue()
    picture.save(buffer, "WEBP", quality=82)
    return "webp", buffer.getvalue()
