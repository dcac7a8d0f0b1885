"""Open-set identification: queries of whom nobody is enrolled must find nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cospair.report.chart_frame import chart, legend, stage
from cospair.report.formats import count, finite, interval, limit, percent, score
from cospair.report.markup import definitions, none_here, table, text

MARKS = ("curve", "second", "third")  # one look a rank; a fourth is not drawn


def open_set_section(figures: dict[str, Any] | None) -> str:
    """Write the section's content, or nothing."""
    if not figures:
        return ""
    rows = figures.get("dir_at_false_alarm") or ()
    head = ("Limit", "Rank", "DIR", "Interval", "Threshold", "Reached")
    written = table("Found at fixed false alarms", head, map(_row, rows)) if rows else ""
    written += "".join(f'<p class="line">{text(note)}.</p>' for note in _notes(rows))
    return (
        f'<div class="panel">{definitions(_probes(figures))}{written}{_at_thresholds(figures)}'
        f"</div>{_curve(figures)}"
    )


def _probes(figures: dict[str, Any]) -> list[tuple[str, str]]:
    gallery = figures.get("gallery") or {}
    return [
        ("Enrolled queries", _people(figures.get("mated"), figures.get("mated_identities"))),
        ("Others", _people(figures.get("unmated"), figures.get("unmated_identities"))),
        ("Gallery", _people(gallery.get("pictures"), gallery.get("identities"))),
    ]


def _people(pictures: int | None, identities: int | None) -> str:
    return f"{count(pictures)} pictures of {count(identities)} identities"


def _notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Each reason once, in order."""
    return list(dict.fromkeys(str(row["note"]) for row in rows if row.get("note")))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    target, rank = limit(row["false_alarm"]), str(row["rank"])
    if row.get("dir") is None:
        return (target, rank, "insufficient data", "", "", "")
    ends = interval(row.get("dir_interval"), percent)
    reached = percent(row.get("achieved_false_alarm"))
    return (target, rank, percent(row["dir"]), ends, score(row.get("threshold")), reached)


def _at_thresholds(figures: dict[str, Any]) -> str:
    rows = [
        (
            score(row["threshold"]),
            rank,
            percent(share),
            interval((row.get("dir_interval") or {}).get(rank), percent),
            percent(row.get("false_alarm")),
        )
        for row in figures.get("at_thresholds") or ()
        for rank, share in row["dir"].items()
    ]
    head = ("Threshold", "Rank", "DIR", "Interval", "False alarms")
    return table("At the chosen threshold", head, rows) if rows else ""


def _curve(figures: dict[str, Any]) -> str:
    title, curve = "Found against false alarms", figures.get("curve")
    if not curve or not len(curve["false_alarm"]):
        return chart("open-set-curve", title, none_here("None: no curve was computed."))
    ranks = [f"rank {rank}" for rank in curve["dir"]][: len(MARKS)]
    caption = (
        "Every threshold is one point: how many of the enrolled are found (up, DIR) for how many "
        "others raise a false alarm (right)."
    )
    drawing = legend(list(zip(MARKS, ranks, strict=False))) + stage(
        "open-set", "Detection and identification rate against false alarms; the table has figures."
    )
    return chart("open-set-curve", title, drawing, caption=caption)


def open_set_numbers(figures: dict[str, Any] | None) -> dict[str, Any] | None:
    """The curve as the script draws it: one list of DIRs a rank."""
    curve = (figures or {}).get("curve")
    if not curve or not len(curve["false_alarm"]):
        return None
    return {
        "unmated": (figures or {}).get("unmated"),
        "false_alarm": [finite(rate) for rate in curve["false_alarm"]],
        "dir": [[finite(share) for share in shares] for shares in curve["dir"].values()][
            : len(MARKS)
        ],
        "ranks": list(curve["dir"])[: len(MARKS)],
    }
