"""The chosen threshold: its value, how and on whom it was chosen, its rates there and on test."""

from __future__ import annotations

from typing import Any

from cospair.report.formats import count, interval, limit, percent, score
from cospair.report.interval_notes import reasons
from cospair.report.markup import definitions, none_here, table, text

RULES = {
    "accuracy": "the most calibration pairs judged right",
    "balanced": "the most calibration pairs judged right, both kinds weighing alike",
    "eer": "as many false accepts as false rejects, as shares of the calibration pairs",
    "far": "the lowest that lets at most {limit} of the calibration impostor pairs pass",
}
RATES = (("FAR", "far"), ("FRR", "frr"), ("Accuracy", "accuracy"))


def threshold_section(threshold: dict[str, Any] | None) -> str:
    """Write the section's content; without a threshold, say so."""
    if not threshold:
        return none_here("None: no threshold was chosen for this model.")
    return (
        f'<div class="panel chosen"><p class="big"><span>Accept a pair when its score is at least'
        f"</span> <strong>{score(threshold['threshold'])}</strong></p>"
        f"{definitions(_choice(threshold))}</div>"
        f'<div class="panel">{_rates(threshold)}</div>'
    )


def _choice(threshold: dict[str, Any]) -> list[tuple[str, str]]:
    rule = str(threshold.get("rule") or "not stated")
    target = threshold.get("far_target")
    allowed = "the allowed share" if target is None else limit(target)
    words = RULES[rule].format(limit=allowed) if rule in RULES else rule
    return [("Rule", text(words)), ("Chosen on", text(threshold.get("chosen_on") or "not stated"))]


def _rates(threshold: dict[str, Any]) -> str:
    calibration = {**threshold, **(threshold.get("calibration") or {})}
    sides = [calibration, threshold.get("test") or {}]
    rows = [(name, *(_rate(side, key) for side in sides)) for name, key in RATES]
    for kind, wrong in (("impostor", "false_accepts"), ("genuine", "false_rejects")):
        rows.append((f"{kind.title()} pairs", *(_pairs(side, kind, wrong) for side in sides)))
    names = {key: f"{name} on test" for name, key in RATES}
    why = reasons(threshold.get("test") or {}, names)
    untried = none_here("None: the threshold was not tried on test identities.")
    written = table("Rates at the threshold", ("Rate", "Calibration", "Test"), rows)
    return written + why if threshold.get("test") else written + untried


def _rate(side: dict[str, Any], key: str) -> str:
    ends = side.get(f"{key}_interval")
    written = percent(side.get(key))
    return f"{written} ({interval(ends, percent)})" if ends else written


def _pairs(side: dict[str, Any], kind: str, wrong: str) -> str:
    pairs, errors = side.get(f"{kind}_pairs"), side.get(wrong)
    if errors is None:
        return count(pairs)
    return f"{count(pairs)}, {count(errors)} wrong"
