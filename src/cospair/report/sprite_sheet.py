"""A sheet of tiny pictures in one: thousands of points on a map can each show theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cospair.report.pictures import data_address, encode, plain

if TYPE_CHECKING:
    from PIL.Image import Image

TILES = (96, 72, 56, 44, 36, 28, 20)  # side of a picture in pixels, tried in turn
SHEET_BYTES = 200_000


class Sheet(NamedTuple):
    """An encoded sheet: tiles of `width` x `height` pixels, `columns` to a row."""

    address: str
    columns: int
    rows: int
    width: int
    height: int


def sprite_sheet(picture: Callable[[int], Image], wanted: Sequence[int]) -> Sheet:
    """Put the pictures `wanted` side by side, in their order, as large as `SHEET_BYTES` allows."""
    columns = max(1, round(len(wanted) ** 0.5))
    rows = -(-len(wanted) // columns)
    # Held at the largest size only: the originals of thousands of pictures may not fit.
    small = [_fitted(picture(row), TILES[0]) for row in wanted]
    for side in TILES:
        tiles = [_fitted(shown, side) for shown in small]
        # As wide and high as the pictures need: those of one shape leave no bars beside them.
        width, height = max(t.width for t in tiles), max(t.height for t in tiles)
        kind, data = encode(_pasted(tiles, columns, (width, height)), quality=70)
        if len(data) <= SHEET_BYTES or side == TILES[-1]:
            return Sheet(data_address(kind, data), columns, rows, width, height)
    raise AssertionError("the last side is always taken")


def _fitted(picture: Image, side: int) -> Image:
    """The picture scaled so that its longest side is `side`."""
    from PIL.Image import Resampling

    factor = side / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    # Blocks stay blocks when a tiny picture is enlarged.
    how = Resampling.NEAREST if factor > 1 else Resampling.LANCZOS
    return plain(picture).resize(size, how)


def _pasted(tiles: Sequence[Image], columns: int, size: tuple[int, int]) -> Image:
    from PIL import Image

    width, height = size
    mode = "L" if all(tile.mode == "L" for tile in tiles) else "RGB"
    whole = Image.new(mode, (columns * width, -(-len(tiles) // columns) * height))
    for place, tile in enumerate(tiles):
        left, top = (place % columns) * width, (place // columns) * height
        whole.paste(tile, (left + (width - tile.width) // 2, top + (height - tile.height) // 2))
    return whole
