"""The page as a whole: sections, style and scripts in one file, put in place in one step."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from cospair.report.charts import chart_numbers, histogram_figure, roc_figure
from cospair.report.data_card import data_card
from cospair.report.formats import moment
from cospair.report.glossary import glossary
from cospair.report.hard_pairs import hard_pairs_section
from cospair.report.headline import basis, tiles, verdict
from cospair.report.markup import text
from cospair.report.retrieval import retrieval_section
from cospair.report.threshold import threshold_section

if TYPE_CHECKING:
    from PIL.Image import Image

REQUIRED = ("title", "data", "model", "verification")


def write_report(result: dict[str, Any], picture: Callable[[int], Image], path: str | Path) -> Path:
    """Write a result as one HTML page that needs no network.

    The page is written beside `path` and then moved there, so that a reader never meets half a page
    and an older page stays as it was when writing fails.

    Args:
        result: plain dict with at least 'title', 'data', 'model' and 'verification'; 'threshold',
            'retrieval', 'hard_pairs', 'command', 'created', 'versions' and 'seed' may be absent or
            None, which the page says in words. Rates are shares in 0..1.
        picture: gives test picture i as a `PIL.Image.Image`; asked only for pictures that
            `result["hard_pairs"]` names.
        path: where the page goes; missing folders are made, an existing file is replaced.

    Returns:
        The path of the page.

    Raises:
        TypeError: `result` is not a dict, or `picture` cannot be called.
        ValueError: `result` lacks a required section.
        ImportError: plotly is not installed.
    """
    _check(result, picture)
    page = _page(result, picture)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(target, page.encode("utf-8"))
    return target


def _check(result: object, picture: object) -> None:
    if not isinstance(result, dict):
        raise TypeError(
            f"result must be a dict, got {type(result).__name__}; pass what evaluation returned"
        )
    if not callable(picture):
        raise TypeError(
            f"picture must be a function of an index, got {type(picture).__name__}; "
            "pass the picture method of the test set"
        )
    for key in REQUIRED:
        if result.get(key) is None:
            raise ValueError(
                f"result must hold {', '.join(REQUIRED)}, got none under {key!r}; "
                "add it before writing the report"
            )


def _page(result: dict[str, Any], picture: Callable[[int], Image]) -> str:
    plotly, script = _plotly(), _own("charts.js")
    return Template(_own("template.html")).substitute(
        _sections(result, picture),
        policy=_policy(plotly, script),
        style=_own("style.css"),
        plotly=plotly,
        script=script,
        numbers=_json(chart_numbers(result)),
    )


def _sections(result: dict[str, Any], picture: Callable[[int], Image]) -> dict[str, str]:
    return {
        "title": text(result["title"]),
        "byline": _byline(result),
        "verdict": verdict(result),
        "tiles": tiles(result),
        "basis": basis(result["verification"]),
        "threshold": threshold_section(result.get("threshold")),
        "roc": roc_figure(result),
        "histogram": histogram_figure(result),
        "retrieval": retrieval_section(result.get("retrieval")),
        "hard_pairs": hard_pairs_section(result, picture),
        "card": data_card(result),
        "glossary": glossary(),
    }


def _byline(result: dict[str, Any]) -> str:
    parts = [result["model"].get("name"), result["data"].get("name")]
    if result.get("created"):
        parts.append(moment(str(result["created"])))
    return " · ".join(text(part) for part in parts if part)


def _own(name: str) -> str:
    """Read one of the files that lie beside this one."""
    return files("cospair.report").joinpath(name).read_text("utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as missing:
        raise ImportError(
            "the report needs plotly, which is not installed; pip install 'cospair[report]'"
        ) from missing
    # A script ends at the first closing tag, even inside a string of its own.
    return get_plotlyjs().replace("\r\n", "\n").replace("</script", "<\\/script")


def _policy(*scripts: str) -> str:
    """Allow the page's own scripts by their hashes, its style and data pictures, nothing else."""
    hashes = (b64encode(sha256(script.encode("utf-8")).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(numbers: dict[str, Any]) -> str:
    """Write JSON that no string in it can turn into markup."""
    written = json.dumps(numbers, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written


def _replace(target: Path, data: bytes) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
