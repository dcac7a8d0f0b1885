"""Which losses are really better or worse than the one that all are held against.

Decisions of this file:

- AUC decides, whatever the other figures say: a deciding figure is named beforehand.
- A contender stands better or worse where the interval of its difference lies on one side of 0.
  Everything else is "not shown", which does not say that the two are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from cospair.report.formats import has_ends

Standing: TypeAlias = Literal["better", "worse", "not shown", "no interval", "default"]

DECIDES = "auc"
BY_CHANCE = 0.05  # share of comparisons of equals whose 95 % interval leaves out 0
SAID: tuple[tuple[Standing, str], ...] = (
    ("better", "really better"),
    ("worse", "really worse"),
    ("not shown", "not shown to differ"),
    ("no interval", "without an interval to tell"),
)


def standing(entry: dict[str, Any], figure: str = DECIDES) -> Standing:
    """How a loss or a baseline stands to the default by one figure."""
    if entry["against_reference"] is None:
        return "default"
    row = entry["against_reference"][figure]
    if row["better"] is not None:
        return "better" if row["better"] == "b" else "worse"
    shown = has_ends(row["difference_interval"]) or row["difference"] == 0
    return "not shown" if shown else "no interval"


def standings(entries: Iterable[dict[str, Any]]) -> dict[Standing, list[str]]:
    """Names of the losses by how they stand, in the order in which it is said."""
    found: dict[Standing, list[str]] = {kind: [] for kind, _ in SAID}
    for entry in entries:
        if entry["against_reference"] is not None:
            found[standing(entry)].append(entry["name"])
    return found


def reference_of(part: dict[str, Any]) -> dict[str, Any]:
    """The loss that an encoder's others are held against."""
    return next(one for one in part["contenders"] if one["key"] == part["reference"])


def best_untrained(part: dict[str, Any]) -> dict[str, Any] | None:
    """The baseline with the highest AUC; None where there is none."""
    known = [one for one in part["baselines"] if one["figures"][DECIDES]["value"] is not None]
    return max(known, key=lambda one: one["figures"][DECIDES]["value"], default=None)


def many_comparisons(parts: Iterable[dict[str, Any]]) -> str:
    """How to read as many differences as there are."""
    made = sum(len(part["contenders"]) - 1 for part in parts)
    comparisons = "1 comparison" if made == 1 else f"{made} comparisons"
    return (
        f"{comparisons} by AUC, each with a 95 % interval of its own: of twenty comparisons "
        f"of equals about one shows a difference by chance, so here about {BY_CHANCE * made:.1f} "
        "if all were equal."
    )
