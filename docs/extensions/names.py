"""Names in code, in pages and docstrings alike, lead to their place in the reference.

A name with no place there stays plain code, so that `margin > 0` needs no other mark-up than
`Threshold`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

COMMANDS = "reference/commands"

_NAME = re.compile(r"(?:[a-zA-Z]\w*\.)*(\w+)(?:\(\))?")
# What does not look like a word of a sentence: a name with a place of its own is meant by it.
_TELLING = re.compile(r".*[a-z][A-Z]|.*[a-z0-9]_[a-z]|.*\.|[A-Z][a-z]+$|[A-Z]{1,3}[a-z]+")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role of single backticks in docstrings, and the links."""
    app.add_role("name", _as_code)
    app.add_post_transform(Linked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _as_code(
    _role: str, rawtext: str, text: str, _line: int, _inliner: Any, *_: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    return [nodes.literal(rawtext, nodes.unescape(text))], []


class Linked(SphinxPostTransform):
    """Names in code become links."""

    default_priority = 20

    def run(self, **_: Any) -> None:
        """Link every literal that names something of the reference."""
        if self.app.builder.format != "html":
            return
        objects = self.env.domains["py"].data["objects"]
        ends = _by_last_part(objects)
        labels = self.env.domains["std"].data["labels"]
        commands = {label for label, (page, *_) in labels.items() if page == COMMANDS}
        for node in list(self.document.findall(nodes.literal)):
            if _inside(node, (nodes.reference, nodes.title, addnodes.desc_signature)):
                continue
            target = _target(node, objects, ends)
            command = _command(node.astext(), commands)
            if target is not None and not _within(node, target):
                self._link(node, objects[target].docname, objects[target].node_id)
            elif command is not None:
                self._link(node, COMMANDS, command)

    def _link(self, node: nodes.literal, page: str, place: str) -> None:
        inner = nodes.literal("", node.astext(), classes=["xref", "py"])
        link = make_refnode(self.app.builder, self.env.docname, page, place, inner)
        node.replace_self(link)


def _by_last_part(objects: Mapping[str, Any]) -> dict[str, str]:
    """Full names of what its last part alone tells: one thing, and no member of a class."""
    found: dict[str, list[str]] = {}
    for name, entry in objects.items():
        if not entry.aliased and entry.objtype in ("class", "function", "data", "exception"):
            found.setdefault(name.rpartition(".")[2], []).append(name)
    return {last: names[0] for last, names in found.items() if len(names) == 1}


def _target(node: nodes.literal, objects: Mapping[str, Any], ends: Mapping[str, str]) -> str | None:
    text = node.astext()
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    name = text.removesuffix("()")
    for full in (name, f"cospair.{name}"):
        if full in objects and "." in name:
            return full
    return ends.get(name) if _TELLING.match(text) else None


def _command(text: str, commands: set[str]) -> str | None:
    """The command that these words begin with, the longest one."""
    words = text.split()
    if words[:1] != ["cospair"]:
        return None
    labels = (nodes.make_id(" ".join(words[:count])) for count in range(len(words), 1, -1))
    return next((label for label in labels if label in commands), None)


def _within(node: nodes.Node, target: str) -> bool:
    """Whether it stands in the entry it would lead to."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, addnodes.desc):
            signature = node.next_node(addnodes.desc_signature)
            if signature is not None and target in signature.get("ids", ()):
                return True
    return False


def _inside(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False
