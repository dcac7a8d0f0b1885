"""The report of one evaluation: its sections in their order, and what their pictures are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cospair.report import glossary
from cospair.report.calibration import calibration_section
from cospair.report.console import console, decisions
from cospair.report.data_card import data_card
from cospair.report.formats import moment
from cospair.report.hard_pairs import hard_pairs_section, listed_pairs
from cospair.report.headline import basis, tiles, verdict
from cospair.report.lfw import lfw_section
from cospair.report.map_section import Points, map_numbers, map_points, map_section
from cospair.report.open_set import open_set_section
from cospair.report.page import Page, Section, write_page
from cospair.report.page_numbers import page_numbers
from cospair.report.pictures import Pool
from cospair.report.retrieval import retrieval_section
from cospair.report.sprite_sheet import Sheet, sprite_sheet
from cospair.report.threshold import threshold_section
from cospair.report.verification_charts import det_figure, histogram_figure, roc_figure

if TYPE_CHECKING:
    from PIL.Image import Image

REQUIRED = ("title", "data", "verification")
SIDES = ("first", "second")
SCRIPTS = (
    "writing",
    "drawing",
    "roc",
    "verification",
    "threshold",
    "mistakes",
    "ranks",
    "open_set",
    "reliability",
    "map",
    "page",
    "start_report",
)


def write_report(
    result: dict[str, Any], picture: Callable[[int], Image] | None, path: str | Path
) -> Path:
    """Write a result as one HTML page that needs no network.

    The page is written beside `path` and then moved there, so that a reader never meets half a page
    and an older page stays as it was when writing fails.

    Args:
        result: plain dict with at least 'title', 'data' and 'verification'; 'model', 'threshold',
            'retrieval', 'open_set', 'calibration', 'hard_pairs', 'map', 'command', 'created',
            'versions' and 'seed' may be absent or None, which the page says. Rates are shares in
            0..1.
        picture: gives test picture i as a `PIL.Image.Image`; asked only for pictures that
            `result["hard_pairs"]` and `result["map"]` name. None where the input had no pictures.
        path: where the page goes; missing folders are made, an existing file is replaced.

    Returns:
        The path of the page.

    Raises:
        TypeError: `result` is not a dict, or `picture` cannot be called.
        ValueError: `result` lacks a required section.
        ImportError: plotly is not installed.
    """
    _check(result, picture)
    return write_page(_page(result, picture), path)


def _check(result: object, picture: object) -> None:
    if picture is not None and not callable(picture):
        raise TypeError(
            f"picture must be a function of an index or None, got {type(picture).__name__}; "
            "pass the picture method of the test set"
        )
    check_result("result", result)


def check_result(name: str, result: object) -> None:
    """Refuse what no evaluation returned."""
    if not isinstance(result, dict):
        raise TypeError(
            f"{name} must be a dict, got {type(result).__name__}; pass what evaluation returned"
        )
    for key in REQUIRED:
        if result.get(key) is None:
            raise ValueError(
                f"{name} must hold {', '.join(REQUIRED)}, got none under {key!r}; "
                "add it before writing the report"
            )


def _page(result: dict[str, Any], picture: Callable[[int], Image] | None) -> Page:
    pool, sheet, points = None, None, map_points(result)
    if picture is not None:
        pool = Pool(picture, (pair[side] for pair in listed_pairs(result) for side in SIDES))
        sheet = _sheet(picture, pool, points)
    drawn_map = map_section(points, str((result.get("map") or {}).get("method", "")), sheet)
    return Page(
        kind="cospair report",
        title=result["title"],
        byline=_byline(result),
        verdict=verdict(result),
        sections=_sections(result, pool, drawn_map),
        numbers={**page_numbers(result), "map": map_numbers(points, sheet)},
        scripts=SCRIPTS,
        shared=pool.definitions() if pool else "",
    )


def _sheet(picture: Callable[[int], Image], pool: Pool, points: Points | None) -> Sheet | None:
    """The map's pictures; those that the pool has are not asked for again."""
    if points is None:
        return None
    return sprite_sheet(lambda row: pool.small(row) or picture(row), points.row)


def _byline(result: dict[str, Any]) -> str:
    parts = [(result.get("model") or {}).get("name"), result["data"].get("name")]
    if result.get("created"):
        parts.append(moment(str(result["created"])))
    return " · ".join(str(part) for part in parts if part)


def _sections(result: dict[str, Any], pool: Pool | None, drawn_map: str) -> list[Section]:
    return [
        Section(
            "figures",
            "Figures",
            "How good it is",
            "",
            f'<div class="groups">{tiles(result)}</div>'
            f'<p class="basis">{basis(result["verification"])}</p>',
        ),
        Section(
            "threshold",
            "Threshold",
            "The chosen threshold",
            "A score becomes a yes or a no at one value.",
            f'<div class="two">{threshold_section(result.get("threshold"))}</div>',
        ),
        Section(
            "curves",
            "Every threshold",
            "Every threshold at once",
            "What a choice trades: a stricter threshold stops more impostors and turns away more "
            "genuine pairs. Move it, and all that follows moves with it.",
            _moved(result, pool),
        ),
        Section(
            "retrieval",
            "Retrieval",
            "Finding an identity in a gallery",
            "A query picture is compared with a gallery, and the gallery is ranked by score.",
            f'<div class="two">{retrieval_section(result.get("retrieval"))}</div>',
        ),
        Section(
            "lfw",
            "LFW protocol",
            "Accuracy over folds",
            "The protocol of Labeled Faces in the Wild: each fold is judged by the threshold that "
            "the others chose.",
            _two(lfw_section(result.get("lfw"))),
        ),
        Section(
            "open-set",
            "Open set",
            "Queries of whom nobody is enrolled",
            "A gallery must also say that it does not know somebody.",
            _two(open_set_section(result.get("open_set"))),
        ),
        Section(
            "calibration",
            "Calibration",
            "Scores as probabilities",
            "A calibrated score says how likely it is that a pair is genuine.",
            _two(calibration_section(result.get("calibration"))),
        ),
        Section(
            "embeddings",
            "Map",
            "The embeddings on a map",
            "Pictures that the model finds alike lie near each other.",
            drawn_map,
        ),
        Section(
            "card",
            "Data card",
            "Data card",
            "What is needed to judge these figures, or to make them again.",
            f'<div class="two sheet">{data_card(result)}</div>',
        ),
        Section("terms", "Terms", "Terms", "", _terms(result)),
    ]


def _two(html: str) -> str:
    return f'<div class="two">{html}</div>' if html else ""


def _moved(result: dict[str, Any], pool: Pool | None) -> str:
    """Everything that the threshold moves."""
    charts = histogram_figure(result) + roc_figure(result) + det_figure(result)
    return (
        f'{console(result)}<div class="two">{decisions(result)}{charts}</div>'
        '<section id="hard-pairs" aria-labelledby="hard-pairs-title">'
        '<h3 id="hard-pairs-title">The mistakes it makes</h3>'
        f"{hard_pairs_section(result, pool)}</section>"
    )


def _terms(result: dict[str, Any]) -> str:
    sections = (
        ("retrieval", glossary.RETRIEVAL),
        ("open_set", glossary.OPEN_SET),
        ("calibration", glossary.CALIBRATION),
    )
    return glossary.glossary([terms for key, terms in sections if result.get(key)])
