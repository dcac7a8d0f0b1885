"""Why a figure has no interval, in the words of the evaluation."""

from __future__ import annotations

from typing import Any

from cospair.report.markup import text


def note_of(figures: dict[str, Any], key: str) -> str:
    """The reason why a figure has no interval, as the evaluation gave it; else empty."""
    return str(((figures.get("interval") or {}).get("notes") or {}).get(key, ""))


def reasons(figures: dict[str, Any], names: dict[str, str]) -> str:
    """Say below a table why figures have no interval, each reason once."""
    told: dict[str, list[str]] = {}
    for key, name in names.items():
        if note := note_of(figures, key):
            told.setdefault(note, []).append(name)
    return "".join(
        f'<p class="line">{text(", ".join(whose))}: {text(note)}.</p>'
        for note, whose in told.items()
    )
