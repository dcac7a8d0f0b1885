"""Retrieval: is the right identity at the top of the ranked gallery?

Decisions of this file:
- Figures are means over the queries that have a match; those without are counted, never averaged.
- One resampling of query identities serves every interval, so figures vary together.
- Precision within the first places, of mAP@k and MAP@R, is the step rule's, whichever AP is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Progress
from cospair.evaluation.bootstrap.intervals import account, mean_intervals
from cospair.evaluation.inputs import Array, check_named, check_ranks
from cospair.evaluation.retrieval.match_ranks import MatchRanks, match_ranks
from cospair.evaluation.retrieval.matches import Runs, kept_queries, matching_runs
from cospair.evaluation.retrieval.ranking import (
    CURVE,
    AveragePrecision,
    Ties,
    first_match,
    groups_of,
    inverse_last_ranks,
    matches_within,
    precision_per_match_within,
    precision_sums,
)
from cospair.evaluation.retrieval.sides import Sides, both_sides, check_identities

DENOMINATORS = ("R", "min(k, R)", "hits")

HEADLINE = ("map", "map_at_r", "r_precision", "minp")


class Counting(NamedTuple):
    """What is counted, and by which rules."""

    average_precision: AveragePrecision
    ties: Ties
    top: Sequence[int]
    map_at: Sequence[int]


def retrieval_figures(
    query: Array,
    query_labels: Array,
    gallery: Array | None = None,
    gallery_labels: Array | None = None,
    *,
    cameras: Array | tuple[Array, Array] | None = None,
    average_precision: AveragePrecision = "step",
    ties: Ties = "expected",
    top: Sequence[int] = (1, 5, 10),
    map_at: Sequence[int] = (10,),
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every figure of a ranking by cosine similarity, with 95 % intervals.

    With R matches at ranks r_1 < ... < r_R, and h = 1 .. R:

        CMC@k         = share of queries with r_1 <= k
        AP, step      = (1/R) sum of h / r_h
        AP, trapezoid = (1/R) sum of (h / r_h + (h - 1) / (r_h - 1)) / 2,   the second term 1 at
        rank 1
        AP@k          = (sum of h / r_h over r_h <= k) / R, or min(k, R), or the number of r_h <= k
        MAP@R         = AP@R of denominator R
        R-precision   = number of r_h <= R, over R
        Recall@k      = number of r_h <= k, over R
        INP           = R / r_R

    Args:
        query: Real [n, d], finite.
        query_labels: Integer or string [n].
        gallery: Real [m, d], or None: each query is ranked against all others, itself left out by
            its index.
        gallery_labels: Integer or string [m], with a gallery only. Integer label -1 is junk and
            dropped; 0, the distractors of Market-1501, stays. (Without a gallery every label is an
            ordinary identity.)
        cameras: The camera of each picture, integers or strings: [n], or with a gallery the tuple
            ([n], [m]) of the queries' and the gallery's. Gallery items of the query's identity
            *and* camera are then dropped for that query.
        average_precision: "step" or "trapezoid" (the rule of Market-1501 and Oxford), of "map".
        ties: "expected" (the mean over all orders of each tied group), "optimistic" (matches first)
            or "pessimistic" (matches last).
        top: The k of CMC@k and Recall@k; above the gallery's size they are those of the whole
            gallery.
        map_at: The k of mAP@k, each with all three denominators. May be empty.
        resamples: Resamples of the bootstrap over query identities: 0 (no intervals) or at least
            100.
        seed: Seed of the bootstrap.
        progress: Called as progress(queries done, queries in all) after every block of queries.

    Returns:
        A dict of plain numbers and lists. "queries": those with a match, which the means are over;
        "skipped_queries": those without, of whom "skipped_by_camera" have matches in their own
        camera alone. "gallery": {"pictures" that are ranked, "junk" dropped, "distractors":
        pictures of identities no query has, "same_camera": drops by the camera rule, summed over
        the queries}. "cmc" and "recall": {"1": share, ...}; "cmc_curve": CMC@1, CMC@2, ... up to 50
        or the gallery's size; "map" with its "average_precision" and "ties"; "map_at": {"10": {"R",
        "min(k, R)", "hits"}}; "map_at_r", "r_precision", "minp". Intervals [low, high] or None:
        "cmc_1_interval" and one for every k of `top`, "map_interval", "map_at_r_interval",
        "r_precision_interval", "minp_interval". "interval": {"method", "confidence", "resamples",
        "seed", "notes": the reason for each None}.

    Raises:
        TypeError: If labels or cameras are floats, or embeddings are not numbers.
        ValueError: If shapes disagree, a row is not finite, an option is unknown, the gallery is
            empty, junk alone or of one identity, or no query has a match.

    Example:
        >>> rows, people = [[1, 0], [2, 1], [1, 1], [0, 1]], ["ann", "ann", "bob", "bob"]
        >>> figures = retrieval_figures(rows, people, resamples=0)
        >>> figures["cmc"]["1"], round(figures["map"], 4)
        (0.5, 0.7292)

    References:
        Zheng et al. (2015), Scalable person re-identification: a benchmark (Market-1501).
        Musgrave, Belongie, Lim (2020), A metric learning reality check (MAP@R, R-precision).
        Ye et al. (2021), Deep learning for person re-identification: a survey and outlook (mINP).
        McSherry, Najork (2008), Computing information retrieval performance measures efficiently in
        the presence of tied scores.
    """
    check_named("average_precision", average_precision, get_args(AveragePrecision))
    check_named("ties", ties, get_args(Ties))
    check_ranks("top", top)
    if len(map_at):
        check_ranks("map_at", map_at)
    sides = both_sides(query, query_labels, gallery, gallery_labels, cameras)
    runs = matching_runs(sides)
    kept, skipped = kept_queries(runs, sides.itself)
    check_identities(sides.items)
    top, map_at = [int(k) for k in top], [int(k) for k in map_at]
    counting = Counting(average_precision, ties, top, map_at)
    values = query_figures(sides, runs, counting, progress=progress)
    headline = [*(f"cmc_{k}" for k in dict.fromkeys([1, *top])), *HEADLINE]
    bootstrap = mean_intervals(
        {name: values[name] for name in headline},
        sides.queries.labels[kept],
        resamples=resamples,
        seed=seed,
    )
    return {
        "queries": len(kept),
        **skipped,
        "gallery": _gallery(sides, runs),
        **_means(values, top, map_at),
        "average_precision": average_precision,
        "ties": ties,
        **{f"{name}_interval": bootstrap["intervals"][name] for name in headline},
        "interval": account(
            "bootstrap over query identities", bootstrap, resamples=resamples, seed=seed
        ),
    }


