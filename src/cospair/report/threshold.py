"""The threshold: its value, how and on whom it was chosen, and what it does to the test pairs."""

from __future__ import annotations

from math import isfinite
from typing import Any

from cospair.report.formats import count, limit, percent, score
from cospair.report.markup import definitions, none_here, table, text

RULES = {
    "accuracy": "the most calibration pairs judged right",
    "eer": "as many false accepts as false rejects, as shares of the calibration pairs",
    "far": "the lowest that lets at most {limit} of the calibration impostor pairs pass",
}


def threshold_section(threshold: dict[str, Any] | None) -> str:
    """Write the section's content; without a threshold, say so."""
    if not threshold:
        return none_here("None: no threshold was chosen for this model.")
    return (
        f'<div class="panel chosen"><p class="big"><span>Accept a pair when its score is at least'
        f"</span> <strong>{score(threshold['threshold'])}</strong></p>"
        f"{definitions(_choice(threshold))}</div>"
        f'<div class="panel">{_outcomes(threshold.get("test"))}</div>'
        f'<div class="panel">{_rates(threshold)}</div>'
    )


def _choice(threshold: dict[str, Any]) -> list[tuple[str, str]]:
    rule = str(threshold.get("rule") or "not stated")
    target = threshold.get("far_target")
    allowed = "the allowed share" if target is None else limit(target)
    words = RULES[rule].format(limit=allowed) if rule in RULES else rule
    return [("Rule", text(words)), ("Chosen on", text(threshold.get("chosen_on") or "not stated"))]


def _outcomes(test: dict[str, Any] | None) -> str:
    """Draw what happens to the two kinds of test pairs, in counts."""
    if not test:
        return none_here("None: the threshold was not tried on test identities.")
    genuine, impostor = test["genuine_pairs"], test["impostor_pairs"]
    return (
        '<h3>On the test identities</h3><ul class="outcomes">'
        + _outcome("genuine", genuine, test["frr"], "rejected", "FRR")
        + _outcome("impostor", impostor, test["far"], "accepted", "FAR")
        + "</ul>"
    )


def _outcome(kind: str, pairs: int, error: float | None, wrong: str, rate: str) -> str:
    if not pairs or error is None or not isfinite(error):
        return f'<li class="{kind}"><p><b>0</b> {kind} pairs: {rate} {percent(None)}</p></li>'
    right = "accepted" if wrong == "rejected" else "rejected"
    # The rate is a count over `pairs`, so the product is that count to rounding.
    missed = round(error * pairs)
    return (
        f'<li class="{kind}"><p><b>{count(pairs)}</b> {kind} pairs</p>'
        f'<div class="split" aria-hidden="true" style="--wrong:{error:.5f}"><i></i><b></b></div>'
        f'<p class="ends"><span>{count(pairs - missed)} {right}</span>'
        f"<span>{count(missed)} wrongly {wrong}, {rate} {percent(error)}</span></p></li>"
    )


def _rates(threshold: dict[str, Any]) -> str:
    sides = [threshold.get("calibration") or {}, threshold.get("test") or {}]
    rows = [
        ("FAR", *(percent(side.get("far")) for side in sides)),
        ("FRR", *(percent(side.get("frr")) for side in sides)),
        ("Accuracy", *(percent(side.get("accuracy")) for side in sides)),
        ("Genuine pairs", *(count(side.get("genuine_pairs")) for side in sides)),
        ("Impostor pairs", *(count(side.get("impostor_pairs")) for side in sides)),
    ]
    return table("Rates at the threshold", ("Rate", "Calibration", "Test"), rows)
