"""The hardest pairs, as pictures: what no rate can show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from cospair.report.formats import score
from cospair.report.markup import none_here, text
from cospair.report.pictures import PIXEL_ART, Thumbnail, thumbnail

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PAIRS = 12  # of each kind

KINDS = (
    (
        "impostor",
        "Other identities that look alike",
        "Impostor pairs that score high, the highest first. Accepting one is a false match.",
        "No impostor pair was listed.",
    ),
    (
        "genuine",
        "The same identity looking different",
        "Genuine pairs that score low, the lowest first. Rejecting one is a false non-match.",
        "No genuine pair was listed.",
    ),
)


def hard_pairs_section(result: dict[str, Any], picture: Callable[[int], Image]) -> str:
    """Write both galleries; `picture` is asked once for each picture that is shown."""
    hardest = result.get("hard_pairs")
    if not hardest:
        return none_here("None: no hard pairs were listed for this model.")

    line_between = (result.get("threshold") or {}).get("threshold")

    @cache
    def small(index: int) -> Thumbnail:
        return thumbnail(picture(index))

    return "".join(
        f'<section class="gallery"><h3>{title}</h3><p class="lede">{line}</p>'
        f"{_gallery(hardest.get(key) or (), small, empty, line_between)}</section>"
        for key, title, line, empty in KINDS
    )


def _gallery(
    pairs: Sequence[dict[str, Any]],
    small: Callable[[int], Thumbnail],
    empty: str,
    threshold: float | None,
) -> str:
    if not pairs:
        return none_here(f"None: {empty}")
    cards = "".join(f"<li>{_card(pair, small, threshold)}</li>" for pair in pairs[:MOST_PAIRS])
    return f'<ol class="pairs">{cards}</ol>'


def _card(pair: dict[str, Any], small: Callable[[int], Thumbnail], threshold: float | None) -> str:
    first, second = text(pair["first_identity"]), text(pair["second_identity"])
    who = f"both {first}" if first == second else f"{first} <span>and</span> {second}"
    return (
        f'<figure class="pair"><div class="faces">'
        f"{_image(pair['first'], first, small)}{_image(pair['second'], second, small)}</div>"
        f'<figcaption><b class="score">{score(pair["score"])}</b> '
        f'<span class="who">{who}</span>{_decision(pair, threshold)}</figcaption></figure>'
    )


def _decision(pair: dict[str, Any], threshold: float | None) -> str:
    """Say what the threshold makes of the pair: a hard pair may still be judged right."""
    if threshold is None:
        return ""
    accepted = pair["score"] >= threshold
    right = accepted == (pair["first_identity"] == pair["second_identity"])
    words = f"{'rightly' if right else 'wrongly'} {'accepted' if accepted else 'rejected'}"
    return f'<span class="decision">{words}</span>'


def _image(index: int, identity: str, small: Callable[[int], Thumbnail]) -> str:
    shown = small(index)
    name = ' class="blocks"' if max(shown.width, shown.height) <= PIXEL_ART else ""
    return (
        f'<img{name} src="{shown.address}" width="{shown.width}" height="{shown.height}" '
        f'alt="Test picture {index}, identity {identity}">'
    )