def query_figures(
    sides: Sides, runs: Runs, counting: Counting, *, progress: Progress | None = None
) -> dict[str, NDArray[np.float64]]:
    """Every figure of each query that has a match, in the queries' order.

    Args:
        sides: The queries and the gallery.
        runs: Each query's matches, and what it must not meet.
        counting: What is counted.
        progress: As in `retrieval_figures`.

    Returns:
        {"cmc_1": [q], "map": [q], ...}, and the curve under "cmc_curve", [q, k].
    """
    size = len(sides.items.labels) - sides.itself
    blocks = [_of_block(ranks, size, counting) for ranks in match_ranks(sides, runs, progress)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _of_block(ranks: MatchRanks, size: int, counting: Counting) -> dict[str, NDArray[np.float64]]:
    """Every figure of each query of a block, against a gallery of some size."""
    average_precision, ties, top, map_at = counting
    groups = groups_of(ranks)
    relevant = groups.relevant
    every = np.full(len(relevant), size)
    curve = first_match(groups, ties, min(size, max(CURVE, *top)))
    values = {
        "cmc_curve": curve[:, :CURVE],
        "map": precision_sums(groups, ties, every, average_precision) / relevant,
        "map_at_r": precision_sums(groups, ties, relevant) / relevant,
        "r_precision": matches_within(groups, ties, relevant) / relevant,
        "minp": inverse_last_ranks(groups, ties) * relevant,
    }
    for k in {1, *top}:
        values[f"cmc_{k}"] = curve[:, min(k, size) - 1]
        values[f"recall_{k}"] = matches_within(groups, ties, np.minimum(every, k)) / relevant
    for k in map_at:
        sums = precision_sums(groups, ties, np.minimum(every, k))
        values[f"map_at_{k}_R"] = sums / relevant
        values[f"map_at_{k}_min(k, R)"] = sums / np.minimum(relevant, k)
        values[f"map_at_{k}_hits"] = precision_per_match_within(groups, ties, min(size, k))
    return values


def _means(
    values: dict[str, NDArray[np.float64]], top: Sequence[int], map_at: Sequence[int]
) -> dict[str, Any]:
    """Means over the queries, under the names of the result."""
    mean = {name: value.mean(axis=0).tolist() for name, value in values.items()}
    return {
        "cmc": {str(k): mean[f"cmc_{k}"] for k in top},
        "cmc_curve": mean["cmc_curve"],
        "recall": {str(k): mean[f"recall_{k}"] for k in top},
        **{name: mean[name] for name in HEADLINE},
        "map_at": {
            str(k): {name: mean[f"map_at_{k}_{name}"] for name in DENOMINATORS} for k in map_at
        },
    }


def _gallery(sides: Sides, runs: Runs) -> dict[str, int]:
    """What was ranked, and what each rule dropped."""
    camera_rule = sides.queries.cameras is not None
    dropped = int((runs.out_last - runs.out_first).sum()) - sides.itself * len(runs.first)
    return {
        "pictures": len(sides.items.labels),
        "junk": sides.junk,
        "distractors": int((~np.isin(sides.items.labels, sides.queries.labels)).sum()),
        "same_camera": dropped if camera_rule else 0,
    }
