"""Fragments of HTML that several sections share; the only place where strings are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def text(value: object) -> str:
    """Escape any value for use as content or inside a quoted attribute."""
    return escape(str(value), quote=True)


def none_here(sentence: str) -> str:
    """Say in words that there is nothing to show; `sentence` is plain text."""
    return f'<p class="none">{text(sentence)}</p>'


def definitions(pairs: Iterable[tuple[str, str]], *, name: str = "facts") -> str:
    """Write a list of (plain term, HTML description) as a `<dl>` of class `name`."""
    items = (f"<div><dt>{text(term)}</dt><dd>{html}</dd></div>" for term, html in pairs)
    return f'<dl class="{name}">{"".join(items)}</dl>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of plain text; the first cell of each row is its heading.

    The wrapper scrolls sideways by itself and takes the keyboard's focus, so that a wide table
    never widens the page.
    """
    columns = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    body = "".join(_row(row) for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}">'
        f"<table><caption>{text(caption)}</caption>"
        f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[str]) -> str:
    rest = "".join(f"<td>{text(cell)}</td>" for cell in cells[1:])
    return f'<tr><th scope="row">{text(cells[0])}</th>{rest}</tr>'


def folded(summary: str, html: str) -> str:
    """Fold `html` behind a line that opens it; printing opens it too."""
    return f"<details><summary>{text(summary)}</summary>{html}</details>"
