"""ROC, DET and score histogram: their frames, and the same in words and tables.

A histogram is drawn as two densities, each of area 1, because impostor pairs outnumber genuine ones
by far and raw counts would hide the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Any

from cospair.report.chart_frame import chart, far_axis_switch, legend, stage
from cospair.report.formats import interval, limit, percent, score
from cospair.report.markup import folded, none_here, table
from cospair.report.operating_points import has_points

TABLE_ROWS = 20  # a histogram is told in at most this many rows
NO_CURVE = "None: no curve was computed."


def roc_figure(result: dict[str, Any]) -> str:
    """Write the ROC curve's figure, its legend, explanation and table."""
    figures = result["verification"]
    rows = _tar_table(figures.get("tar_at_far") or ())
    if not has_points(figures):
        return chart("roc", "ROC curve", none_here(NO_CURVE), rows=rows)
    marks = [
        ("curve", "model"),
        ("limits", "TAR and interval"),
        ("equal", "EER"),
        ("chosen", "threshold"),
        ("chance", "guessing"),
    ]
    drawing = far_axis_switch() + legend(marks) + stage("roc", _roc_words(figures))
    caption = (
        "Every threshold is one point: how many genuine pairs pass (up, TAR) for how many "
        "impostor pairs that pass too (right, FAR). The nearer the top left, the better."
    )
    return chart("roc", "ROC curve", drawing, caption=caption, rows=rows)


def _roc_words(figures: dict[str, Any]) -> str:
    parts = [
        f"TAR {percent(row['tar'])} at FAR {limit(row['far'])}"
        for row in figures.get("tar_at_far") or ()
        if row.get("tar") is not None
    ]
    return "ROC curve. " + "; ".join([*parts, f"EER {percent(figures.get('eer'))}"]) + "."


def _tar_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    head = ("FAR limit", "TAR", "Interval", "Threshold", "FAR reached")
    return folded("These points as a table", table("TAR at fixed FAR", head, map(_tar_row, rows)))


def _tar_row(row: dict[str, Any]) -> tuple[str, ...]:
    if row.get("tar") is None:
        return (limit(row["far"]), row.get("note") or "insufficient data", "", "", "")
    ends = interval(row.get("tar_interval"), percent, row.get("note") or "")
    reached = percent(row.get("achieved_far"))
    return (limit(row["far"]), percent(row["tar"]), ends, score(row.get("threshold")), reached)


def det_figure(result: dict[str, Any]) -> str:
    """Write the DET curve's figure."""
    figures = result["verification"]
    if not has_points(figures):
        return chart("det", "DET curve", none_here(NO_CURVE))
    marks = [("curve", "model"), ("chosen", "threshold"), ("chance", "FAR = FRR")]
    words = f"DET curve, FRR against FAR. They meet at {percent(figures.get('eer'))}."
    caption = (
        "Both errors at every threshold, on normal-deviate axes: scores of two bell shapes give a "
        "straight line. The nearer the bottom left, the better. An error of 0 and one beyond the "
        "drawn range stand at the edge."
    )
    return chart("det", "DET curve", legend(marks) + stage("det", words), caption=caption)


def histogram_figure(result: dict[str, Any]) -> str:
    """Write the score histogram's figure, its legend, explanation and table."""
    histogram = result["verification"].get("histogram")
    title = "Scores of genuine and impostor pairs"
    if not _has_pairs(histogram):
        return chart("scores", title, none_here("None: no histogram was computed."))
    marks = legend([("genuine", "genuine pairs"), ("impostor", "impostor pairs")])
    words = "Histogram of scores. " + _histogram_words(result)
    caption = (
        "The less the two shapes overlap, the better the model tells identities apart. Each is "
        "scaled to area 1, since impostor pairs far outnumber genuine ones."
    )
    rows = folded("These scores as a table", _histogram_table(histogram))
    drawing = marks + stage("scores", words)
    return chart("scores", title, drawing, caption=caption, rows=rows, broad=True)


def _histogram_words(result: dict[str, Any]) -> str:
    test = (result.get("threshold") or {}).get("test")
    if not test:
        return "No threshold was chosen."
    return (
        f"At the threshold {score(result['threshold']['threshold'])}, {percent(test['frr'])} of "
        f"genuine pairs lie below and {percent(test['far'])} of impostor pairs at or above it."
    )


def _histogram_table(histogram: dict[str, Any]) -> str:
    edges = histogram["edges"]
    pairs = [a + b for a, b in zip(histogram["genuine"], histogram["impostor"], strict=True)]
    used = [i for i, n in enumerate(pairs) if n] or [0]
    step = max(1, ceil((used[-1] - used[0] + 1) / TABLE_ROWS))
    totals = {kind: sum(histogram[kind]) or 1 for kind in ("genuine", "impostor")}
    rows = []
    for start in range(used[0], used[-1] + 1, step):
        stop = min(start + step, len(pairs))
        shares = (percent(sum(histogram[k][start:stop]) / total) for k, total in totals.items())
        rows.append((f"{score(edges[start])} to {score(edges[stop])}", *shares))
    return table("Share of pairs by score", ("Score", "Genuine", "Impostor"), rows)


def densities(histogram: dict[str, Any] | None) -> dict[str, list[float]] | None:
    """Turn the histogram's counts into two densities of area 1; None where there is none."""
    if histogram is None or not _has_pairs(histogram):
        return None
    edges = [float(edge) for edge in histogram["edges"]]
    widths = [right - left for left, right in pairwise(edges)]
    drawn = {"edges": edges}
    for kind in ("genuine", "impostor"):
        # A kind without pairs has density 0 everywhere, not 0 / 0.
        pairs = sum(histogram[kind]) or 1
        drawn[kind] = [
            float(n / pairs / width) for n, width in zip(histogram[kind], widths, strict=True)
        ]
    return drawn


def _has_pairs(histogram: dict[str, Any] | None) -> bool:
    return bool(histogram) and len(histogram["edges"]) > 1
