"""Retrieval: how far down the right identity stands, and by which rules that was counted."""

from __future__ import annotations

from typing import Any

from cospair.report.chart_frame import chart, legend, stage
from cospair.report.formats import count, interval, percent
from cospair.report.interval_notes import reasons
from cospair.report.markup import definitions, none_here, table, text

SINGLE = (
    ("mAP", "map"),
    ("MAP@R", "map_at_r"),
    ("R-precision", "r_precision"),
    ("mINP", "minp"),
)


def retrieval_section(retrieval: dict[str, Any] | None) -> str:
    """Write the section's content; without retrieval figures, say so."""
    if not retrieval:
        return none_here("None: retrieval was not measured.")
    counted = f"<h3>How it was counted</h3>{definitions(_rules(retrieval))}"
    return (
        f'<div class="panel">{_figures(retrieval)}</div>'
        f'{_curve(retrieval)}<div class="panel broad">{counted}</div>'
    )


def _figures(retrieval: dict[str, Any]) -> str:
    rows = [
        (f"CMC@{k}", percent(share), _interval(retrieval, f"cmc_{k}"))
        for k, share in (retrieval.get("cmc") or {}).items()
    ]
    rows += [
        (name, percent(retrieval.get(key)), _interval(retrieval, key))
        for name, key in SINGLE
        if key == "map" or retrieval.get(key) is not None
    ]
    rows += [
        (f"mAP@{k}, over {denominator}", percent(share), "")
        for k, shares in (retrieval.get("map_at") or {}).items()
        for denominator, share in shares.items()
    ]
    rows += [
        (f"Recall@{k}", percent(share), "") for k, share in (retrieval.get("recall") or {}).items()
    ]
    written = table("Figures of retrieval", ("Figure", "Share", "Interval"), rows)
    return written + reasons(
        retrieval, {**{k: name for name, k in SINGLE}, **_cmc_names(retrieval)}
    )


def _cmc_names(retrieval: dict[str, Any]) -> dict[str, str]:
    return {f"cmc_{k}": f"CMC@{k}" for k in retrieval.get("cmc") or {}}


def _interval(retrieval: dict[str, Any], key: str) -> str:
    """The interval; blank where none was asked for."""
    name = f"{key}_interval"
    return interval(retrieval[name], percent) if name in retrieval else ""


def _curve(retrieval: dict[str, Any]) -> str:
    shares = retrieval.get("cmc_curve")
    if shares is None or not len(shares):
        return ""
    ends = f"{percent(shares[0])} at rank 1 to {percent(shares[-1])} at rank {len(shares)}"
    words = f"CMC curve from {ends}."
    caption = (
        "Of all queries, the share whose identity stands among the first k results. "
        "The axis begins where the curve does."
    )
    drawing = legend([("curve", "share of queries")]) + stage("cmc", words)
    return chart("cmc", "CMC curve", drawing, caption=caption)


def _rules(retrieval: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Queries", count(retrieval.get("queries"))),
        ("Left out", _left_out(retrieval)),
        *_gallery(retrieval.get("gallery")),
        *_single_shot(retrieval.get("single_gallery_shot")),
        ("Average precision", text(retrieval.get("average_precision", "not stated"))),
        ("Equal scores", text(retrieval.get("ties", "not stated"))),
    ]


def _left_out(retrieval: dict[str, Any]) -> str:
    words = f"{count(retrieval.get('skipped_queries'))} queries without a match"
    by_camera = retrieval.get("skipped_by_camera")
    return f"{words}, {count(by_camera)} of them by the camera rule" if by_camera else words


def _gallery(gallery: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not gallery:
        return []
    dropped = (
        ("junk", "junk, dropped"),
        ("distractors", "of identities no query has"),
        ("same_camera", "dropped by the camera rule, over all queries"),
    )
    parts = [f"{count(gallery.get('pictures'))} pictures"]
    parts += [f"{count(gallery[key])} {words}" for key, words in dropped if gallery.get(key)]
    return [("Gallery", "; ".join(parts))]


def _single_shot(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The figures with one gallery picture an identity, drawn at random."""
    if not found:
        return []
    spread = found.get("cmc_deviation") or {}
    told = ", ".join(
        f"CMC@{text(k)} {percent(share)} \N{PLUS-MINUS SIGN} {percent(spread.get(k))}"
        for k, share in found["cmc"].items()
    )
    draws = text(found.get("draws"))
    return [("One picture an identity", f"{told}: mean and deviation of {draws} draws")]
