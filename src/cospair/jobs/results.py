"""One source to one result, whatever the source is."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cospair import data
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.progress import Bar
from cospair.jobs.sections import sections_of_lfw, sections_of_people, sections_of_scores
from cospair.jobs.subjects import (
    People,
    Scores,
    check_asked,
    opened,
    pictured,
    together,
    with_run_of,
)
from cospair.jobs.train import provenance

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_ON_MAP = 2000


Picture = Callable[[int], "Image"]


class Evaluated(NamedTuple):
    """A result, what it is of, and the pictures that it names by their rows."""

    result: dict[str, Any]
    subject: People | Scores
    picture: Picture | None


def evaluated(
    source: str | os.PathLike[str],
    plan: EvaluationPlan,
    bar: Bar,
    *,
    dataset: str | None = None,
    command: str = "",
    with_map: bool = False,
) -> Evaluated:
    """Evaluate one source as the plan asks.

    Args:
        source: As in `evaluate`.
        plan: What is asked for.
        bar: Where progress is shown.
        dataset: Other people's pictures, where the source is a run.
        command: What the user typed.
        with_map: Whether the result has a map of the embeddings, which takes a while.

    Returns:
        The result, what was opened, and where the pictures are.
    """
    subject, sections, seed, picture = _sections(source, plan, bar, dataset)
    counts = sections["verification"]
    result = {
        "title": _title(subject, counts),
        "command": command,
        **provenance(seed),
        "data": {
            **subject.origin.data,
            "test": {key: counts[key] for key in ("identities", "pictures")},
        },
        "model": None if subject.origin.model is None else dict(subject.origin.model),
        **sections,
    }
    if with_map and isinstance(subject, People):
        result["map"] = _map(subject, seed)
    return Evaluated(result, subject, picture)


def _sections(
    source: str | os.PathLike[str], plan: EvaluationPlan, bar: Bar, dataset: str | None
) -> tuple[People | Scores, dict[str, Any], int, Picture | None]:
    """What is evaluated, the sections of its result, the seed, and the pictures of its rows."""
    if plan.pairs is not None:
        pairs = data.read_lfw_pairs(plan.pairs)
        people = pictured(source, pairs, plan, bar)
        seed = _seed(people, plan)
        return people, sections_of_lfw(people, pairs, plan, seed, bar), seed, people.picture
    check_asked(source, plan)
    subject = opened(source, plan, bar, dataset=dataset)
    seed = _seed(subject, plan)
    if isinstance(subject, People):
        gallery = _gallery(source, plan, bar)
        every = subject if gallery is None else together(subject, gallery)
        sections = sections_of_people(subject, gallery, every, plan, seed, bar)
        return subject, sections, seed, every.picture
    if plan.gallery is not None:
        raise ValueError(
            f"gallery must go with embeddings or pictures; got the scores {source}; leave it out"
        )
    return subject, sections_of_scores(subject, plan, seed, bar), seed, None


def _gallery(source: str | os.PathLike[str], plan: EvaluationPlan, bar: Bar) -> People | None:
    if plan.gallery is None:
        return None
    gallery = opened(plan.gallery, with_run_of(source, plan), bar)
    if isinstance(gallery, Scores):
        raise ValueError(
            f"gallery must be embeddings or pictures; got the scores {plan.gallery}; name a file "
            f"or folder like {source}"
        )
    return gallery


def _seed(subject: People | Scores, plan: EvaluationPlan) -> int:
    return subject.origin.seed if plan.seed is None else plan.seed


def _title(subject: People | Scores, counts: dict[str, Any]) -> str:
    name, people = subject.origin.data["name"], counts["identities"]
    if subject.origin.unseen:
        return f"{name}: {people} people never seen in training"
    pairs = counts["genuine_pairs"] + counts["impostor_pairs"]
    return f"{name}: {pairs:,} pairs" + ("" if people is None else f" of {people:,} identities")


def _map(people: People, seed: int) -> dict[str, Any]:
    from cospair.report.embedding_map import embedding_map

    return embedding_map(people.rows, people.codes, people.identities, most=MOST_ON_MAP, seed=seed)
