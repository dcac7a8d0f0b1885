"""The command reference, from the command line itself: a new verb stands there by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_CODE = re.compile(r"`([^`]+)`|(?<!\S)(--[a-z-]+)")
_EXTRA = re.compile(r"^(.*?)\s*\[((?:default|required|env var|\d|x)[^\]]*)\]$", re.DOTALL)
_NOTATION = {
    r"default: \((.*?)\)": r"default: \1",
    r"(-?[\d.]+)<=x<=2147483647": r"from \1",
    r"(-?[\d.]+)<=x<=(-?[\d.]+)": r"\1 to \2",
    r"x>=(-?[\d.]+)": r"from \1",
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive `commands`."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Commands(SphinxDirective):
    """A section a verb: what it does, how it is typed, its arguments and options."""

    def run(self) -> list[nodes.Node]:
        """Walk the commands, groups into theirs."""
        from cospair.cli import app

        root = typer.main.get_command(app)
        context = root.context_class(root, info_name="cospair")
        return list(self._sections(root, context))

    def _sections(self, group: Any, context: Any) -> Iterator[nodes.Node]:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            own = command.context_class(command, info_name=name, parent=context)
            section = self._section(own.command_path)
            section += _words(nodes.paragraph(), command.help or "")
            if hasattr(command, "list_commands"):
                section += list(self._sections(command, own))
            else:
                section += list(_described(command, own))
            yield section

    def _section(self, title: str) -> nodes.section:
        label = nodes.make_id(title)
        section = nodes.section(ids=[label], names=[label])
        section += nodes.title("", "", nodes.literal("", title))
        standard = self.env.domains.standard_domain
        standard.anonlabels[label] = self.env.docname, label
        standard.labels[label] = self.env.docname, label, title
        return section


def _described(command: Any, context: Any) -> Iterator[nodes.Node]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield nodes.literal_block(usage, usage, language="text")
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    entries = [_entry(*record) for record in records if record is not None]
    yield nodes.definition_list("", *entries, classes=["options"])


def _entry(names: str, words: str) -> nodes.definition_list_item:
    found = _EXTRA.fullmatch(words)
    help_, extra = found.groups() if found else (words, "")
    paragraph = _words(nodes.paragraph(), help_)
    if extra:
        paragraph += nodes.Text(" " * bool(help_))
        paragraph += nodes.emphasis("", _plain(extra))
    term = nodes.term("", "", nodes.literal("", names.replace(" range>", ">")))
    return nodes.definition_list_item("", term, nodes.definition("", paragraph))


def _plain(extra: str) -> str:
    """What holds of an option, without the parser's own notation."""
    for found, said in _NOTATION.items():
        extra = re.sub(found, said, extra)
    return extra


def _words(paragraph: nodes.paragraph, words: str) -> nodes.paragraph:
    """Text in which backticks, or two dashes of an option, mark code."""
    for place, part in enumerate(_CODE.split(" ".join(words.split()))):
        if part:  # of the two kinds of code one is always missing
            paragraph += nodes.literal("", part) if place % 3 else nodes.Text(part)
    return paragraph
