"""The slider: one threshold that moves every chart, the counts and the pictures of mistakes."""

from __future__ import annotations

from typing import Any

from cospair.report.formats import count
from cospair.report.markup import none_here, text
from cospair.report.operating_points import curve_points, is_whole, slider_range, stops

RATES = (
    ("far", "FAR", "impostor pairs wrongly accepted"),
    ("frr", "FRR", "genuine pairs wrongly rejected"),
    ("accuracy", "Accuracy", "pairs judged right"),
)


def console(result: dict[str, Any]) -> str:
    """Write the slider, its buttons and read-outs; the script fills and shows them."""
    ends = slider_range(result)
    if ends is None:
        return none_here("None: without a curve there is no threshold to move.")
    low, high, step = (f"{ends[key]:.12g}" for key in ("low", "high", "step"))
    reach = f'min="{low}" max="{high}"'
    return (
        '<div class="console panel" id="console" hidden><div class="number">'
        f'<label for="threshold-number">Threshold</label><input type="number" step="any" '
        f'id="threshold-number" {reach} inputmode="decimal" autocomplete="off"></div>'
        f'<input type="range" id="threshold-range" {reach} step="{step}" autocomplete="off" '
        f'aria-label="Threshold">{_buttons(result)}'
        f'<dl class="readings">{"".join(_reading(*rate) for rate in RATES)}</dl>'
        '<p class="hush" id="threshold-said" aria-live="polite"></p></div>'
    )


def _buttons(result: dict[str, Any]) -> str:
    buttons = "".join(
        f'<li><button type="button" data-stop="{place}">{text(stop["name"])}</button></li>'
        for place, stop in enumerate(stops(result))
    )
    return f'<ul class="stops" aria-label="Thresholds to go to">{buttons}</ul>' if buttons else ""


def _reading(name: str, short: str, words: str) -> str:
    return (
        f'<div><dt><abbr title="{words}">{short}</abbr></dt>'
        f'<dd id="reading-{name}">\N{EN DASH}</dd></div>'
    )


def decisions(result: dict[str, Any]) -> str:
    """Write the panel that tells the decisions at the slider's threshold in counts."""
    figures, points = result["verification"], curve_points(result)
    if points is None:
        return ""
    kinds = (
        ("genuine", figures.get("genuine_pairs"), "accepted", "rejected"),
        ("impostor", figures.get("impostor_pairs"), "rejected", "accepted"),
    )
    return (
        '<section class="panel decisions broad" id="decisions" hidden>'
        '<h3>What this threshold decides</h3><p class="state" id="state"></p><ul class="outcomes">'
        + "".join(_outcome(*kind) for kind in kinds)
        + f'</ul><p class="line">{_exactness(result, len(points["far"]))}</p></section>'
    )


def _outcome(kind: str, pairs: int | None, right: str, wrong: str) -> str:
    return (
        f'<li class="{kind}"><p><b>{count(pairs)}</b> {kind} pairs</p>'
        '<div class="split" aria-hidden="true"><i></i><b></b></div>'
        f'<p class="ends"><span><span id="{kind}-right"></span> rightly {right}</span>'
        f'<span><span id="{kind}-wrong"></span> wrongly {wrong}</span></p></li>'
    )


def _exactness(result: dict[str, Any], points: int) -> str:
    if is_whole(result):
        return f"Every threshold of these pairs is drawn: {count(points)} points."
    return (
        f"This page holds {count(points)} points of the curve. The rates are exact at those "
        "points; between two of them it shows the stricter one's."
    )
