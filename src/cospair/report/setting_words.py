"""A loss's hyper-parameters in words: what was tried, and what was chosen how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

MINUS = "\N{MINUS SIGN}"


def setting_words(settings: Mapping[str, float]) -> str:
    """Write a setting: 'margin 0.25, positive margin 1', 'both margins 0.25'.

    Power 1, the hinges themselves, goes unsaid.
    """
    settings = {name: value for name, value in settings.items() if (name, value) != ("power", 1)}
    if settings.keys() == {"margin", "positive_margin"} and len(set(settings.values())) == 1:
        settings = {"both margins": settings["margin"]}
    return ", ".join(
        f"{name.replace('_', ' ')} {value:g}".replace("-", MINUS)
        for name, value in settings.items()
    )


def varied(contender: dict[str, Any], settings: Mapping[str, float]) -> dict[str, float]:
    """The part of a setting that the settings tried do not share; all of it where one was tried."""
    tried = contender["settings_tried"]
    if len(tried) < 2:
        return dict(settings)
    return {
        name: value for name, value in settings.items() if len({other[name] for other in tried}) > 1
    }


def chosen_words(contender: dict[str, Any]) -> str:
    """Write what was chosen, most often first: 'margin 0.25 (3 of 4), 0 (1 of 4)'."""
    splits = contender["splits"]
    counted = Counter(setting_words(varied(contender, split["chosen"])) for split in splits)
    if len(counted) == 1:
        return next(iter(counted))
    told = [f"{words} ({n} of {len(splits)})" for words, n in counted.most_common()]
    name = next(iter(counted)).rpartition(" ")[0]
    if any("," in words or words.rpartition(" ")[0] != name for words in counted):
        return ", ".join(told)
    return ", ".join([told[0], *(words.removeprefix(f"{name} ") for words in told[1:])])


def times_chosen(contender: dict[str, Any], settings: Mapping[str, float]) -> int:
    """On how many splits a setting was chosen."""
    return sum(split["chosen"] == dict(settings) for split in contender["splits"])


def validation_auc(contender: dict[str, Any], settings: Mapping[str, float]) -> float | None:
    """Mean over the splits of the AUC that a setting was judged by; None where none was tried."""
    found = [
        one["validation_auc"]
        for split in contender["splits"]
        for one in split["tried"]
        if one["settings"] == dict(settings)
    ]
    return sum(found) / len(found) if found else None
