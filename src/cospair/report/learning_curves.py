"""Learning curves: AUC on people never trained on, against the pictures seen so far.

A line is the mean over the splits where they looked after as many pictures. Colours tell families,
dashes the losses of one family; the default is drawn in ink.
"""

from __future__ import annotations

from typing import Any

from cospair.report.chart_frame import chart, stage
from cospair.report.formats import count, decimal
from cospair.report.markup import folded, table, text

# Lengths of the dashes in pixels, as SVG and the charts both take them.
DASHES = ("", "8 4", "2 4", "10 3 2 3", "14 4", "4 2")
HUES = 5


def curve_lines(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Numbers of the lines of one encoder; those without a curve are left out."""
    families = list(dict.fromkeys(one["family"] for one in part["contenders"]))
    drawn: dict[str, int] = {}
    lines = []
    for one in part["contenders"]:
        curve = _mean_curve([split["curve"] for split in one["splits"]])
        if not curve:
            continue
        default = one["key"] == part["reference"]
        family = one["family"]
        place = 0 if default else drawn.get(family, 0)
        if not default:
            drawn[family] = place + 1
        lines.append(
            {
                "name": one["name"],
                "hue": 0 if default else 1 + families.index(family) % HUES,
                "dash": DASHES[place % len(DASHES)],
                "pictures": [point["pictures"] for point in curve],
                "auc": [point["auc"] for point in curve],
            }
        )
    return lines


def _mean_curve(curves: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The mean over the splits, at the points that all of them have."""
    points = [{point["pictures"]: point["auc"] for point in curve} for curve in curves]
    shared = [seen for seen in points[0] if all(seen in other for other in points)]
    return [
        {"pictures": seen, "auc": sum(other[seen] for other in points) / len(points)}
        for seen in shared
    ]


def curves_figure(name: str, title: str, lines: list[dict[str, Any]]) -> str:
    """Write the chart's figure, a legend that picks a line out, and its table."""
    keys = "".join(_key(line, i) for i, line in enumerate(lines))
    words = "; ".join(f"{line['name']} ends at {decimal(line['auc'][-1])}" for line in lines)
    drawing = (
        f'<ul class="legend keys" id="{name}-keys">{keys}</ul>'
        f"{stage(name, f'Learning curves. {words}.')}"
    )
    caption = (
        "AUC on unseen people while training. Point at a line or its name, or reach the name by "
        "keyboard, to make it stand out. The last point need not be the figure in the table: the "
        "curve looks at a part of the pictures."
    )
    return chart(name, title, drawing, caption=caption, rows=_table(lines), broad=True)


def _key(line: dict[str, Any], place: int) -> str:
    hue = f"var(--hue-{line['hue']})"
    dash = f' stroke-dasharray="{line["dash"]}"' if line["dash"] else ""
    swatch = (
        f'<svg class="swatch" viewBox="0 0 30 10" aria-hidden="true"><path d="M0 5H30" '
        f'style="stroke:{hue}" stroke-width="3"{dash}/></svg>'
    )
    return (
        f'<li><button type="button" class="kept" data-line="{place}">{swatch}'
        f"{text(line['name'])}</button></li>"
    )


def _table(lines: list[dict[str, Any]]) -> str:
    seen = sorted({at for line in lines for at in line["pictures"]})
    rows = []
    for line in lines:
        found = dict(zip(line["pictures"], line["auc"], strict=True))
        rows.append((line["name"], *(decimal(found[at]) if at in found else "" for at in seen)))
    head = ("Loss", *(f"{count(int(at))} pictures" for at in seen))
    return folded("These curves as a table", table("AUC by pictures seen", head, rows))
