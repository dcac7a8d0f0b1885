"""Two evaluations side by side: one chart, and every difference with its interval in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cospair.report.chart_frame import chart, far_axis_switch, legend, stage
from cospair.report.data_card import command_box
from cospair.report.formats import (
    NOT_AVAILABLE,
    count,
    decimal,
    finite,
    has_ends,
    limit,
    moment,
    percent,
    score,
)
from cospair.report.glossary import RETRIEVAL, glossary
from cospair.report.markup import none_here, table, text
from cospair.report.operating_points import curve_points
from cospair.report.page import Page, Section, write_page
from cospair.report.single import check_result

SCRIPTS = ("writing", "drawing", "roc", "page", "start_comparison")
NAMES = {
    "auc": "AUC",
    "eer": "EER",
    "cmc_1": "CMC@1",
    "map": "mAP",
    "map_at_r": "MAP@R",
    "r_precision": "R-precision",
    "minp": "mINP",
}
DECIMALS = ("auc",)  # figures that are quoted as decimal fractions; the others as per cent
MARKS = ("curve", "other")


def write_comparison(
    result_a: dict[str, Any],
    result_b: dict[str, Any],
    comparison: dict[str, Any],
    path: str | Path,
    names: Sequence[str] = ("A", "B"),
) -> Path:
    """Write two results and their differences as one HTML page that needs no network.

    Args:
        result_a: the first result, as `write_report` takes it.
        result_b: the second, on the same people.
        comparison: what the evaluation's comparison returned: "figures", for each a dict of "a",
            "b", "difference" (b - a), "difference_interval", "better" and "verdict"; "interval" and
            "note".
        path: where the page goes; missing folders are made, an existing file is replaced.
        names: what the two are called on the page.

    Returns:
        The path of the page.

    Raises:
        TypeError: a result or the comparison is not a dict.
        ValueError: a result lacks a required section, the comparison holds no figures, or `names`
            are not two different names.
        ImportError: plotly is not installed.
    """
    check_result("result_a", result_a)
    check_result("result_b", result_b)
    _check(comparison, names)
    return write_page(_page((result_a, result_b), comparison, names), path)


def _check(comparison: object, names: Sequence[str]) -> None:
    if not isinstance(comparison, dict):
        raise TypeError(
            f"comparison must be a dict, got {type(comparison).__name__}; pass what comparing the "
            "two models returned"
        )
    if not comparison.get("figures"):
        raise ValueError(
            "comparison must hold figures, got none; pass what comparing the two models returned"
        )
    if isinstance(names, str) or len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"names must be two different names, got {names!r}; pass a name for each")


def _page(
    results: Sequence[dict[str, Any]], comparison: dict[str, Any], names: Sequence[str]
) -> Page:
    return Page(
        kind="cospair comparison",
        title=f"{names[0]} beside {names[1]}",
        byline=_byline(results),
        verdict=_verdict(comparison, names),
        sections=[
            Section(
                "figures",
                "Figures",
                "Is one of them better?",
                "Both were measured on the same people, and their differences by the same draws of "
                "people.",
                _differences(comparison, names),
            ),
            Section("curves", "Curves", "Every threshold at once", "", _curves(results, names)),
            Section(
                "card",
                "Data card",
                "The two results",
                "What is needed to judge these figures, or to make them again.",
                _card(results, names),
            ),
            Section("terms", "Terms", "Terms", "", _terms(comparison)),
        ],
        numbers={
            "impostor_pairs": results[0]["verification"].get("impostor_pairs"),
            "names": list(names),
            "curves": [curve_points(result) for result in results],
        },
        scripts=SCRIPTS,
    )


def _terms(comparison: dict[str, Any]) -> str:
    ranked = any(key in comparison["figures"] for key in ("map", "map_at_r", "minp"))
    return glossary([RETRIEVAL] if ranked else [])


def _byline(results: Sequence[dict[str, Any]]) -> str:
    """The data's name; two names where they differ, as files of embeddings do."""
    found = dict.fromkeys(str(result["data"].get("name") or "") for result in results)
    created = results[1].get("created")
    parts = [*filter(None, found), *([moment(str(created))] if created else [])]
    return " · ".join(parts)


def _verdict(comparison: dict[str, Any], names: Sequence[str]) -> str:
    """Say first which figures decide, and for whom."""
    figures = comparison["figures"]
    sentences = []
    for side, name in zip(("a", "b"), names, strict=True):
        better = [_name(key) for key, row in figures.items() if row.get("better") == side]
        if better:
            sentences.append(f"<strong>{text(name)}</strong> is better by {_listed(better)}.")
    open_ones = [_name(key) for key, row in figures.items() if _is_open(row)]
    if open_ones:
        sentences.append(f"No difference shown by {_listed(open_ones)}.")
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)


