"""A page as one file: sections, style, scripts and numbers, put in place in one step."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from cospair.files import write_whole
from cospair.report.markup import text


class Section(NamedTuple):
    """A part of the page: its id, its name in the menu, its heading, a line on it, its HTML."""

    name: str
    link: str
    heading: str
    lede: str
    html: str


class Page(NamedTuple):
    """What a page is made of; `verdict` and `shared` are HTML, the rest plain text and data."""

    kind: str
    title: str
    byline: str
    verdict: str
    sections: Sequence[Section]
    numbers: dict[str, Any]
    scripts: Sequence[str]
    shared: str = ""


def write_page(page: Page, path: str | Path) -> Path:
    """Write a page beside `path` and move it there: a reader never meets half of one."""
    data = _html(page).encode("utf-8")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, data)
    return target


def _html(page: Page) -> str:
    plotly, script = _plotly(), _script(page.scripts)
    shown = [section for section in page.sections if section.html]
    return Template(_own("template.html")).substitute(
        kind=text(page.kind),
        title=text(page.title),
        byline=text(page.byline),
        verdict=page.verdict,
        first=shown[0].name,
        links="".join(f'<li><a href="#{s.name}">{text(s.link)}</a></li>' for s in shown),
        sections="\n".join(map(_section, shown)),
        shared=page.shared,
        policy=_policy(plotly, script),
        style=_own("style.css"),
        dark=_own("dark.css"),
        plotly=plotly,
        script=script,
        numbers=_json(page.numbers),
    )


def _section(section: Section) -> str:
    lede = f'<p class="lede">{text(section.lede)}</p>' if section.lede else ""
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
        f'<h2 id="{section.name}-title">{text(section.heading)}</h2>{lede}{section.html}</section>'
    )


def _script(names: Sequence[str]) -> str:
    """Join the script's parts: one scope, in the order that they need each other."""
    parts = "\n".join(_own(f"script/{name}.js") for name in names)
    return f'(function () {{\n"use strict";\n{parts}}})();\n'


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
