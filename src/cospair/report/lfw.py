"""The protocol of Labeled Faces in the Wild: folds, each judged by what the others chose."""

from __future__ import annotations

from typing import Any

from cospair.report.formats import count, interval, limit, percent, score
from cospair.report.markup import definitions, table, text


def lfw_section(figures: dict[str, Any] | None) -> str:
    """Write the section's content, or nothing."""
    if not figures:
        return ""
    rows = [
        (str(fold), percent(accuracy), score(threshold))
        for fold, (accuracy, threshold) in enumerate(
            zip(figures["fold_accuracy"], figures["fold_threshold"], strict=True), start=1
        )
    ]
    mean = f"{percent(figures['accuracy'])} \N{PLUS-MINUS SIGN} {percent(figures['accuracy_std'])}"
    return (
        f'<div class="panel"><p class="big"><span>Mean accuracy and standard deviation over folds'
        f"</span> <strong>{mean}</strong></p>{definitions(_facts(figures))}</div>"
        f'<div class="panel">{table("Folds", ("Fold", "Accuracy", "Threshold"), rows)}</div>'
    )


def _facts(figures: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("Pairs", f"{count(figures['pairs'])} in {count(figures['folds'])} folds")]
    val = figures.get("val")
    if not val:
        return facts
    name = f"VAL at FAR {limit(val['far'])}"
    if val.get("val") is None:
        return [*facts, (name, text(val.get("note") or "insufficient data"))]
    ends = interval(val.get("val_interval"), percent, str(val.get("note") or ""))
    return [
        *facts,
        (name, f"{percent(val['val'])} ({text(ends)})"),
        ("FAR reached", percent(val.get("achieved_far"))),
    ]
