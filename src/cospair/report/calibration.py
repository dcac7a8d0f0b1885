"""Calibration: how far a score, turned into a probability, can be taken at its word."""

from __future__ import annotations

from typing import Any

from cospair.report.chart_frame import chart, legend, stage
from cospair.report.formats import count, interval, percent, plain
from cospair.report.markup import table, text

METHODS = {
    "platt": "a logistic curve (Platt)",
    "isotonic": "a rising staircase (isotonic regression)",
}


def calibration_section(calibration: dict[str, Any] | None) -> str:
    """Write the section's content, or nothing."""
    if not calibration:
        return ""
    return (
        f'<div class="panel">{_costs(calibration)}{_points(calibration)}</div>'
        f"{_reliability(calibration)}"
    )


def _costs(calibration: dict[str, Any]) -> str:
    method = str(calibration.get("method", "not stated"))
    rows = [
        (name, plain(calibration.get(key)), interval(calibration.get(f"{key}_interval"), plain))
        for name, key in (("Cllr", "cllr"), ("min-Cllr", "min_cllr"))
    ]
    lines = (
        "Cllr is the cost of the probabilities in bits a pair: 0 is perfect, 1 tells nothing. "
        "min-Cllr is what the best rising map of these scores would cost; the rest is calibration."
    )
    made = f"Probabilities by {METHODS.get(method, method)}."
    written = table("Cost of the probabilities", ("Figure", "Bits", "Interval"), rows)
    return f'{written}<p class="line">{text(made)} {text(lines)}</p>'


def _told(calibration: dict[str, Any]) -> dict[str, Any] | None:
    told = calibration.get("reliability")
    return told if told and len(told["probability"]) else None


def _points(calibration: dict[str, Any]) -> str:
    told = _told(calibration)
    if not told:
        return ""
    rows = [
        (
            percent(told["probability"][i]),
            percent(told["observed"][i]),
            *_ends(told, i),
            count(int(pairs)),
        )
        for i, pairs in enumerate(told["pairs"])
    ]
    head = ("Said", "Seen", *(["Interval"] if "low" in told else []), "Pairs")
    return table("Groups of pairs", head, rows)


def _ends(told: dict[str, Any], i: int) -> list[str]:
    """The interval's cell, where the groups have intervals."""
    if "low" not in told:
        return []
    low, high = told["low"][i], told["high"][i]
    return ["none" if low is None or high is None else interval([low, high], percent)]


def _reliability(calibration: dict[str, Any]) -> str:
    if not _told(calibration):
        return ""
    marks = legend([("limits", "pairs of about that probability"), ("chance", "as said")])
    prior = calibration.get("prior")
    weighed = "" if prior is None else f" Pairs weigh as if {percent(prior)} of all were genuine."
    caption = (
        "Of the pairs given a probability (right), the share that is genuine (up). Above the line "
        "the model is too careful, below it too sure. The larger the dot, the more pairs."
        f"{weighed}"
    )
    drawing = marks + stage("reliability", "Reliability diagram; the table has its points.")
    return chart("reliability", "Said and seen", drawing, caption=caption)
