"""Dots with whiskers in a column of a table: figures and their intervals on one scale.

The scale holds the losses; a baseline far from it stands at its edge, with an arrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor
from typing import Any, NamedTuple

from cospair.report.formats import has_ends


class Scale(NamedTuple):
    """Ends of a column's scale."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where a value stands, from 0 to 1."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def scale_of(figures: Iterable[dict[str, Any]]) -> Scale:
    """A scale that holds all figures and their intervals, its ends whole hundredths."""
    values = [
        value
        for one in figures
        for value in (one["value"], *(one["interval"] or ()))
        if value is not None
    ]
    if not values:
        return Scale(0.0, 1.0)
    low, high = floor(100 * min(values)) / 100, ceil(100 * max(values)) / 100
    return Scale(max(low, 0.0), high if high > low else low + 0.01)


def whisker(
    scale: Scale,
    value: float | None,
    ends: Sequence[float] | None,
    reference: float | None,
    *,
    kind: str,
) -> str:
    """Draw a figure, its dot of a `kind`; the numbers and words beside it say the same."""
    if value is None:
        return ""
    beyond = ' data-beyond="low"' if value < scale.low else ""
    beyond = ' data-beyond="high"' if value > scale.high else beyond
    line = ""
    if has_ends(ends):
        places = f"--low:{scale.place(ends[0]):.4f};--high:{scale.place(ends[1]):.4f}"
        line = f'<i style="{places}"></i>'
    rule = "" if reference is None else f'<s style="--at:{scale.place(reference):.4f}"></s>'
    dot = f'<b style="--at:{scale.place(value):.4f}"></b>'
    return f'<span class="whisker {kind}" aria-hidden="true"{beyond}>{rule}{line}{dot}</span>'
