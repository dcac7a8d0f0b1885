"""One method tested on several groups of people, none of whom is in two of them.

Decisions of this file:
- A figure is the mean over the groups: scores of different models are not comparable, so pairs are
  made within a group alone.
- Intervals resample the people of each group; resample i of the mean is the mean of the groups'
  resamples i. They say how a figure moves with the people tested, not with those trained on.
- Two methods are compared on the same drawn people, as in `compare_models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cospair.evaluation.bootstrap.draws import Draws, mean_draws
from cospair.evaluation.bootstrap.intervals import percentile_intervals
from cospair.evaluation.comparison import (
    COUNTING,
    verification_draws,
    verification_sides,
)
from cospair.evaluation.inputs import Array, as_array
from cospair.evaluation.retrieval.figures import query_figures
from cospair.evaluation.retrieval.matches import kept_queries, matching_runs
from cospair.evaluation.retrieval.sides import both_sides
from cospair.evaluation.verdicts import compared
from cospair.evaluation.verification.pairs import pair_scores

RANKED = ("cmc_1", "map")
LOWER_IS_BETTER = ("eer",)


class FoldFigures(NamedTuple):
    """Figures of one group of people, None where there is no figure, and their resamples."""

    values: dict[str, float | None]
    draws: Draws


def fold_figures(
    embeddings: Array,
    labels: Array,
    *,
    far: Sequence[float] = (1e-2,),
    resamples: int = 1000,
    seed: int = 0,
) -> FoldFigures:
    """Figures of one group over all its pairs, and of ranking each picture against all others.

    Args:
        embeddings: Real [n, d], finite.
        labels: Integer or string [n].
        far: Targets in (0, 1] for TAR@FAR.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap; methods to be compared need the same.

    Returns:
        "auc", "eer", "tar@far=..." a target, "cmc_1" and "map", shares in [0, 1].

    Raises:
        TypeError: As `compare_models`.
        ValueError: As `compare_models`.

    Example:
        >>> rows = [[1, 0], [1, 1], [0, 1], [-1, 1]]
        >>> fold_figures(rows, [0, 0, 1, 1], far=[0.5], resamples=0).values["auc"]
        0.875
    """
    people = np.unique(as_array(labels), return_inverse=True)[1]
    pairs = pair_scores(embeddings, people)
    codes = np.stack([people[pairs.first], people[pairs.second]], axis=1)
    sides = verification_sides(pairs.scores, pairs.same, far)
    draws = verification_draws(pairs.scores, pairs.same, codes, far, resamples, seed, None)
    both = both_sides(embeddings, people, None, None, None)
    runs = matching_runs(both)
    kept, _ = kept_queries(runs, itself=True)
    found = query_figures(both, runs, COUNTING)
    queries = {name: found[name] for name in RANKED}
    ranked = mean_draws(queries, people[kept], resamples=resamples, seed=seed)
    return FoldFigures(
        {
            **{name: value for name, (value, _) in sides.items()},
            **{name: float(queries[name].mean()) for name in RANKED},
        },
        Draws({**draws.values, **ranked.values}, draws.reason or ranked.reason),
    )


def over_folds(parts: Sequence[FoldFigures]) -> dict[str, dict[str, Any]]:
    """Each figure's mean over the groups, with its interval.

    Args:
        parts: Figures of each group, with as many resamples each.

    Returns:
        {name: {"value", "interval" ([low, high] or None), "folds" (the groups' own values)}};
        "value" is None where a group has no such figure.

    Example:
        >>> group = fold_figures([[1, 0], [1, 1], [0, 1], [-1, 1]], [0, 0, 1, 1], resamples=0)
        >>> over_folds([group, group])["auc"]
        {'value': 0.875, 'interval': None, 'folds': [0.875, 0.875]}
    """
    intervals = percentile_intervals(_mean(parts))["intervals"]
    return {
        name: {
            "value": _mean_value(parts, name),
            "interval": intervals[name],
            "folds": [part.values[name] for part in parts],
        }
        for name in parts[0].values
    }


def compare_over_folds(
    a: Sequence[FoldFigures], b: Sequence[FoldFigures]
) -> dict[str, dict[str, Any]]:
    """Differences b - a of two methods tested on the same groups.

    Args:
        a: The first method's figures of each group.
        b: The second method's, of the same groups in the same order, made with the same seeds.

    Returns:
        {name: {"a", "b", "difference", "difference_interval", "better", "verdict"}}, as
        `compare_models` has them.

    Example:
        >>> group = fold_figures([[1, 0], [1, 1], [0, 1], [-1, 1]], [0, 0, 1, 1], resamples=0)
        >>> compare_over_folds([group], [group])["auc"]["verdict"]
        'no difference on these pairs'
    """
    one, other = _mean(a), _mean(b)
    gaps = Draws({name: other.values[name] - one.values[name] for name in one.values}, one.reason)
    found = percentile_intervals(gaps)
    return {
        name: compared(
            _mean_value(a, name),
            _mean_value(b, name),
            found["intervals"][name],
            found["notes"].get(name, "too few impostor pairs for this FAR"),
            lower_is_better=name in LOWER_IS_BETTER,
        )
        for name in a[0].values
    }


def _mean_value(parts: Sequence[FoldFigures], name: str) -> float | None:
    values = [part.values[name] for part in parts]
    return None if None in values else float(np.mean([v for v in values if v is not None]))


def _mean(parts: Sequence[FoldFigures]) -> Draws:
    reason = next((part.draws.reason for part in parts if part.draws.reason), "")
    names = parts[0].draws.values
    if reason:  # a group without resamples leaves nothing to average
        return Draws({name: np.empty(0) for name in names}, reason)
    return Draws(
        {name: np.mean([part.draws.values[name] for part in parts], axis=0) for name in names},
        reason,
    )
