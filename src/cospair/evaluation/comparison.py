"""Two models on the same people: is one better, or is no difference shown?

Decisions of this file:
- Both are measured on the same drawn people in every resample, so what makes people easy or hard
  for both cancels out of the difference.
- A difference is said to be shown where its 95 % interval lies on one side of 0.
- Differences are b - a; whether up is better depends on the figure, and the verdict says it.
- Retrieval resamples the people of the queries; the gallery stays, as in its own intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Draws, Progress, curve_draws
from cospair.evaluation.bootstrap.intervals import account, mean_intervals, percentile_intervals
from cospair.evaluation.bootstrap.resampling import slots_of
from cospair.evaluation.inputs import (
    Array,
    as_array,
    check_people_match,
    check_share,
    checked_pairs,
    identities_of_pairs,
)
from cospair.evaluation.retrieval.figures import Counting, query_figures
from cospair.evaluation.retrieval.matches import kept_queries, matching_runs
from cospair.evaluation.retrieval.sides import both_sides
from cospair.evaluation.verdicts import compared, many_figures
from cospair.evaluation.verification.curves import (
    Counts,
    area,
    counted_curve,
    equal_error,
    operating_point,
    tar_within,
)
from cospair.evaluation.verification.figures import HELD_PAIRS
from cospair.evaluation.verification.pairs import pair_scores

RANKED = ("cmc_1", "map", "map_at_r")
COUNTING = Counting("step", "expected", (1,), ())


def compare_scores(
    scores_a: Array,
    scores_b: Array,
    same: Array,
    identities: Array,
    *,
    far: Sequence[float] = (1e-1, 1e-2, 1e-3),
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Differences of AUC, EER and TAR@FAR between two scorings of the same pairs.

    Args:
        scores_a: Real [p], finite, of the first model; its scale need not be that of the other.
        scores_b: Real [p], finite, of the second model, in the same order.
        same: Bool [p], True = genuine.
        identities: Integer or string [p, 2], identities of the two pictures of each pair.
        far: Targets in (0, 1] for TAR@FAR.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap; both models get the same draws.
        progress: Called with (resamples done, resamples of both together) now and then.

    Returns:
        {"genuine_pairs", "impostor_pairs", "identities", "figures", "interval", "note"}. "figures"
        holds for "auc", "eer" and "tar@far=..." a dict of "a", "b", "difference" (b - a),
        "difference_interval" ([low, high] or None), "better" ("a", "b" or None: none shown) and
        "verdict" (words). Where the impostors are too few for a target, a, b and difference are
        None and the verdict says "insufficient data: ...". "note" reads the figures together.

    Raises:
        TypeError: If scores are not numbers, or identities are floats.
        ValueError: If lengths disagree, a kind of pair is missing, `identities` and `same`
            disagree, or an option is out of range.

    Example:
        >>> people = [(a, b) for a in range(12) for b in range(a, 12)]
        >>> same = [a == b for a, b in people]
        >>> first = [0.4 - a / 30 if a == b else 0.1 + (a + b) / 40 for a, b in people]
        >>> second = [0.6 - a / 30 if a == b else 0.1 + (a + b) / 40 for a, b in people]
        >>> found = compare_scores(first, second, same, people, far=[0.1])
        >>> found["figures"]["auc"]["verdict"]
        'b is better by 0.411 (95 % interval 0.191 to 0.556)'

    References:
        Efron, Tibshirani (1993), An introduction to the bootstrap, chapter 13 (percentiles).
    """
    for target in far:
        check_share("each far", target)
    first, flags = checked_pairs(scores_a, same)
    second, _ = checked_pairs(scores_b, same)
    codes = identities_of_pairs(identities, len(flags))
    check_people_match(flags, codes)
    side_a, side_b = (verification_sides(scores, flags, far) for scores in (first, second))
    a, b = (
        verification_draws(
            scores, flags, codes, far, resamples, seed, _later(progress, part * resamples)
        )
        for part, scores in enumerate((first, second))
    )
    found = percentile_intervals(
        Draws({name: b.values[name] - a.values[name] for name in a.values}, a.reason)
    )
    return {
        "genuine_pairs": int(flags.sum()),
        "impostor_pairs": int((~flags).sum()),
        "identities": int(codes.max()) + 1,
        "figures": {name: _entry(name, side_a, side_b, found) for name in side_a},
        "interval": account("paired identity bootstrap", found, resamples=resamples, seed=seed),
        "note": many_figures(len(side_a)),
    }


