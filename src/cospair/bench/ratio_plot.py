"""The ratios to torch eager over the number of pairs.

One picture is one dtype, one direction (forward + backward where it was measured) and one number of
features, the one with the most sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cospair.bench import drawing
from cospair.bench.plan import BOTH
from cospair.bench.variants import EAGER
from cospair.files import write_whole


def write(result: Mapping[str, Any], path: Path) -> None:
    """Draw a result of `pairs`.

    Raises:
        ValueError: As `drawing.check_place`.
    """
    drawing.check_place(path)
    write_whole(path, svg(result).encode())


def svg(result: Mapping[str, Any]) -> str:
    """The picture as text."""
    rows = _chosen(result["rows"])
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in sorted(rows, key=lambda row: row["n"]):
        lines.setdefault(row["variant"], []).append((row["n"], row["times_torch_eager"]))
    names = {name: f"{name} {points[-1][1]:.3g}x" for name, points in lines.items()}
    first = rows[0]
    title = f"The pair loss, {first['direction']}, {first['dtype']}: times as fast as torch eager"
    heads = (title, drawing.machine(result), f"pairs in the batch (D = {first['d']})")
    frame = drawing.frame_of(lines, shown=(1.0,))
    return drawing.document(title, [drawing.panel(lines, names, heads, frame, EAGER)])


def _chosen(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of one picture."""
    direction = BOTH if any(row["direction"] == BOTH for row in rows) else rows[0]["direction"]
    same = [r for r in rows if r["direction"] == direction and r["dtype"] == rows[0]["dtype"]]
    counts = Counter(row["d"] for row in same if row["variant"] == EAGER)
    d = max(counts, key=lambda d: (counts[d], d))
    return [row for row in same if row["d"] == d]