def _is_open(row: dict[str, Any]) -> bool:
    return row.get("better") is None and has_ends(row.get("difference_interval"))


def _listed(names: Sequence[str]) -> str:
    *most, last = map(text, names)
    return f"{', '.join(most)} and {last}" if most else last


def _name(key: str) -> str:
    """What a figure is called: 'tar@far=0.01' is 'TAR at FAR 1 %'."""
    if key.startswith("tar@far="):
        return f"TAR at FAR {limit(float(key.removeprefix('tar@far=')))}"
    return NAMES.get(key, key)


def _differences(comparison: dict[str, Any], names: Sequence[str]) -> str:
    head = ("Figure", *names, f"{names[1]} − {names[0]}", "Interval", "Verdict")
    rows = [_row(key, row, names) for key, row in comparison["figures"].items()]
    note = f'<p class="basis">{text(_basis(comparison))}</p>'
    return (
        f'<div class="panel alone differences">{table("Figures of both", head, rows)}</div>{note}'
    )


def _row(key: str, row: dict[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    write = decimal if key in DECIMALS else percent
    ends = row.get("difference_interval")
    return (
        _name(key),
        write(row.get("a")),
        write(row.get("b")),
        _gap(key, row.get("difference")),
        f"{_signed(key, ends[0])} to {_gap(key, ends[1])}" if has_ends(ends) else "none",
        _words(row, names),
    )


def _gap(key: str, gap: float | None) -> str:
    """Write a difference with its sign, of shares in percentage points."""
    if gap is None or finite(gap) is None:
        return NOT_AVAILABLE
    return _signed(key, gap) + ("" if key in DECIMALS else "\N{NO-BREAK SPACE}points")


def _signed(key: str, gap: float) -> str:
    written = f"{gap:+.4f}" if key in DECIMALS else f"{100 * gap:+.2f}"
    return written.replace("-", "\N{MINUS SIGN}")


def _words(row: dict[str, Any], names: Sequence[str]) -> str:
    if row.get("better") in ("a", "b"):
        return f"{names[('a', 'b').index(row['better'])]} is better"
    return "no difference shown" if _is_open(row) else str(row.get("verdict") or "not compared")


def _basis(comparison: dict[str, Any]) -> str:
    parts = [
        f"{count(comparison.get('genuine_pairs'))} genuine and "
        f"{count(comparison.get('impostor_pairs'))} impostor pairs of "
        f"{count(comparison.get('identities'))} identities."
    ]
    made = comparison.get("interval") or {}
    if made.get("resamples"):
        parts.append(
            f"Differences with {limit(made['confidence'])} intervals by {made['method']} "
            f"({count(made['resamples'])} resamples, seed {made['seed']}); points are percentage "
            "points. “No difference shown” means that these people do not decide, not that the two "
            "are equal."
        )
    note = comparison.get("note")
    return " ".join([*parts, *([str(note)] if note else [])])


def _curves(results: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    drawn = [
        (mark, name)
        for mark, name, result in zip(MARKS, names, results, strict=True)
        if curve_points(result) is not None
    ]
    if not drawn:
        return none_here("None: no curve was computed.")
    aucs = (
        f"{name}: AUC {decimal(result['verification'].get('auc'))}"
        for name, result in zip(names, results, strict=True)
    )
    drawing = (
        far_axis_switch()
        + legend([*drawn, ("chance", "guessing")])
        + stage("roc", f"ROC curves. {'; '.join(aucs)}.")
    )
    caption = (
        "How many genuine pairs pass (up, TAR) for how many impostor pairs that pass too (right, "
        "FAR). Where the curves cross, neither is better at every threshold."
    )
    return f'<div class="alone">{chart("roc", "ROC curves", drawing, caption=caption)}</div>'


def _card(results: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    facts = {
        "Title": lambda r: str(r["title"]),
        "Data": lambda r: str(r["data"].get("name") or "not stated"),
        "Source": lambda r: str(r["data"].get("source") or "not stated"),
        "Data SHA-256": lambda r: str(r["data"].get("sha256") or "not stated"),
        "Model": lambda r: str((r.get("model") or {}).get("name") or "not stated"),
        "Model SHA-256": lambda r: str((r.get("model") or {}).get("sha256") or "not stated"),
        "Chosen threshold": lambda r: score((r.get("threshold") or {}).get("threshold")),
        "Date": lambda r: moment(str(r.get("created") or "not stated")),
        "Seed": lambda r: str(r.get("seed", "not stated")),
    }
    rows = [(name, *(tell(result) for result in results)) for name, tell in facts.items()]
    written = table("The two results", ("", *names), rows)
    return f'<div class="panel alone">{written}{command_box(results[1].get("command"))}</div>'
