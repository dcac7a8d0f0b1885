"""The ratios to torch eager over the number of pairs, as a small SVG that stands alone.

Written by hand: a static picture needs no plotting library, and its text stays text. One picture is
one dtype, one direction (forward + backward where it was measured) and one number of features, the
one with the most sizes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from cospair.bench.plan import BOTH
from cospair.bench.variants import EAGER
from cospair.files import write_whole

_WIDTH, _HEIGHT = 800, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 236, 74, 56
_LINE = 16  # from one label to the next

# Distinct to colour-blind eyes (Okabe and Ito) and dark enough for lines on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0478f", "#7a5b00", "#3f3fbf", "#a3123f", "#2f7f8f")
_FLOOR_COLOUR = "#767676"
_INK, _FAINT, _GRID = "#222222", "#555555", "#e4e4e4"


class _Frame(NamedTuple):
    """The plotting area: logarithms of what its edges stand for."""

    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, n: float) -> float:
        return _LEFT + _share(math.log10(n), self.x) * (_WIDTH - _LEFT - _RIGHT)

    def up(self, ratio: float) -> float:
        return _HEIGHT - _BOTTOM - _share(math.log10(ratio), self.y) * (_HEIGHT - _TOP - _BOTTOM)


def check_place(path: Path) -> None:
    """Refuse a file that no SVG can be written to.

    Raises:
        ValueError: If its name does not end in .svg, or its folder is missing.
    """
    if path.suffix != ".svg":
        raise ValueError(f"{path} must end in .svg, got {path.suffix!r}; a browser opens that")
    if not path.parent.is_dir():
        raise ValueError(f"{path} must lie in a folder that exists, got none; make it first")


def write(result: Mapping[str, Any], path: Path) -> None:
    """Draw a result of `pairs`.

    Raises:
        ValueError: As `check_place`.
    """
    check_place(path)
    write_whole(path, svg(result).encode())


def svg(result: Mapping[str, Any]) -> str:
    """The picture as text."""
    rows = _chosen(result["rows"])
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in sorted(rows, key=lambda row: row["n"]):
        lines.setdefault(row["variant"], []).append((row["n"], row["times_torch_eager"]))
    frame = _frame(list(lines.values()))
    sizes = sorted({row["n"] for row in rows})
    colours = _colours(lines)
    first = rows[0]
    title = f"The pair loss, {first['direction']}, {first['dtype']}: times as fast as torch eager"
    parts = [
        _text(_LEFT, 28, title, size=16, fill=_INK, weight=600),
        _text(_LEFT, 48, _subtitle(result), size=12, fill=_FAINT),
        *_axes(frame, sizes, first["d"]),
        *(_line(frame, points, colours[name]) for name, points in lines.items()),
        *_labels(frame, lines, colours),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" role="img" '
            'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _chosen(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of one picture."""
    direction = BOTH if any(row["direction"] == BOTH for row in rows) else rows[0]["direction"]
    same = [r for r in rows if r["direction"] == direction and r["dtype"] == rows[0]["dtype"]]
    counts = Counter(row["d"] for row in same if row["variant"] == EAGER)
    d = max(counts, key=lambda d: (counts[d], d))
    return [row for row in same if row["d"] == d]


def _subtitle(result: Mapping[str, Any]) -> str:
    device = result["processor"] if result["device"] == "cpu" else result["device"]
    count = result["threads"]
    threads = f"{count} thread{'' if count == 1 else 's'}"
    return f"{device}, {threads}, torch {result['torch']}, {result['date']}"


def _frame(lines: Sequence[Sequence[tuple[int, float]]]) -> _Frame:
    sizes = [math.log10(n) for points in lines for n, _ in points]
    ratios = [math.log10(ratio) for points in lines for _, ratio in points]
    return _Frame(_around(sizes, 0.12), _around([*ratios, 0.0], 0.1))


def _around(values: Sequence[float], margin: float) -> tuple[float, float]:
    return min(values) - margin, max(values) + margin


def _share(value: float, edges: tuple[float, float]) -> float:
    return (value - edges[0]) / (edges[1] - edges[0])


def _colours(lines: Mapping[str, object]) -> dict[str, str]:
    drawn = [name for name in lines if not name.startswith("floor")]
    found = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(drawn) if name != EAGER}
    return {name: found.get(name, _INK if name == EAGER else _FLOOR_COLOUR) for name in lines}


def _axes(frame: _Frame, sizes: Sequence[int], d: int) -> list[str]:
    left, right, low = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for ratio in _ticks(frame.y):
        y = frame.up(ratio)
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="{_GRID}"/>')
        parts.append(_text(left - 8, y + 4, f"{ratio:g}", anchor="end"))
    for n in sizes:
        x = frame.across(n)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{low}" stroke="{_GRID}"/>')
        parts.append(_text(x, low + 20, str(n), anchor="middle"))
    middle = (left + right) / 2
    return [*parts, _text(middle, low + 42, f"pairs in the batch (D = {d})", anchor="middle")]


def _ticks(edges: tuple[float, float]) -> list[float]:
    """1, 2, 5 of each decade where there is room, else the decades."""
    steps = (1, 2, 5) if edges[1] - edges[0] < 3 else (1,)
    decades = range(math.floor(edges[0]), math.ceil(edges[1]) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return [tick for tick in ticks if edges[0] <= math.log10(tick) <= edges[1]]


def _line(frame: _Frame, points: Sequence[tuple[int, float]], colour: str) -> str:
    places = [(frame.across(n), frame.up(ratio)) for n, ratio in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dash = ' stroke-dasharray="5 4"' if colour == _FLOOR_COLOUR else ""
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in places)
    return (
        f'<g fill="{colour}"><polyline points="{path}" fill="none" stroke="{colour}" '
        f'stroke-width="2" stroke-linejoin="round"{dash}/>{marks}</g>'
    )


def _labels(
    frame: _Frame,
    lines: Mapping[str, Sequence[tuple[int, float]]],
    colours: Mapping[str, str],
) -> list[str]:
    """Each line's name and last ratio beside its end, moved apart where they would meet."""
    ends = {name: (frame.across(p[-1][0]), frame.up(p[-1][1])) for name, p in lines.items()}
    x = _WIDTH - _RIGHT + 20
    parts = []
    for name, y in _apart({name: end[1] for name, end in ends.items()}).items():
        from_x, from_y = ends[name]
        parts.append(
            f'<path d="M{from_x + 5:.1f} {from_y:.1f}L{x - 4} {y:.1f}" '
            f'stroke="{colours[name]}" stroke-opacity="0.45"/>'
        )
        label = f"{name} {lines[name][-1][1]:.3g}x"
        parts.append(_text(x, y + 4, label, fill=colours[name], weight=600))
    return parts


def _apart(heights: Mapping[str, float]) -> dict[str, float]:
    """Heights at least a line apart, each near its own, all above the lower edge."""
    names = sorted(heights, key=lambda name: heights[name])
    placed: dict[str, float] = {}
    last = -math.inf
    for name in names:
        last = placed[name] = max(heights[name], last + _LINE)
    last = _HEIGHT - 12 + _LINE
    for name in reversed(names):
        last = placed[name] = min(placed[name], last - _LINE)
    return placed


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    fill: str = _FAINT,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
