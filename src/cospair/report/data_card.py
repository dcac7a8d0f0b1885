"""The data card: on what, with what and by which command the result came about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cospair.report.formats import count, moment
from cospair.report.markup import definitions, folded, none_here, table, text

MOST_SKIPPED = 100  # sentences about skipped files; the rest is counted


def data_card(result: dict[str, Any]) -> str:
    """Write the card's panels: data, model, run."""
    return (
        _panel("Data", definitions(_data(result.get("data") or {})) + _skipped(result))
        + _panel("Model", _model(result.get("model") or {}))
        + _panel("Run", definitions(_run(result)) + _command(result.get("command")))
    )


def _panel(title: str, html: str) -> str:
    return f'<section class="panel"><h3>{title}</h3>{html}</section>'


def _data(data: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Data set", text(data.get("name") or "not stated")),
        ("Credit", text(data.get("credit") or "none stated")),
        ("Train", _amount(data.get("train"))),
        ("Test", _amount(data.get("test"))),
        ("Files skipped", count(len(data["skipped"])) if data.get("skipped") else "none"),
    ]


def _amount(part: dict[str, Any] | None) -> str:
    if not part:
        return "none"
    return f"{count(part['identities'])} identities, {count(part['pictures'])} pictures"


def _skipped(result: dict[str, Any]) -> str:
    sentences: Sequence[str] = (result.get("data") or {}).get("skipped") or ()
    if not sentences:
        return ""
    items = [text(sentence) for sentence in sentences[:MOST_SKIPPED]]
    if len(sentences) > MOST_SKIPPED:
        items.append(f"and {count(len(sentences) - MOST_SKIPPED)} more")
    listed = "".join(f"<li>{item}</li>" for item in items)
    return folded("Why they were skipped", f'<ul class="skipped">{listed}</ul>')


def _model(model: dict[str, Any]) -> str:
    facts = [
        ("Name", text(model.get("name") or "not stated")),
        ("Embedding", f"{count(model.get('dimensions'))} dimensions"),
        ("SHA-256", f"<code>{text(model.get('sha256') or 'not stated')}</code>"),
    ]
    recipe = model.get("recipe") or {}
    if not recipe:
        return definitions(facts) + none_here("None: no recipe was recorded.")
    rows = [(str(name), str(value)) for name, value in recipe.items()]
    return definitions(facts) + table("Recipe", ("Setting", "Value"), rows)


def _run(result: dict[str, Any]) -> list[tuple[str, str]]:
    created = str(result.get("created") or "not stated")
    versions = result.get("versions") or {}
    return [
        ("Date", f'<time datetime="{text(created)}">{text(moment(created))}</time>'),
        ("Seed", text(result.get("seed", "not stated"))),
        ("Versions", text(", ".join(f"{k} {v}" for k, v in versions.items()) or "not stated")),
    ]


def _command(command: str | None) -> str:
    if not command:
        return none_here("None: no command was recorded.")
    return (
        '<h4 id="command">Command that made this page</h4>'
        f'<pre tabindex="0" aria-labelledby="command"><code>{text(command)}</code></pre>'
    )
