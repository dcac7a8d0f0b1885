"""The data card: on what, with what and by which command the result came about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cospair.report.formats import count, moment
from cospair.report.markup import definitions, folded, none_here, table, text
from cospair.report.recipe_words import setting, value

MOST_SKIPPED = 100  # sentences about skipped files; the rest is counted
OPTIONAL = (
    ("open_set", "open-set identification"),
    ("calibration", "calibration of probabilities"),
    ("map", "a map of the embeddings"),
)


def data_card(result: dict[str, Any]) -> str:
    """Write the card's panels: data, model, run."""
    return (
        panel("Data", definitions(_data(result)) + skipped_files(result["data"]))
        + panel("Model", _model(result.get("model")))
        + panel("Run", definitions(_run(result)) + command_box(result.get("command")))
    )


def panel(title: str, html: str) -> str:
    """Write a part of the card."""
    return f'<section class="panel"><h3>{title}</h3>{html}</section>'


def _data(result: dict[str, Any]) -> list[tuple[str, str]]:
    data = result["data"]
    facts = [
        ("Data set", text(data.get("name") or "not stated")),
        ("Credit", text(data.get("credit") or "none stated")),
        ("Source", text(data.get("source") or "")),
        ("Train", _amount(data.get("train"))),
        ("Test", _amount(data.get("test"))),
        ("SHA-256", _hash(data.get("sha256"))),
        ("Calibration SHA-256", _hash((result.get("threshold") or {}).get("calibration_sha256"))),
        ("Files skipped", count(len(data["skipped"])) if data.get("skipped") else "none"),
    ]
    return [(term, html) for term, html in facts if html]


def _hash(digest: str | None) -> str:
    return f"<code>{text(digest)}</code>" if digest else ""


def _amount(part: dict[str, Any] | None) -> str:
    if not part:
        return "none"
    return f"{count(part.get('identities'))} identities, {count(part.get('pictures'))} pictures"


def skipped_files(data: dict[str, Any]) -> str:
    """Fold the reasons why files were skipped; nothing where none were."""
    sentences: Sequence[str] = data.get("skipped") or ()
    if not sentences:
        return ""
    items = [text(sentence) for sentence in sentences[:MOST_SKIPPED]]
    if len(sentences) > MOST_SKIPPED:
        items.append(f"and {count(len(sentences) - MOST_SKIPPED)} more")
    listed = "".join(f"<li>{item}</li>" for item in items)
    return folded("Why they were skipped", f'<ul class="skipped">{listed}</ul>')


def _model(model: dict[str, Any] | None) -> str:
    if not model:
        return none_here("None: the scores or embeddings came as they are, without their model.")
    facts = [
        ("Name", text(model.get("name") or "not stated")),
        ("Embedding", f"{count(model.get('dimensions'))} dimensions"),
        ("SHA-256", _hash(model.get("sha256")) or "not stated"),
    ]
    recipe = model.get("recipe") or {}
    if not recipe:
        return definitions(facts) + none_here("None: no recipe was recorded.")
    rows = [(setting(str(name)), value(given)) for name, given in recipe.items()]
    return definitions(facts) + table("Recipe", ("Setting", "Value"), rows)


def _run(result: dict[str, Any]) -> list[tuple[str, str]]:
    created = str(result.get("created") or "not stated")
    versions = result.get("versions") or {}
    facts = [
        ("Date", f'<time datetime="{text(created)}">{text(moment(created))}</time>'),
        ("Seed", text(result.get("seed", "not stated"))),
        ("Versions", text(", ".join(f"{k} {v}" for k, v in versions.items()) or "not stated")),
    ]
    if result.get("seconds") is not None:
        facts.append(("Took", f"{text(result['seconds'])} seconds"))
    missing = [words for key, words in OPTIONAL if not result.get(key)]
    if missing:
        facts.append(("Not measured", text(", ".join(missing))))
    return facts


def command_box(command: str | None) -> str:
    """Write the command with a button that copies it; without a command, say so."""
    if not command:
        return none_here("None: no command was recorded.")
    return (
        '<div class="copied"><h4 id="command">Command that made this page</h4>'
        '<button type="button" data-copy="command-words" hidden>Copy</button></div>'
        '<pre tabindex="0" aria-labelledby="command"><code id="command-words">'
        f"{text(command)}</code></pre>"
    )
