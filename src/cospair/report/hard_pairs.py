"""The hardest pairs, as pictures: what no rate can show.

The page holds them hardest first, so those that a threshold gets wrong are always the first ones.
The script shows these and the next few, which are nearest to being mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cospair.report.formats import score
from cospair.report.markup import none_here, text
from cospair.report.pictures import Pool

MOST_PAIRS = 60  # of each kind
UNFOLDED = 12  # shown before the rest is asked for

KINDS = (
    (
        "impostor",
        "False matches: other identities that look alike",
        "Impostor pairs that score high, the highest first. Accepting one is a false match.",
        "No impostor pair was listed.",
    ),
    (
        "genuine",
        "False non-matches: the same identity looking different",
        "Genuine pairs that score low, the lowest first. Rejecting one is a false non-match.",
        "No genuine pair was listed.",
    ),
)


def listed_pairs(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every pair that the page shows."""
    hardest = result.get("hard_pairs") or {}
    return [pair for key, *_ in KINDS for pair in (hardest.get(key) or ())[:MOST_PAIRS]]


def hard_pairs_section(result: dict[str, Any], pool: Pool | None) -> str:
    """Write both galleries; without a pool of pictures the pairs are named only."""
    hardest = result.get("hard_pairs")
    if not hardest:
        return none_here("None: no hard pairs were listed for this model.")
    line_between = (result.get("threshold") or {}).get("threshold")
    return "".join(
        f'<section class="gallery" data-kind="{key}"><h4>{title}</h4>'
        f'<p class="tally" id="tally-{key}">{line}</p>'
        f"{_gallery(key, hardest.get(key) or (), pool, empty, line_between)}</section>"
        for key, title, line, empty in KINDS
    )


def _gallery(
    kind: str,
    pairs: Sequence[dict[str, Any]],
    pool: Pool | None,
    empty: str,
    threshold: float | None,
) -> str:
    if not pairs:
        return none_here(f"None: {empty}")
    cards = "".join(_item(pair, pool, threshold) for pair in pairs[:MOST_PAIRS])
    name = "pairs" if pool else "pairs named"
    more = f'<button type="button" class="more" data-kind="{kind}" hidden></button>'
    return f'<ol class="{name}" id="pairs-{kind}">{cards}</ol>{more}'


def _item(pair: dict[str, Any], pool: Pool | None, threshold: float | None) -> str:
    first, second = text(pair["first_identity"]), text(pair["second_identity"])
    who = f"both {first}" if first == second else f"{first} <span>and</span> {second}"
    return (
        f'<li data-score="{float(pair["score"])!r}"><figure class="pair">{_faces(pair, pool)}'
        f'<figcaption><b class="score">{score(pair["score"])}</b> '
        f'<span class="who">{who}</span>{_decision(pair, threshold)}</figcaption></figure></li>'
    )


def _faces(pair: dict[str, Any], pool: Pool | None) -> str:
    if pool is None:
        if "first_name" in pair:
            words = f"{text(pair['first_name'])} and {text(pair['second_name'])}"
        else:
            words = f"rows {pair['first']:d} and {pair['second']:d}"
        return f'<p class="rows">{words}</p>'
    views = (
        pool.show(pair[side], f"Test picture {pair[side]}, identity {pair[f'{side}_identity']}")
        for side in ("first", "second")
    )
    return f'<div class="faces">{"".join(views)}</div>'


def _decision(pair: dict[str, Any], threshold: float | None) -> str:
    """Say what the threshold makes of the pair: a hard pair may still be judged right."""
    if threshold is None:
        return '<span class="decision"></span>'
    accepted = pair["score"] >= threshold
    right = accepted == (pair["first_identity"] == pair["second_identity"])
    words = f"{'rightly' if right else 'wrongly'} {'accepted' if accepted else 'rejected'}"
    return f'<span class="decision">{words}</span>'
