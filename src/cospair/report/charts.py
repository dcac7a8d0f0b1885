"""The two charts: the numbers the page's script draws, and the same in tables and words.

A histogram is drawn as two densities, each of area 1, because impostor pairs outnumber genuine ones
by far and raw counts would hide the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, isfinite
from typing import Any

from cospair.report.formats import interval, limit, percent, score
from cospair.report.markup import folded, none_here, table, text

TABLE_ROWS = 20  # a histogram is told in at most this many rows


def chart_numbers(result: dict[str, Any]) -> dict[str, Any]:
    """Gather what the charts need, as JSON takes it: what is not finite becomes null."""
    figures = result["verification"]
    return {
        "impostor_pairs": figures.get("impostor_pairs"),
        "roc": _curve(figures.get("roc")),
        "limits": _limits(figures.get("tar_at_far") or ()),
        "eer": _finite(figures.get("eer")),
        "histogram": _densities(figures.get("histogram")),
        "threshold": _threshold(result.get("threshold")),
    }


def _curve(roc: dict[str, Any] | None) -> dict[str, list[float | None]] | None:
    if roc is None or not _has_points(roc):
        return None
    return {key: [_finite(x) for x in roc[key]] for key in ("far", "tar", "threshold")}


def _limits(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    known = (row for row in rows if row.get("tar") is not None)
    return [
        {"far": float(row["far"]), "tar": float(row["tar"]), "ends": _ends(row)} for row in known
    ]


def _ends(row: dict[str, Any]) -> list[float] | None:
    ends = row.get("tar_interval")
    return [float(end) for end in ends] if ends else None


def _threshold(threshold: dict[str, Any] | None) -> dict[str, float | None] | None:
    if not threshold:
        return None
    test = threshold.get("test") or {}
    return {
        "score": _finite(threshold["threshold"]),
        "far": _finite(test.get("far")),
        "frr": _finite(test.get("frr")),
    }


def _densities(histogram: dict[str, Any] | None) -> dict[str, list[float]] | None:
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


def roc_figure(result: dict[str, Any]) -> str:
    """Write the ROC curve's figure, its legend, explanation and table."""
    figures = result["verification"]
    rows = _tar_table(figures.get("tar_at_far") or ())
    if not _has_points(figures.get("roc")):
        return _figure("roc", "ROC curve", none_here("None: no curve was computed."), "", rows)
    drawing = _axis_switch() + _legend(_roc_marks(result)) + _stage("roc", _roc_words(figures))
    caption = (
        "Every threshold is one point: how many genuine pairs pass (up, TAR) for how many "
        "impostor pairs that pass too (right, FAR). The nearer the top left, the better."
    )
    return _figure("roc", "ROC curve", drawing, caption, rows)


def _roc_marks(result: dict[str, Any]) -> list[tuple[str, str]]:
    marks = [("curve", "model"), ("limits", "TAR and interval"), ("equal", "EER")]
    if (result.get("threshold") or {}).get("test"):
        marks.append(("chosen", "threshold"))
    return [*marks, ("chance", "guessing")]


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
    ends = interval(row.get("tar_interval"), percent)
    reached = percent(row.get("achieved_far"))
    return (limit(row["far"]), percent(row["tar"]), ends, score(row.get("threshold")), reached)


def histogram_figure(result: dict[str, Any]) -> str:
    """Write the score histogram's figure, its legend, explanation and table."""
    histogram = result["verification"].get("histogram")
    title = "Scores of genuine and impostor pairs"
    if not _has_pairs(histogram):
        return _figure("scores", title, none_here("None: no histogram was computed."), "", "")
    legend = _legend([("genuine", "genuine pairs"), ("impostor", "impostor pairs")])
    words = "Histogram of scores. " + _histogram_words(result)
    caption = (
        "The less the two shapes overlap, the better the model tells identities apart. Each is "
        "scaled to area 1, since impostor pairs far outnumber genuine ones."
    )
    rows = folded("These scores as a table", _histogram_table(histogram))
    return _figure("scores", title, legend + _stage("scores", words), caption, rows)


def _histogram_words(result: dict[str, Any]) -> str:
    test = (result.get("threshold") or {}).get("test")
    if not test:
        return "No threshold is drawn."
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


def _figure(name: str, title: str, drawing: str, caption: str, rows: str) -> str:
    told = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="panel drawing" id="{name}" aria-labelledby="{name}-title">'
        f'<h3 id="{name}-title">{text(title)}</h3>{drawing}{told}{rows}</figure>'
    )


def _stage(name: str, words: str) -> str:
    return f'<div class="chart" id="{name}-chart" role="img" aria-label="{text(words)}"></div>'


def _legend(marks: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<li><i class="mark {kind}"></i>{text(words)}</li>' for kind, words in marks)
    return f'<ul class="legend">{items}</ul>'


def _axis_switch() -> str:
    return (
        '<fieldset class="switch"><legend>FAR axis</legend>'
        '<label><input type="radio" name="far-axis" value="log" checked> logarithmic</label>'
        '<label><input type="radio" name="far-axis" value="linear"> linear</label></fieldset>'
    )


def _has_points(roc: dict[str, Any] | None) -> bool:
    return bool(roc) and len(roc["far"]) > 0


def _has_pairs(histogram: dict[str, Any] | None) -> bool:
    return bool(histogram) and len(histogram["edges"]) > 1


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and isfinite(value) else None
