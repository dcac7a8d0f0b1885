"""Small multiples: how the scores of genuine and impostor pairs lie, margin by margin.

Each drawing is SVG of its own, without script. Both kinds are densities of area 1, since impostors
far outnumber genuine pairs, and a drawing is as high as its higher kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from cospair.report.chart_frame import legend
from cospair.report.formats import decimal, percent, score
from cospair.report.markup import text

WIDTH, HEIGHT = 200, 96  # of a drawing, in its own units
KINDS = ("impostor", "genuine")


def shapes_figure(rows: Sequence[dict[str, Any]], name: str, title: str) -> str:
    """Write a row of drawings for each form of the loss."""
    marks = legend(
        [("genuine", "genuine pairs"), ("impostor", "impostor pairs"), ("margin", "margin")]
    )
    by_form = sorted(rows, key=lambda row: row["form"])
    lanes = "".join(_lane(form, list(found)) for form, found in groupby(by_form, _form))
    return (
        f'<figure class="panel broad shapes" id="{name}" aria-labelledby="{name}-title">'
        f'<h3 id="{name}-title">{text(title)}</h3>{marks}{lanes}'
        f"<figcaption>{text(CAPTION)}</figcaption></figure>"
    )


CAPTION = (
    "Cosine scores of held-out people, from −1 on the left to 1 on the right. The less the two "
    "shapes overlap, the better; where they stand matters only to the threshold. Each drawing has "
    "a height of its own."
)


def _form(row: dict[str, Any]) -> str:
    return row["form"]


def _lane(form: str, rows: list[dict[str, Any]]) -> str:
    ordered = sorted(rows, key=lambda row: row["margin"])
    cells = "".join(f"<li>{_drawing(row)}</li>" for row in ordered)
    return f'<h4>{text(form)}</h4><ul style="--columns:{len(rows)}">{cells}</ul>'


def _drawing(row: dict[str, Any]) -> str:
    heights = {kind: _densities(row, kind) for kind in KINDS}
    top = max(max(found) for found in heights.values()) or 1.0
    shapes = "".join(f'<path class="{kind}" d="{_steps(heights[kind], top)}"/>' for kind in KINDS)
    at = WIDTH * (row["margin"] + 1) / 2
    figures = row["figures"]
    auc, eer = decimal(figures["auc"]["value"]), percent(figures["eer"]["value"])
    words = (
        f"{row['form']}, margin {score(row['margin'])}: genuine pairs score "
        f"{score(row['genuine_mean'])} on average, impostors {score(row['impostor_mean'])}."
    )
    return (
        f'<p class="at">{row["margin"]:g}</p>'.replace("-", "\N{MINUS SIGN}")
        + f'<svg viewBox="0 -2 {WIDTH} {HEIGHT + 4}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(words)}"><path class="margin" d="M{at:g} -2V{HEIGHT}"/>{shapes}'
        f'<path class="ground" d="M0 {HEIGHT}H{WIDTH}"/></svg>'
        f"<p><span>AUC {auc}</span> <span>EER {eer}</span></p>"
    )


def _densities(row: dict[str, Any], kind: str) -> list[float]:
    counts, edges = row[f"{kind}_counts"], row["edges"]
    pairs = sum(counts) or 1
    return [n / pairs / (edges[i + 1] - edges[i]) for i, n in enumerate(counts)]


def _steps(heights: Sequence[float], top: float) -> str:
    """A closed outline of steps, empty bins at the ground."""
    wide = WIDTH / len(heights)
    ups = [HEIGHT * (1 - height / top) for height in heights]
    path = "".join(f"V{up:.1f}H{(i + 1) * wide:.4g}" for i, up in enumerate(ups))
    return f"M0 {HEIGHT}{path}V{HEIGHT}Z"