def compare_models(
    embeddings_a: Array,
    embeddings_b: Array,
    labels: Array,
    *,
    far: Sequence[float] = (1e-1, 1e-2, 1e-3),
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare two models by all pairs of the same pictures.

    Args:
        embeddings_a: Real [n, d], finite, of the first model.
        embeddings_b: Real [n, e], finite, of the second model: row i shows the same picture.
        labels: Integer or string [n].
        far: As in `compare_scores`.
        resamples: As in `compare_scores`.
        seed: As in `compare_scores`.
        progress: As in `compare_scores`.

    Returns:
        As `compare_scores`, with "pictures", and among the figures also "cmc_1", "map" and
        "map_at_r" of ranking each picture against all others.

    Raises:
        TypeError: As `compare_scores`.
        ValueError: As `compare_scores`, or if the two sets of rows differ in number or are too many
            to hold all pairs of.

    Example:
        >>> rows, people = [[1, 0], [1, 1], [0, 1], [-1, 1]], [0, 0, 1, 1]
        >>> found = compare_models(rows, rows, people, far=[0.5], resamples=0)
        >>> found["figures"]["auc"]["verdict"]
        'no difference on these pairs'
    """
    people = np.unique(as_array(labels), return_inverse=True)[1]
    _check_held(people.size)
    first = pair_scores(embeddings_a, labels)
    second = pair_scores(embeddings_b, labels)
    found = compare_scores(
        first.scores,
        second.scores,
        first.same,
        np.stack([people[first.first], people[first.second]], axis=1),
        far=far,
        resamples=resamples,
        seed=seed,
        progress=progress,
    )
    ranked = _ranked(embeddings_a, embeddings_b, people, resamples=resamples, seed=seed)
    figures = {**found["figures"], **ranked["figures"]}
    how = {**found["interval"], "notes": {**found["interval"]["notes"], **ranked["notes"]}}
    return {
        **found,
        "figures": figures,
        "interval": how,
        "note": many_figures(len(figures)),
        "pictures": len(people),
    }


def _check_held(pictures: int) -> None:
    pairs = pictures * (pictures - 1) // 2
    if pairs > HELD_PAIRS:
        raise ValueError(
            f"labels must give at most {HELD_PAIRS} pairs; got {pairs} from {pictures} rows; "
            "compare on some of the people, drawn at random."
        )


def _ranked(
    embeddings_a: Array,
    embeddings_b: Array,
    people: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Figures of ranking each picture against all others, and why one has no interval."""
    one, other = (
        both_sides(rows, people, None, None, None) for rows in (embeddings_a, embeddings_b)
    )
    runs = matching_runs(one)  # by label alone: the same on both sides
    kept, _ = kept_queries(runs, itself=True)
    a, b = (query_figures(sides, runs, COUNTING) for sides in (one, other))
    found = mean_intervals(
        {name: b[name] - a[name] for name in RANKED}, people[kept], resamples=resamples, seed=seed
    )
    return {
        "notes": found["notes"],
        "figures": {
            name: compared(
                float(a[name].mean()),
                float(b[name].mean()),
                found["intervals"][name],
                found["notes"].get(name, ""),
            )
            for name in RANKED
        },
    }


def _later(progress: Progress | None, before: int) -> Progress | None:
    """Report one of two rounds of resamples as a part of both."""
    if progress is None:
        return None
    return lambda done, of: progress(before + done, 2 * of)


def _names(far: Sequence[float]) -> list[str]:
    return [f"tar@far={float(target)!r}" for target in far]


def verification_sides(
    scores: NDArray[np.float64], same: NDArray[np.bool_], far: Sequence[float]
) -> dict[str, tuple[float | None, str]]:
    """Figures of one model, and why one is missing."""
    curve = counted_curve(scores, same)
    points = [operating_point(curve, target) for target in far]
    return {
        "auc": (float(area(curve.impostors, curve.genuine)), ""),
        "eer": (float(equal_error(curve.impostors, curve.genuine)), ""),
        **{
            name: (point["tar"], point["note"])
            for name, point in zip(_names(far), points, strict=True)
        },
    }


def verification_draws(
    scores: NDArray[np.float64],
    same: NDArray[np.bool_],
    codes: NDArray[np.int64],
    far: Sequence[float],
    resamples: int,
    seed: int,
    progress: Progress | None,
) -> Draws:
    """Figures of one model in every resample of the people."""

    def figures(impostors: Counts, genuine: Counts) -> dict[str, Any]:
        tars = [tar_within(impostors, genuine, target) for target in far]
        return {
            "auc": area(impostors, genuine),
            "eer": equal_error(impostors, genuine),
            **dict(zip(_names(far), tars, strict=True)),
        }

    slots = slots_of(scores, np.unique(scores[same]))
    return curve_draws(slots, codes, figures, resamples=resamples, seed=seed, progress=progress)


def _entry(
    name: str,
    side_a: dict[str, tuple[float | None, str]],
    side_b: dict[str, tuple[float | None, str]],
    found: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    (a, missing), (b, _) = side_a[name], side_b[name]
    interval, reason = found["intervals"][name], found["notes"].get(name, "")
    return compared(a, b, interval, missing or reason, lower_is_better=name == "eer")
