"""The losses of one encoder as a table: grouped by family, drawn, and sorted by the reader.

Decisions of this file:

- Cells that can be sorted carry their value; without script the families stand in their order.
- What needs no training is a group of its own at the end, and stays there however it is sorted.
- A difference is the loss's figure minus the default's; its mark is a word, never a colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from cospair.report.formats import (
    NOT_AVAILABLE,
    count,
    decimal,
    finite,
    has_ends,
    interval,
    percent,
)
from cospair.report.markup import folded, table, text
from cospair.report.setting_words import (
    MINUS,
    chosen_words,
    setting_words,
    times_chosen,
    validation_auc,
)
from cospair.report.standings import reference_of, standing
from cospair.report.whiskers import Scale, scale_of, whisker

Write = Callable[[float | None], str]

UNTRAINED = "no training"
MARKS = {"better": "▲ better", "worse": "▼ worse", "not shown": "not shown"}
TAR = "tar@far=0.01"
DRAWN: tuple[tuple[str, str, Write], ...] = (("auc", "AUC", decimal), ("eer", "EER", percent))
ALL_FIGURES: tuple[tuple[str, str, Write], ...] = (
    *DRAWN,
    (TAR, "TAR at FAR 1\N{NO-BREAK SPACE}%", percent),
    ("cmc_1", "CMC@1", percent),
    ("map", "mAP", percent),
)
# Heading, whether the best is the lowest, and what the column holds.
HEADS = (
    ("Loss", True),
    ("AUC", False),
    ("AUC to the default", False),
    ("EER", True),
    ("EER to the default", True),
    ("TAR at FAR 1\N{NO-BREAK SPACE}%", False),
    ("Seconds", True),
    ("Loss, ms", True),
    ("Pictures a second", False),
)


class _Column(NamedTuple):
    """A drawn figure's column: its key, how it is written, its scale, the default's value."""

    key: str
    write: Write
    scale: Scale
    reference: float | None


def losses_table(part: dict[str, Any], caption: str) -> str:
    """Write the table of one encoder's losses and baselines.

    Args:
        part: One of the result's "encoders".
        caption: The table's, plain text.

    Returns:
        HTML.
    """
    columns = _columns(part)
    families = dict.fromkeys(one["family"] for one in part["contenders"])
    groups = [
        (family, [one for one in part["contenders"] if one["family"] == family])
        for family in families
    ]
    body = "".join(_group(family, members, columns) for family, members in groups)
    if part["baselines"]:
        body += _group(UNTRAINED, part["baselines"], columns)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}">'
        f'<table class="losses sortable"><caption>{text(caption)}</caption>'
        f"<thead><tr>{_head(columns)}</tr></thead>{body}</table></div>"
    )


def _columns(part: dict[str, Any]) -> list[_Column]:
    figures = reference_of(part)["figures"]
    return [
        _Column(
            key,
            write,
            scale_of(one["figures"][key] for one in part["contenders"]),
            figures[key]["value"],
        )
        for key, _, write in DRAWN
    ]


def _head(columns: Sequence[_Column]) -> str:
    scales = {name: column for (_, name, _), column in zip(DRAWN, columns, strict=True)}
    cells = []
    for name, lowest in HEADS:
        ends = ""
        if name in scales:
            written = (_end(scales[name], end) for end in scales[name].scale)
            ends = '<span class="ends"><i>{}</i><i>{}</i></span>'.format(*written)
        first = ' data-lowest=""' if lowest else ""
        cells.append(f'<th scope="col"{first}><span class="head">{text(name)}</span>{ends}</th>')
    return "".join(cells)


def _end(column: _Column, value: float) -> str:
    if column.write is decimal:
        return f"{value:.2f}"
    return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def _group(family: str, members: Iterable[dict[str, Any]], columns: Sequence[_Column]) -> str:
    kind = ' class="untrained"' if family == UNTRAINED else ""
    rows = "".join(_row(one, family, columns) for one in members)
    return (
        f'<tbody{kind}><tr class="family"><th scope="rowgroup" colspan="{len(HEADS)}">'
        f"{text(family)}</th></tr>{rows}</tbody>"
    )


def _row(one: dict[str, Any], family: str, columns: Sequence[_Column]) -> str:
    cells = []
    for column in columns:
        cells += [_figure(one, column), _difference(one, column)]
    tar = one["figures"][TAR]["value"]
    cells.append(_cell(tar, percent(tar)))
    seconds, loss_ms, pace = (one.get(key) for key in ("seconds", "loss_ms", "pictures_per_second"))
    cells += [
        _cell(seconds, _short(seconds)),
        _cell(loss_ms, _short(loss_ms)),
        _cell(pace, "" if pace is None else count(round(pace))),
    ]
    return f"<tr>{_name(one, family)}{''.join(cells)}</tr>"


def _name(one: dict[str, Any], family: str) -> str:
    chosen = chosen_words(one) if one.get("splits") else ""
    small = f"<small>{text(chosen)}</small>" if chosen else ""
    return (
        f'<th scope="row" data-sort="{text(one["name"])}">{text(one["name"])}'
        f'<small class="kin">{text(family)}</small>{small}</th>'
    )


def _figure(one: dict[str, Any], column: _Column) -> str:
    found = one["figures"][column.key]
    value, ends = found["value"], found["interval"]
    small = f"<small>{text(interval(ends, column.write))}</small>" if has_ends(ends) else ""
    kind = standing(one, column.key).replace(" ", "-")
    drawn = whisker(column.scale, value, ends, column.reference, kind=kind)
    return _cell(value, column.write(value), f"{small}{drawn}", name="drawn")


def _difference(one: dict[str, Any], column: _Column) -> str:
    stand = standing(one, column.key)
    if stand == "default":
        return _cell(0.0, "the default")
    row = one["against_reference"][column.key]
    ends = row["difference_interval"]
    mark = MARKS.get(stand, "no interval")
    kind = stand.replace(" ", "-")
    small = ""
    if has_ends(ends):
        small = f"<small>{' to '.join(signed(column.write, end) for end in ends)}</small>"
    words = f' <span class="stand {kind}">{text(mark)}</span>{small}'
    return _cell(row["difference"], signed(column.write, row["difference"]), words)


def signed(write: Write, gap: float | None) -> str:
    """Write a difference with its sign, of shares in percentage points."""
    if gap is None or finite(gap) is None:
        return NOT_AVAILABLE
    written = f"{gap:+.4f}" if write is decimal else f"{100 * gap:+.2f}"
    return written.replace("-", MINUS)


def _cell(value: float | None, words: str, more: str = "", *, name: str = "") -> str:
    """A cell of plain `words` and the HTML `more`; `value` is what it is sorted by."""
    kept = "" if value is None else f' data-sort="{value!r}"'
    kind = f' class="{name}"' if name else ""
    return f"<td{kind}{kept}>{text(words)}{more}</td>"


def _short(value: float | None) -> str:
    """Three digits of a duration."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def settings_table(part: dict[str, Any]) -> str:
    """Fold the settings tried, how they did on the validation people, and how often each won."""
    rows = []
    for one in part["contenders"]:
        for setting in one["settings_tried"]:
            found = validation_auc(one, setting)
            rows.append(
                (
                    one["name"],
                    setting_words(setting),
                    "not tried: nothing to choose" if found is None else decimal(found),
                    f"{times_chosen(one, setting)} of {len(one['splits'])}",
                )
            )
    head = ("Loss", "Setting", "AUC on validation people", "Chosen on splits")
    return folded("Settings tried and chosen", table("Settings tried and chosen", head, rows))


def figures_table(part: dict[str, Any]) -> str:
    """Fold every figure of every loss with its interval."""
    head = ("Loss", *(name for _, name, _ in ALL_FIGURES))
    rows = [
        (one["name"], *(_told(one["figures"][key], write) for key, _, write in ALL_FIGURES))
        for one in (*part["contenders"], *part["baselines"])
    ]
    return folded("Every figure with its interval", table("Every figure", head, rows))


def _told(found: dict[str, Any], write: Write) -> str:
    if not has_ends(found["interval"]):
        return write(found["value"])
    return f"{write(found['value'])} ({interval(found['interval'], write)})"
