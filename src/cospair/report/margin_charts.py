"""What the margin does: the score shapes, the figures and the mean scores against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cospair.report.chart_frame import chart, legend, stage
from cospair.report.formats import decimal, finite, interval, percent, score
from cospair.report.markup import folded, none_here, table
from cospair.report.score_shapes import shapes_figure

FORMS = ("1 - s", "symmetric hinge")
FORM_MARKS = (("curve", FORMS[0]), ("other", FORMS[1]))
SCORE_MARKS = (
    ("curve", "genuine, 1 - s"),
    ("curve-dashed", "genuine, symmetric hinge"),
    ("other-solid", "impostor, 1 - s"),
    ("other", "impostor, symmetric hinge"),
    ("chance", "score = margin"),
)


def margin_figures(part: dict[str, Any], place: int) -> str:
    """Write one encoder's charts, and the numbers as a table."""
    rows = part["margins"]
    if not rows:
        return none_here("None: no margins were swept.")
    return (
        f'<div class="two">{shapes_figure(rows, f"shapes-{place}", "Scores by margin")}'
        f"{_against(place, 'auc', 'AUC by margin', rows)}"
        f"{_against(place, 'eer', 'EER by margin', rows)}"
        f"{_means(place, rows)}</div>{_table(rows)}"
    )


def margin_numbers(part: dict[str, Any]) -> list[dict[str, Any]]:
    """What the script draws: a line a form, in the order of the margins."""
    return [_line(form, part["margins"]) for form in FORMS]


def _line(form: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    own = sorted((row for row in rows if row["form"] == form), key=lambda row: row["margin"])
    drawn: dict[str, Any] = {"form": form, "margin": [row["margin"] for row in own]}
    for key in ("auc", "eer"):
        found = [row["figures"][key] for row in own]
        drawn[key] = [finite(one["value"]) for one in found]
        for end, side in enumerate(("low", "high")):
            drawn[f"{key}_{side}"] = [one["interval"] and one["interval"][end] for one in found]
    for kind in ("genuine", "impostor"):
        drawn[kind] = [row[f"{kind}_mean"] for row in own]
        drawn[f"{kind}_std"] = [row[f"{kind}_std"] for row in own]
    return drawn


def _against(place: int, key: str, title: str, rows: Sequence[dict[str, Any]]) -> str:
    name = f"margin-{key}-{place}"
    write = decimal if key == "auc" else percent
    best = (max if key == "auc" else min)(
        (row for row in rows if row["figures"][key]["value"] is not None),
        key=lambda row: row["figures"][key]["value"],
        default=None,
    )
    words = title
    if best is not None:
        words = (
            f"{title}. The best is {write(best['figures'][key]['value'])} at margin "
            f"{best['margin']:g}, {best['form']}."
        )
    return chart(name, title, legend(FORM_MARKS) + stage(name, words))


def _means(place: int, rows: Sequence[dict[str, Any]]) -> str:
    name = f"margin-scores-{place}"
    lowest = min(rows, key=lambda row: row["impostor_mean"])
    words = (
        f"Mean scores by margin. The lowest mean of impostors is {score(lowest['impostor_mean'])} "
        f"at margin {lowest['margin']:g}, {lowest['form']}."
    )
    caption = (
        "The mean score of each kind of pair; bars reach one standard deviation. Where "
        "the means move, a threshold chosen at one margin does not serve at another."
    )
    drawing = legend(SCORE_MARKS) + stage(name, words)
    return chart(name, "Mean scores by margin", drawing, caption=caption, broad=True)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = ("Form", "Margin", "AUC", "Interval", "EER", "Interval", "Genuine", "Impostor")
    written = [
        (
            row["form"],
            f"{row['margin']:g}",
            decimal(row["figures"]["auc"]["value"]),
            interval(row["figures"]["auc"]["interval"], decimal),
            percent(row["figures"]["eer"]["value"]),
            interval(row["figures"]["eer"]["interval"], percent),
            *(
                f"{score(row[f'{kind}_mean'])} ± {score(row[f'{kind}_std'])}"
                for kind in ("genuine", "impostor")
            ),
        )
        for row in sorted(rows, key=lambda row: (row["form"], row["margin"]))
    ]
    return folded("These margins as a table", table("Figures by margin", head, written))
