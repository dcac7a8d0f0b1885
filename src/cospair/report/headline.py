"""The head of the page: the result in sentences, and the row of figures with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cospair.report.formats import (
    NOT_AVAILABLE,
    count,
    decimal,
    has_ends,
    interval,
    limit,
    percent,
)
from cospair.report.interval_notes import note_of
from cospair.report.markup import text


def verdict(result: dict[str, Any]) -> str:
    """Write the sentences that a reader in a hurry takes away."""
    sentences = [_ranking_sentence(result["verification"])]
    threshold = result.get("threshold")
    if threshold and threshold.get("test"):
        sentences.append(_threshold_sentence(threshold))
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)


def _ranking_sentence(figures: dict[str, Any]) -> str:
    often = percent(figures.get("auc"))
    return (
        "Shown a genuine and an impostor pair, the model scores the genuine one higher "
        f"<strong>{often}</strong> of the time."
    )


def _threshold_sentence(threshold: dict[str, Any]) -> str:
    test = threshold["test"]
    return (
        f"At its threshold it wrongly accepts <strong>{percent(test.get('far'))}</strong> of "
        f"impostor pairs and wrongly rejects <strong>{percent(test.get('frr'))}</strong> of "
        "genuine pairs."
    )


def tiles(result: dict[str, Any]) -> str:
    """Write the groups of figures: verification, then retrieval."""
    verification = _auc(result["verification"]) + _eer(result["verification"])
    for row in result["verification"].get("tar_at_far") or ():
        verification += _tar(row)
    retrieval = _retrieval(result.get("retrieval") or {})
    return _group("verification", "Verification: are these two the same?", verification) + _group(
        "retrieval", "Retrieval: who is this?", retrieval
    )


def basis(figures: dict[str, Any]) -> str:
    """Say from how much data the figures come and how their intervals were made."""
    sentence = (
        f"From {count(figures.get('genuine_pairs'))} genuine and "
        f"{count(figures.get('impostor_pairs'))} impostor pairs{_whose(figures)}."
    )
    made = figures.get("interval")
    if not made:
        return f"{sentence} No intervals were computed."
    return (
        f"{sentence} The marks on the bars and the ranges are {limit(made['confidence'])} "
        f"intervals by {text(made['method'])}{_draws(made)}."
    )


def _whose(figures: dict[str, Any]) -> str:
    """Pictures and identities; pairs that came as scores may not name theirs."""
    named = [
        f" of {count(figures[key])} {words}"
        for key, words in (("pictures", "pictures"), ("identities", "test identities"))
        if figures.get(key) is not None
    ]
    return "".join(named)


def _draws(made: dict[str, Any]) -> str:
    if not made.get("resamples"):
        return ""
    return f" ({count(made['resamples'])} resamples, seed {text(made.get('seed'))})"


def _group(name: str, heading: str, html: str) -> str:
    return (
        f'<section class="group {name}" aria-labelledby="group-{name}">'
        f'<h3 id="group-{name}">{heading}</h3><ul class="tiles">{html}</ul></section>'
    )


def _auc(figures: dict[str, Any]) -> str:
    line = "How often a genuine pair outscores an impostor pair. 0.5 is guessing, 1 perfect."
    note = note_of(figures, "auc")
    return _tile("AUC", figures.get("auc"), figures.get("auc_interval"), line, note, decimal)


def _eer(figures: dict[str, Any]) -> str:
    line = "Equal error rate: wrong accepts and wrong rejects in balance. Lower is better."
    note = note_of(figures, "eer")
    return _tile("EER", figures.get("eer"), figures.get("eer_interval"), line, note)


def _tar(row: dict[str, Any]) -> str:
    name = f"TAR at FAR {limit(row['far'])}"
    if row.get("tar") is None:
        note = row.get("note") or "insufficient data"
        return _wordy_tile(name, "insufficient data", note.removeprefix("insufficient data: "))
    line = f"Genuine pairs accepted while at most {limit(row['far'])} of impostor pairs pass."
    return _tile(name, row["tar"], row.get("tar_interval"), line, row.get("note") or "")


def _retrieval(figures: dict[str, Any]) -> str:
    first = "Queries whose first result is the right identity."
    order = "Mean average precision: how near the top all the right results stand."
    if not figures:
        return _wordy_tile("CMC@1", "none", "Retrieval was not measured.") + _wordy_tile(
            "mAP", "none", "Retrieval was not measured."
        )
    share = (figures.get("cmc") or {}).get("1")
    return _tile(
        "CMC@1", share, figures.get("cmc_1_interval"), first, note_of(figures, "cmc_1")
    ) + _tile(
        "mAP", figures.get("map"), figures.get("map_interval"), order, note_of(figures, "map")
    )


def _tile(
    name: str,
    value: float | None,
    ends: Sequence[float] | None,
    line: str,
    note: str = "",
    write: Callable[[float | None], str] = percent,
) -> str:
    written = write(value)
    if value is None or written == NOT_AVAILABLE:
        return _wordy_tile(name, NOT_AVAILABLE, line)
    return (
        f'<li class="tile"><h4>{text(name)}</h4><p class="value">{written}</p>'
        f'{_bar(value, ends)}<p class="range">{text(interval(ends, write, note))}</p>'
        f'<p class="line">{text(line)}</p></li>'
    )


def _wordy_tile(name: str, words: str, line: str) -> str:
    return (
        f'<li class="tile wordy"><h4>{text(name)}</h4><p class="value">{text(words)}</p>'
        f'<p class="line">{text(line)}</p></li>'
    )


def _bar(value: float, ends: Sequence[float] | None) -> str:
    """Draw value and interval on a track from 0 to 1; the numbers beside it say the same."""
    return (
        f'<div class="bar" aria-hidden="true" style="--value:{value:.4f}">'
        f"<b></b>{_whisker(ends)}</div>"
    )


def _whisker(ends: Sequence[float] | None) -> str:
    if not has_ends(ends):
        return ""
    return f'<i style="--low:{ends[0]:.4f};--high:{ends[1]:.4f}"></i>'
