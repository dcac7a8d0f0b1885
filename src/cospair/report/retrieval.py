"""Retrieval: how far down the right identity stands, and by which rules that was counted."""

from __future__ import annotations

from typing import Any

from cospair.report.formats import count, interval, percent
from cospair.report.markup import definitions, none_here, table, text


def retrieval_section(retrieval: dict[str, Any] | None) -> str:
    """Write the section's content; without retrieval figures, say so."""
    if not retrieval:
        return none_here("None: retrieval was not measured.")
    return (
        f'<div class="panel">{_figures(retrieval)}</div>'
        f'<div class="panel"><h3>How it was counted</h3>{definitions(_rules(retrieval))}</div>'
    )


def _figures(retrieval: dict[str, Any]) -> str:
    rows = [
        (f"CMC@{k}", percent(share), interval(retrieval.get(f"cmc_{k}_interval"), percent))
        for k, share in (retrieval.get("cmc") or {}).items()
    ]
    mean = percent(retrieval.get("map"))
    rows.append(("mAP", mean, interval(retrieval.get("map_interval"), percent)))
    return table("Figures of retrieval", ("Figure", "Share", "Interval"), rows)


def _rules(retrieval: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Queries", count(retrieval.get("queries"))),
        ("Left out", f"{count(retrieval.get('skipped_queries'))} queries without a match"),
        ("Average precision", text(retrieval.get("average_precision", "not stated"))),
        ("Equal scores", text(retrieval.get("ties", "not stated"))),
    ]
