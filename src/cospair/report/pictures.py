"""Pictures inside the page: each once, small, and bounded in bytes so that the page stays light."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from cospair.report.markup import text

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = (192, 128, 96, 64, 48, 32)  # longest side in pixels, tried in turn
MOST_BYTES = 12_000  # of one picture
POOL_BYTES = 330_000  # of all together
PIXEL_ART = 64  # up to this side a picture is enlarged in blocks, and stored without loss


class Thumbnail(NamedTuple):
    """An encoded picture: a data address, its size in pixels, and whether to show its pixels."""

    address: str
    width: int
    height: int
    blocks: bool


class Pool:
    """Pictures that stand in the page once and are shown from many places."""

    def __init__(self, picture: Callable[[int], Image], rows: Iterable[int]) -> None:
        """Ask once for each picture of `rows`."""
        wanted = sorted(set(rows))
        most = min(MOST_BYTES, POOL_BYTES // max(len(wanted), 1))
        self._small = {row: _at_most(picture(row), SIDES[0]) for row in wanted}
        self._shown = {row: thumbnail(small, most) for row, small in self._small.items()}

    def small(self, row: int) -> Image | None:
        """The picture as large as the page may show it; None if it is not in the pool."""
        return self._small.get(row)

    def definitions(self) -> str:
        """Write the pictures themselves, once, out of sight."""
        drawn = "".join(
            f'<image id="picture-{row}" href="{shown.address}" width="{shown.width}" '
            f'height="{shown.height}"/>'
            for row, shown in self._shown.items()
        )
        return f'<svg class="pool" aria-hidden="true"><defs>{drawn}</defs></svg>'

    def show(self, row: int, words: str) -> str:
        """Write one view of a picture."""
        shown = self._shown[row]
        name = ' class="blocks"' if shown.blocks else ""
        return (
            f'<svg{name} role="img" aria-label="{text(words)}" '
            f'viewBox="0 0 {shown.width} {shown.height}"><use href="#picture-{row}"/></svg>'
        )


def thumbnail(picture: Image, most: int = MOST_BYTES) -> Thumbnail:
    """Shrink and encode a picture: the largest of `SIDES` that fits `most` bytes."""
    for side in SIDES[:-1]:
        shown, size = _at_side(picture, side)
        if size <= most:
            return shown
    return _at_side(picture, SIDES[-1])[0]


def encode(picture: Image, *, lossless: bool = False, quality: int = 82) -> tuple[str, bytes]:
    """Encode as WebP; as PNG without loss, or where there is no WebP."""
    from PIL import features

    buffer = BytesIO()
    if lossless or not features.check("webp"):
        picture.save(buffer, "PNG", optimize=True)
        return "png", buffer.getvalue()
    picture.save(buffer, "WEBP", quality=quality)
    return "webp", buffer.getvalue()


def data_address(kind: str, data: bytes) -> str:
    """Write an encoded picture as an address that holds it."""
    return f"data:image/{kind};base64,{b64encode(data).decode('ascii')}"


def plain(picture: Image) -> Image:
    """The picture in grey or colour, whatever its mode was."""
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _at_side(picture: Image, side: int) -> tuple[Thumbnail, int]:
    """Encode at one size; also give the bytes that took."""
    small, tiny = _at_most(picture, side), max(picture.size) <= PIXEL_ART
    kind, data = encode(small, lossless=tiny)
    return Thumbnail(data_address(kind, data), small.width, small.height, tiny), len(data)


def _at_most(picture: Image, side: int) -> Image:
    small = plain(picture).copy()
    small.thumbnail((side, side))
    return small
