"""Losses side by side: which are really better than the default, and what the margin does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cospair.report.data_card import command_box, panel, skipped_files
from cospair.report.formats import NOT_AVAILABLE, count, decimal, limit, moment
from cospair.report.glossary import LOSSES, glossary
from cospair.report.learning_curves import curve_lines, curves_figure
from cospair.report.losses_table import figures_table, losses_table, settings_table
from cospair.report.margin_charts import margin_figures, margin_numbers
from cospair.report.markup import definitions, none_here, table, text
from cospair.report.page import Page, Section, write_page
from cospair.report.recipe_words import setting, value
from cospair.report.standings import (
    SAID,
    Standing,
    best_untrained,
    many_comparisons,
    reference_of,
    standings,
)

SCRIPTS = ("writing", "drawing", "sorting", "learning", "margins", "page", "start_losses")
# Terms of other pages.
UNUSED = ("Threshold", "FRR", "Accuracy", "ROC", "DET")
REQUIRED = ("title", "data", "encoders")
ENCODERS = {
    "efficientnet-lite0": "a linear head over a pretrained network",
    "conv": "a small network from scratch",
}


def write_loss_comparison(result: dict[str, Any], path: str | Path) -> Path:
    """Write a comparison of losses as one HTML page that needs no network.

    The page is written beside `path` and then moved there, so that a reader never meets half of it.

    Args:
        result: what `compare_losses` returned: "title", "data" and "encoders"; "command",
            "created", "versions", "seed", "resamples" and "left_out" may be absent.
        path: where the page goes; missing folders are made, an existing file is replaced.

    Returns:
        The path of the page.

    Raises:
        TypeError: `result` is not a dict.
        ValueError: `result` lacks a required section.
        ImportError: plotly is not installed.
    """
    _check(result)
    return write_page(_page(result), path)


def _check(result: object) -> None:
    if not isinstance(result, dict):
        raise TypeError(
            f"result must be a dict, got {type(result).__name__}; pass what comparing losses "
            "returned"
        )
    for key in REQUIRED:
        if not result.get(key):
            raise ValueError(
                f"result must hold {', '.join(REQUIRED)}, got none under {key!r}; pass what "
                "comparing losses returned"
            )


def _page(result: dict[str, Any]) -> Page:
    parts = result["encoders"]
    lines = [curve_lines(part) for part in parts]
    return Page(
        kind="cospair loss comparison",
        title=result["title"],
        byline=_byline(result),
        verdict=_verdict(parts),
        sections=[
            *(_losses(part, place, result) for place, part in enumerate(parts)),
            Section(
                "reading",
                "How to read",
                "How to read so many intervals",
                "",
                _reading(result),
            ),
            Section(
                "curves",
                "Learning curves",
                "How fast they learn",
                "AUC on people never trained on, against the pictures seen so far.",
                _curves(parts, lines),
            ),
            Section(
                "margins",
                "Margins",
                "What the margin does",
                "Every pair of a batch, both forms of the loss, one split: 1 - s pulls genuine "
                "pairs together without end; the symmetric hinge lets go of them at the margin.",
                "".join(
                    f"{_heading(part, parts)}{margin_figures(part, place)}"
                    for place, part in enumerate(parts)
                ),
            ),
            Section(
                "card",
                "Data card",
                "Data card",
                "What is needed to judge these figures, or to make them again.",
                f'<div class="two">{_card(result)}</div>',
            ),
            Section("terms", "Terms", "Terms", "", glossary([LOSSES], without=UNUSED)),
        ],
        numbers={"curves": lines, "margins": [margin_numbers(part) for part in parts]},
        scripts=SCRIPTS,
    )


def _byline(result: dict[str, Any]) -> str:
    created = result.get("created")
    names = [part["encoder"] for part in result["encoders"]]
    return " · ".join([*names, *([moment(str(created))] if created else [])])


def _verdict(parts: list[dict[str, Any]]) -> str:
    return "".join(f"<p>{_sentence(part)}</p>" for part in parts)


def _sentence(part: dict[str, Any]) -> str:
    """Say which losses differ from the default, by name, and how many are not shown to."""
    found = standings(part["contenders"])
    others = sum(map(len, found.values()))
    start = f"<strong>{text(part['encoder'])}</strong>: "
    if not others:
        return f"{start}nothing was held against {text(reference_of(part)['name'])}."
    told = [
        f"<b>{len(names)}</b> {words}{_named(kind, names, others)}"
        for kind, words in SAID
        if (names := found[kind]) or kind in ("better", "worse")
    ]
    losses = "1 loss" if others == 1 else f"{others} losses"
    reference = text(reference_of(part)["name"])
    return f"{start}of {losses} held against {reference}, by AUC, {'; '.join(told)}."


def _named(kind: Standing, names: list[str], others: int) -> str:
    """The names; where no difference is shown at all, there is none to name."""
    if not names or (len(names) == others > 4 and kind == "not shown"):
        return ""
    return f" ({text(' · '.join(names))})"


def _heading(part: dict[str, Any], parts: list[dict[str, Any]]) -> str:
    return f'<h3 class="encoder">{text(part["encoder"])}</h3>' if len(parts) > 1 else ""


def _losses(part: dict[str, Any], place: int, result: dict[str, Any]) -> Section:
    title = f"Losses on {part['encoder']}"
    return Section(
        f"losses-{place}",
        f"Losses: {part['encoder']}" if len(result["encoders"]) > 1 else "Losses",
        title,
        _lede(part),
        f'<div class="panel alone">{losses_table(part, title)}'
        f"{settings_table(part)}{figures_table(part)}</div>"
        f'<p class="basis">{text(_basis(part, result))}</p>',
    )


def _lede(part: dict[str, Any]) -> str:
    words = ENCODERS.get(part["encoder"])
    start = f"The encoder is {words}. " if words else ""
    best = best_untrained(part)
    floor = ""
    if best is not None:
        floor = (
            f" Without any training, {best['name']} reaches AUC "
            f"{decimal(best['figures']['auc']['value'])}: a loss has to beat that."
        )
    return (
        f"{start}Every loss sees as many pictures, and its setting is chosen on people who are "
        f"neither trained on nor tested.{floor}"
    )


def _basis(part: dict[str, Any], result: dict[str, Any]) -> str:
    made = f"{count(result['resamples'])} resamples of" if result.get("resamples") else "no"
    return (
        f"Figures are means over {part['splits']} splits with {part['test_identities']} test "
        f"identities in all; whiskers are 95 % intervals ({made} the people tested), the thin line "
        f"is the default. A difference is the loss's figure minus the default's, of shares in "
        "percentage points. Seconds are those of one training, milliseconds those of the loss's "
        "forward pass in a step, its mining included."
    )


def _reading(result: dict[str, Any]) -> str:
    left_out = result.get("left_out") or ()
    missing = "".join(
        f"<p><b>{text(one['name'])}</b> is not in the tables: {text(one['reason'])}.</p>"
        for one in left_out
    )
    sentences = (
        "AUC decides: settings were chosen by it, and the verdict goes by it alone.",
        many_comparisons(result["encoders"]),
        "A difference is called real where its interval lies on one side of 0. Both losses are "
        "measured on the same drawn people, so the interval of a difference is narrower than the "
        "whiskers suggest: judge by the difference, not by whether two whiskers overlap.",
        "“Not shown” says that these people do not decide, not that two losses are equal.",
        "The intervals say how a figure moves with the people tested. They do not hold what "
        "another seed, or other people to train on, would change.",
    )
    words = "".join(f"<p>{text(sentence)}</p>" for sentence in sentences)
    return f'<div class="panel alone prose">{words}{missing}</div>'


def _curves(parts: list[dict[str, Any]], lines: list[list[dict[str, Any]]]) -> str:
    if not any(lines):
        return none_here(
            "None: a head over a frozen network learns in seconds and is not watched meanwhile."
        )
    drawn = (
        f'<div class="alone">{curves_figure(f"curves-{place}", part["encoder"], own)}</div>'
        for place, (part, own) in enumerate(zip(parts, lines, strict=True))
        if own
    )
    return "".join(drawn)


def _card(result: dict[str, Any]) -> str:
    return (
        panel("Data", definitions(_data(result["data"])) + skipped_files(result["data"]))
        + panel("Procedure", definitions(_procedure(result)))
        + panel("Encoders", _recipes(result["encoders"]))
        + panel("Run", definitions(_run(result)) + command_box(result.get("command")))
    )


def _data(data: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Data set", text(data.get("name") or "not stated")),
        ("Credit", text(data.get("credit") or "none stated")),
        ("Identities", count(data.get("identities"))),
        ("Pictures", count(data.get("pictures"))),
        ("Files skipped", count(len(data["skipped"])) if data.get("skipped") else "none"),
    ]


def _procedure(result: dict[str, Any]) -> list[tuple[str, str]]:
    part = result["encoders"][0]
    tried = {len(one["settings_tried"]) for one in part["contenders"]} - {1}
    resamples = result.get("resamples")
    return [
        ("Folds", f"{part['folds']} parts of the identities, {part['splits']} of them tested"),
        ("Test identities", f"{count(part['test_identities'])}, never trained on nor chosen by"),
        ("Validation", f"{limit(part['validation_share'])} of the training identities"),
        (
            "Settings",
            f"{', '.join(map(str, sorted(tried)))} tried for each loss that has any; none for the "
            "default"
            if tried
            else "none tried",
        ),
        ("Reference", text(reference_of(part)["name"])),
        ("Resamples", count(resamples) if resamples else "none: no intervals"),
    ]


def _recipes(parts: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for part in parts for name in part["recipe"]))
    rows = [(setting(name), *(value(part["recipe"].get(name)) for part in parts)) for name in names]
    rows.append(
        ("Prepared picture", *(f"{part['width']} x {part['height']} pixels" for part in parts))
    )
    head = ("Setting", *(part["encoder"] for part in parts))
    return table("How each encoder was trained", head, rows)


def _run(result: dict[str, Any]) -> list[tuple[str, str]]:
    created = str(result.get("created") or NOT_AVAILABLE)
    versions = result.get("versions") or {}
    return [
        ("Date", f'<time datetime="{text(created)}">{text(moment(created))}</time>'),
        ("Seed", text(result.get("seed", "not stated"))),
        ("Versions", text(", ".join(f"{k} {v}" for k, v in versions.items()) or "not stated")),
    ]
