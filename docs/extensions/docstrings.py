"""Docstrings as they are typed: an indented block stays a formula or a table of words."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_SECTION = re.compile(
    r"(Args|Attributes|Example|Examples|Raises|References|Returns|Yields|Note):\s*$"
)
_BEFORE_NAPOLEON = 400


def setup(app: Sphinx) -> dict[str, Any]:
    """Take every docstring before its sections are read."""
    app.connect("autodoc-process-docstring", _keep_blocks, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-skip-member", _says_nothing)
    app.connect("object-description-transform", _call_them_attributes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _keep_blocks(*event: Any) -> None:
    what: str = event[1]
    lines: list[str] = event[-1]
    lines[:] = with_blocks_kept(_first_paragraph(lines) if what == "module" else lines)


def _first_paragraph(lines: list[str]) -> list[str]:
    """Of a file's docstring what it holds; its decisions are for those who change it."""
    return lines[: lines.index("")] if "" in lines else lines


def _says_nothing(*event: Any) -> bool | None:
    """Leave out fields of named tuples, whose docstring is Python's own, and a repr's part."""
    name, words = event[2], getattr(event[3], "__doc__", None) or ""
    return True if words.startswith("Alias for field number") or name == "extra_repr" else None


def _call_them_attributes(*event: Any) -> None:
    """A class's fields, which Sphinx calls variables."""
    content: nodes.Element = event[-1]
    for name in content.findall(nodes.field_name):
        if name.astext() == "Variables":
            name[:] = [nodes.Text("Attributes")]


def with_blocks_kept(lines: list[str]) -> list[str]:
    """The lines, each indented block above the first section marked as literal."""
    found: list[str] = []
    for place, line in enumerate(lines):
        if _SECTION.match(line):
            return [*found, *lines[place:]]
        starts = line.startswith("    ") and found and not found[-1].strip()
        if starts and not _goes_on(found):
            found += ["::", ""]
        found.append(line)
    return found


def _goes_on(above: list[str]) -> bool:
    """Whether an indented line belongs to the directive, item or block that stands above it."""
    last = next((line for line in reversed(above) if line.strip()), "")
    return last.startswith((" ", "- ", ".. ")) or last.endswith("::")
