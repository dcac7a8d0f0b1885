"""Lines over N on logarithmic axes, as a small SVG that stands alone.

Written by hand: a static picture needs no plotting library, and its text stays text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

WIDTH, PANEL = 880, 460
LEFT = 64
INK, FAINT = "#222222", "#555555"

_RIGHT, _TOP, _BOTTOM = 330, 74, 56
_LINE = 16  # from one label to the next

# Distinct to colour-blind eyes (Okabe and Ito) and dark enough for lines on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0478f", "#7a5b00", "#3f3fbf", "#a3123f", "#2f7f8f")
_FLOOR_COLOUR = "#767676"
_GRID = "#e4e4e4"

Lines = Mapping[str, Sequence[tuple[int, float]]]  # by name: (N, value), N rising, value above 0


class Frame(NamedTuple):
    """A plotting area: logarithms of what its edges stand for, and the top of its panel."""

    x: tuple[float, float]
    y: tuple[float, float]
    top: int = 0

    def across(self, n: float) -> float:
        """Where N lies."""
        return LEFT + _share(math.log10(n), self.x) * (WIDTH - LEFT - _RIGHT)

    def up(self, value: float) -> float:
        """Where a value lies."""
        share = _share(math.log10(value), self.y)
        return self.top + PANEL - _BOTTOM - share * (PANEL - _TOP - _BOTTOM)


def check_place(path: Path) -> None:
    """Refuse a file that no SVG can be written to.

    Raises:
        ValueError: If its name does not end in .svg, or its folder is missing.
    """
    if path.suffix != ".svg":
        raise ValueError(f"{path} must end in .svg, got {path.suffix!r}; a browser opens that")
    if not path.parent.is_dir():
        raise ValueError(f"{path} must lie in a folder that exists, got none; make it first")


def document(title: str, panels: Sequence[Sequence[str]]) -> str:
    """A picture of panels, one under the other."""
    height = PANEL * len(panels)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" '
            'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *(part for panel in panels for part in panel),
            "</svg>\n",
        ]
    )


def panel(
    lines: Lines, names: Mapping[str, str], heads: tuple[str, str, str], frame: Frame, first: str
) -> list[str]:
    """One panel: what it shows, on what, over what; a line each, its name beside its end."""
    title, subtitle, across = heads
    colours = _colours(lines, first)
    return [
        text(LEFT, frame.top + 28, title, size=16, fill=INK, weight=600),
        text(LEFT, frame.top + 48, subtitle),
        *_axes(frame, sorted({n for points in lines.values() for n, _ in points}), across),
        *(_line(frame, points, colours[name]) for name, points in lines.items()),
        *_labels(frame, lines, names, colours),
    ]


def frame_of(lines: Lines, *, shown: Sequence[float] = (), top: int = 0) -> Frame:
    """The area of these lines and of the values that must be shown in any case."""
    sizes = [math.log10(n) for points in lines.values() for n, _ in points]
    values = [math.log10(value) for points in lines.values() for _, value in points]
    return Frame(_around(sizes, 0.12), _around([*values, *map(math.log10, shown)], 0.1), top)


def machine(result: Mapping[str, Any]) -> str:
    """Where, how and when a result was measured."""
    device = result["processor"] if result["device"] == "cpu" else result["device"]
    count = result["threads"]
    threads = f"{count} thread{'' if count == 1 else 's'}"
    parts = (device, threads, f"malloc {result['malloc']}", f"torch {result['torch']}")
    return ", ".join((*parts, result["date"]))


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    fill: str = FAINT,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    """A line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _around(values: Sequence[float], margin: float) -> tuple[float, float]:
    return min(values) - margin, max(values) + margin


def _share(value: float, edges: tuple[float, float]) -> float:
    return (value - edges[0]) / (edges[1] - edges[0])


def _colours(lines: Lines, first: str) -> dict[str, str]:
    """Ink for the one that the others are held against, grey for the floors."""
    drawn = [name for name in lines if not name.startswith("floor")]
    others = [name for name in drawn if name != first]
    found = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(others)}
    return {name: found.get(name, INK if name == first else _FLOOR_COLOUR) for name in lines}


def _axes(frame: Frame, sizes: Sequence[int], across: str) -> list[str]:
    left, right, low = LEFT, WIDTH - _RIGHT, frame.top + PANEL - _BOTTOM
    parts = []
    for value in _ticks(frame.y):
        y = frame.up(value)
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="{_GRID}"/>')
        parts.append(text(left - 8, y + 4, f"{value:.12g}", anchor="end"))
    for n in sizes:
        x = frame.across(n)
        parts.append(f'<path d="M{x:.1f} {frame.top + _TOP}V{low}" stroke="{_GRID}"/>')
        parts.append(text(x, low + 20, str(n), anchor="middle"))
    return [*parts, text((left + right) / 2, low + 42, across, anchor="middle")]


def _ticks(edges: tuple[float, float]) -> list[float]:
    """1, 2, 5 of each decade where there is room, else the decades."""
    steps = (1, 2, 5) if edges[1] - edges[0] < 3 else (1,)
    decades = range(math.floor(edges[0]), math.ceil(edges[1]) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return [tick for tick in ticks if edges[0] <= math.log10(tick) <= edges[1]]


def _line(frame: Frame, points: Sequence[tuple[int, float]], colour: str) -> str:
    places = [(frame.across(n), frame.up(value)) for n, value in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dash = ' stroke-dasharray="5 4"' if colour == _FLOOR_COLOUR else ""
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in places)
    return (
        f'<g fill="{colour}"><polyline points="{path}" fill="none" stroke="{colour}" '
        f'stroke-width="2" stroke-linejoin="round"{dash}/>{marks}</g>'
    )


def _labels(
    frame: Frame, lines: Lines, names: Mapping[str, str], colours: Mapping[str, str]
) -> list[str]:
    """Each line's name beside its end, moved apart where they would meet."""
    ends = {name: (frame.across(p[-1][0]), frame.up(p[-1][1])) for name, p in lines.items()}
    x = WIDTH - _RIGHT + 20
    parts = []
    lowest = frame.top + PANEL - 12
    for name, y in _apart({name: end[1] for name, end in ends.items()}, lowest).items():
        from_x, from_y = ends[name]
        parts.append(
            f'<path d="M{from_x + 5:.1f} {from_y:.1f}L{x - 4} {y:.1f}" '
            f'stroke="{colours[name]}" stroke-opacity="0.45"/>'
        )
        parts.append(text(x, y + 4, names[name], fill=colours[name], weight=600))
    return parts


def _apart(heights: Mapping[str, float], lowest: float) -> dict[str, float]:
    """Heights at least a line apart, each near its own, all above the lower edge."""
    names = sorted(heights, key=lambda name: heights[name])
    placed: dict[str, float] = {}
    last = -math.inf
    for name in names:
        last = placed[name] = max(heights[name], last + _LINE)
    last = lowest + _LINE
    for name in reversed(names):
        last = placed[name] = min(placed[name], last - _LINE)
    return placed
