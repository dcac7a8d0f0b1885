"""The map of the embeddings: a drawing that works without script, and the choice of an identity.

Each identity has a hue of its own, a golden angle from the last one, and one of four shapes, so
that neighbours in hue differ in shape. With few identities their names stand on the map.
"""

from __future__ import annotations

import re
from statistics import median_low
from typing import Any, NamedTuple

from cospair.report.markup import text
from cospair.report.sprite_sheet import Sheet

GOLDEN_ANGLE = 137.508
WIDTH, MARGIN = 1000, 36  # of the drawing, in its own units
LONGEST_NAME = 16
NEAR_NAME = 70  # a name clears the points this near to its middle
MOST_NAMES = 30  # identities whose names are written on the map
SHAPES = (
    '<circle r="8"/>',
    '<path d="M-7-7H7V7H-7Z"/>',
    '<path d="M0-10 10 0 0 10-10 0Z"/>',
    '<path d="M0-10 9 7H-9Z"/>',
)


class Points(NamedTuple):
    """The map's points, all of one identity together: how drawing, script and sheet count them."""

    x: list[float]
    y: list[float]
    row: list[int]
    identity: list[int]
    names: list[str]


def map_points(result: dict[str, Any]) -> Points | None:
    """The points in their order; None where the result holds no map."""
    given = result.get("map")
    if not given or not len(given["x"]):
        return None
    names = sorted({str(name) for name in given["identity"]}, key=_natural)
    place = {name: i for i, name in enumerate(names)}
    codes = [place[str(name)] for name in given["identity"]]
    order = sorted(range(len(codes)), key=lambda i: (codes[i], int(given["row"][i])))
    return Points(
        [float(given["x"][i]) for i in order],
        [float(given["y"][i]) for i in order],
        [int(given["row"][i]) for i in order],
        [codes[i] for i in order],
        names,
    )


def map_numbers(points: Points | None, sheet: Sheet | None) -> dict[str, Any] | None:
    """What the script needs to tell of each point."""
    if points is None:
        return None
    tiles = None
    if sheet is not None:
        tiles = {"columns": sheet.columns, "width": sheet.width, "height": sheet.height}
    return {
        "row": points.row,
        "identity": points.identity,
        "names": points.names,
        "sheet": tiles,
    }


def map_section(points: Points | None, method: str, sheet: Sheet | None) -> str:
    """Write the map's panel, or nothing."""
    if points is None:
        return ""
    told = (
        f"Map of {len(points.row)} embeddings of {len(points.names)} identities. "
        "Choose an identity to go through its pictures."
    )
    return (
        f'<figure class="panel map" aria-label="Map of the embeddings">{_sheet(sheet)}'
        f'<div class="plane" id="map-plane">{_drawing(points, told)}'
        '<div class="tip" id="map-tip" hidden></div></div>'
        f'<div class="finder" id="map-finder" hidden><label for="map-identity">Identity</label> '
        f'<select id="map-identity"><option value="">all</option>{_options(points)}</select>'
        '<ol class="strip" id="map-strip"></ol></div>'
        f"<figcaption>One point is one test picture; its colour and shape are its identity. "
        f"{text(method)}</figcaption></figure>"
    )


def _options(points: Points) -> str:
    return "".join(f'<option value="{i}">{text(n)}</option>' for i, n in enumerate(points.names))


def _sheet(sheet: Sheet | None) -> str:
    if sheet is None:
        return ""
    return (
        f'<svg class="pool" aria-hidden="true"><defs><image id="sheet" href="{sheet.address}" '
        f'width="{sheet.columns * sheet.width}" height="{sheet.rows * sheet.height}"/></defs></svg>'
    )


def _drawing(points: Points, told: str) -> str:
    across, down = _scaled(points)
    height = round(max(down)) + MARGIN
    shapes = "".join(f'<g id="shape-{i}">{shape}</g>' for i, shape in enumerate(SHAPES))
    groups = [""] * len(points.names)
    for x, y, identity in zip(across, down, points.identity, strict=True):
        groups[identity] += f'<use href="#shape-{identity % 4}" x="{x:.0f}" y="{y:.0f}"/>'
    drawn = "".join(
        f'<g class="who" style="--hue:{i * GOLDEN_ANGLE % 360:.0f}">{group}</g>'
        for i, group in enumerate(groups)
    )
    return (
        f'<svg id="map" role="img" aria-label="{text(told)}" viewBox="0 0 {WIDTH} {height}">'
        f"<defs>{shapes}</defs>{drawn}{_names(points, across, down)}</svg>"
    )


def _scaled(points: Points) -> tuple[list[float], list[float]]:
    """Places in the drawing, the wider side across and upwards positive."""
    across, up = points.x, points.y
    if max(up) - min(up) > max(across) - min(across):
        across, up = up, across
    width = max(across) - min(across) or 1.0
    factor = (WIDTH - 2 * MARGIN) / width
    low, high = min(across), max(up)
    return [MARGIN + (x - low) * factor for x in across], [MARGIN + (high - y) * factor for y in up]


def _names(points: Points, across: list[float], down: list[float]) -> str:
    """Write each identity's name above the middle of its points, where there are few."""
    if len(points.names) > MOST_NAMES:
        return ""
    written = ""
    for identity, name in enumerate(points.names):
        own = [i for i, code in enumerate(points.identity) if code == identity]
        middle = median_low([(across[i], down[i]) for i in own])
        x = middle[0]
        # An outlier to the side does not lift the name off its group.
        y = max(min(down[i] for i in own if abs(across[i] - x) <= NEAR_NAME) - 14, 16)
        short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        written += f'<text x="{x:.0f}" y="{y:.0f}">{text(short)}</text>'
    return f'<g class="names" aria-hidden="true">{written}</g>'


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which s2 stands before s10."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
