"""Two sources of the same people side by side: is one better, or is no difference shown?"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from cospair import evaluation
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.progress import Bar
from cospair.jobs.results import Evaluated, evaluated
from cospair.jobs.subjects import People, Scores


def compared(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    plan: EvaluationPlan,
    bar: Bar,
    *,
    command: str = "",
) -> dict[str, Any]:
    """Evaluate two sources and compare them on the people they share, which must be all.

    Args:
        first: As in `evaluate`.
        second: As in `evaluate`; its rows or pairs are those of the first, in the same order.
        plan: What is asked for; no gallery and no pairs.
        bar: Where progress is shown.
        command: What the user typed.

    Returns:
        {"title", "command", "a", "b" (results), "comparison"}.

    Raises:
        ValueError: If the two are not of the same people in the same order, or a plan asks for what
            only one source has.
    """
    if plan.gallery is not None or plan.pairs is not None:
        raise ValueError(
            "two sources must be compared over all pairs; got --gallery or --pairs as well; leave "
            "it out, or evaluate one source after the other"
        )
    if plan.threshold is not None or plan.calibrate_on is not None:
        raise ValueError(
            "two sources must each have a threshold of their own; got --threshold or "
            "--calibrate-on for both; evaluate one source after the other"
        )
    a, b = (evaluated(source, plan, bar, command=command) for source in (first, second))
    return {
        "title": f"A: {first}, B: {second}",
        "command": command,
        "a": a.result,
        "b": b.result,
        "comparison": _comparison(a, b, plan),
    }


def _comparison(a: Evaluated, b: Evaluated, plan: EvaluationPlan) -> dict[str, Any]:
    options = {
        "far": plan.far_targets,
        "resamples": plan.resamples,
        "seed": a.result["seed"],
    }
    if isinstance(a.subject, People) and isinstance(b.subject, People):
        _check_same("labels", a.subject.labels, b.subject.labels)
        _check_same("names of the pictures", a.subject.names, b.subject.names)
        return evaluation.compare_models(a.subject.rows, b.subject.rows, a.subject.codes, **options)
    if isinstance(a.subject, Scores) and isinstance(b.subject, Scores):
        one, other = a.subject.pairs, b.subject.pairs
        _check_same("genuine pairs", one.same, other.same)
        _check_same("names of the pictures", one.pictures, other.pictures)
        _check_same("identities", one.identities, other.identities)
        people = one.identities if other.identities is None else other.identities
        if people is None:
            raise ValueError(
                "scores must come with identities where two files are compared; got neither file "
                "with first_identity and second_identity; add these columns to one"
            )
        return evaluation.compare_scores(one.scores, other.scores, one.same, people, **options)
    raise ValueError(
        "two sources must be of one kind; got scores and embeddings; compare scores with scores"
    )


def _check_same(what: str, one: Any, other: Any) -> None:
    """Refuse sources of which row i is not the same in both; unknown on a side is no fault."""
    if one is None or other is None:
        return
    if one.dtype.kind == other.dtype.kind and np.array_equal(one, other):
        return
    if len(one) != len(other):
        came = f"{len(one)} and {len(other)} rows"
    else:
        differs = np.atleast_1d(one != other)
        place = int(np.argwhere(differs)[0][0]) if differs.shape[0] == len(one) else 0
        came = f"{one[place].tolist()!r} and {other[place].tolist()!r} in row {place}"
    raise ValueError(
        f"two sources must have the same {what} in the same order; got {came}; compare two models "
        "on the same pictures"
    )
