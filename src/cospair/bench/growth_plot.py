"""How the time and the memory of the loss of all pairs grow with the rows of a batch.

One picture is one direction (forward + backward where it was measured), one number of features, one
margin and one kind of data: those with the most sizes, and of these the largest, trained-like.
Beside a line stand its last figure and its slope over its last three sizes: N^2 is the growth of
the pairs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cospair.bench import drawing
from cospair.bench.all_pairs_variants import PRODUCT
from cospair.bench.plan import BOTH
from cospair.files import write_whole

_LAST = 3


def write(result: Mapping[str, Any], path: Path) -> None:
    """Draw a result of `all_pairs`.

    Raises:
        ValueError: As `drawing.check_place`.
    """
    drawing.check_place(path)
    write_whole(path, svg(result).encode())


def svg(result: Mapping[str, Any]) -> str:
    """The picture as text."""
    rows = _chosen(result["rows"])
    first = rows[0]
    loss = f"All pairs, {first['direction']}, float32"
    what = f"D = {first['d']}, margin {first['margin']:g}, {first['data']}"
    across = f"rows of the batch ({what})"
    panels = []
    for column, title, unit in (
        ("median_ms", f"{loss}: time of a step, ms", _milliseconds),
        ("extra_mib", f"{loss}: growth of the memory peak, MiB", _mebibytes),
    ):
        lines = _lines(rows, column)
        if lines:
            frame = drawing.frame_of(lines, top=len(panels) * drawing.PANEL)
            heads = (title, drawing.machine(result), across)
            panels.append(drawing.panel(lines, _names(lines, unit), heads, frame, PRODUCT))
    return drawing.document(loss, panels)


def slope(points: Sequence[tuple[int, float]]) -> float | None:
    """The power of N that the last values grow with, by least squares; None for a single size.

    Example:
        >>> slope([(1024, 1.0), (2048, 4.0), (4096, 16.0)])
        2.0
    """
    last = [(math.log2(n), math.log2(value)) for n, value in points[-_LAST:]]
    if len(last) < 2:
        return None
    middle = [sum(values) / len(last) for values in zip(*last, strict=True)]
    spread = sum((x - middle[0]) ** 2 for x, _ in last)
    return sum((x - middle[0]) * (y - middle[1]) for x, y in last) / spread


def _chosen(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of one picture."""
    direction = BOTH if any(row["direction"] == BOTH for row in rows) else rows[0]["direction"]
    same = [row for row in rows if row["direction"] == direction]

    def kind(row: Mapping[str, Any]) -> tuple[int, float, str]:
        return row["d"], row["margin"], row["data"]

    counts = Counter(kind(row) for row in same if row["variant"] == PRODUCT)
    chosen = max(counts, key=lambda which: (counts[which], which))
    return [row for row in same if kind(row) == chosen]


def _lines(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, list[tuple[int, float]]]:
    """By variant; a figure of 0, which memory can be, has no place on the axis."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in sorted(rows, key=lambda row: row["n"]):
        if row[column]:
            lines.setdefault(row["variant"], []).append((row["n"], row[column]))
    return lines


def _names(lines: drawing.Lines, unit: Callable[[float], str]) -> dict[str, str]:
    names = {}
    for name, points in lines.items():
        power = slope(points)
        grows = "" if power is None else f", N^{power:.2g}"
        names[name] = f"{name} {unit(points[-1][1])}{grows}"
    return names


def _milliseconds(value: float) -> str:
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.3g} ms"


def _mebibytes(value: float) -> str:
    return f"{value / 1024:.3g} GiB" if value >= 1024 else f"{value:.3g} MiB"
