"""Retrieval: is the right identity at the top of the ranked gallery?

Decisions of this file:
- Ranks come from scores rounded as those of pairs are, so pictures that are equal tie.
- Queries are taken in blocks; the scores of all queries against the whole gallery never exist at
  once.
- An excluded gallery item gets the score -inf: it ends up behind all others and never matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array
from cospair.evaluation.intervals import account, mean_intervals
from cospair.evaluation.pairs import cosines
from cospair.evaluation.ranking import (
    AveragePrecision,
    Ties,
    average_precisions,
    first_match,
    tied_groups,
)
from cospair.evaluation.sides import Side, both_sides

BLOCK_CELLS = 1 << 18


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
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """CMC@k and mAP of a ranking by cosine similarity, with 95 % intervals.

    With R matches at ranks r_1 < ... < r_R, and h = 1 .. R:

        CMC@k         = share of queries with r_1 <= k
        AP, step      = (1/R) sum of h / r_h
        AP, trapezoid = (1/R) sum of (h / r_h + (h - 1) / (r_h - 1)) / 2,   the second term 1 at
        rank 1

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
        average_precision: "step" or "trapezoid" (the rule of Market-1501 and Oxford).
        ties: "expected" (the mean over all orders of each tied group), "optimistic" (matches first)
            or "pessimistic" (matches last).
        top: The k of CMC@k; above the gallery's size CMC@k is that of the whole gallery.
        resamples: Resamples of the bootstrap over query identities: 0 (no intervals) or at least
            100.
        seed: Seed of the bootstrap.

    Returns:
        {"queries": queries with a match, which the means are over, "skipped_queries": those
        without, "cmc": {"1": share, ...}, "map", "average_precision", "ties", "cmc_1_interval",
        "map_interval" ([low, high] or None), "interval": {"method", "confidence", "resamples",
        "seed", "notes"}}.

    Raises:
        TypeError: If labels or cameras are floats, or embeddings are not numbers.
        ValueError: If shapes disagree, a row is not finite, an option is unknown, or no query has a
            match.

    Example:
        >>> rows, people = [[1, 0], [2, 1], [1, 1], [0, 1]], ["ann", "ann", "bob", "bob"]
        >>> figures = retrieval_figures(rows, people, resamples=0)
        >>> figures["cmc"]["1"], round(figures["map"], 4)
        (0.5, 0.7292)

    References:
        Zheng et al. (2015), Scalable person re-identification: a benchmark (Market-1501).
        McSherry, Najork (2008), Computing information retrieval performance measures efficiently in
        the presence of tied scores.
    """
    _check_options(average_precision, ties, top)
    itself = gallery is None
    queries, items = both_sides(query, query_labels, gallery, gallery_labels, cameras)
    cmc, precisions, kept = _per_query(queries, items, itself, average_precision, ties, top)
    _check_matched(kept)
    cmc, precisions = cmc[kept], precisions[kept]
    bootstrap = mean_intervals(
        {"cmc_1": cmc[:, 0], "map": precisions},
        queries.labels[kept],
        resamples=resamples,
        seed=seed,
    )
    return {
        "queries": int(kept.sum()),
        "skipped_queries": int((~kept).sum()),
        "cmc": {str(k): float(cmc[:, i + 1].mean()) for i, k in enumerate(top)},
        "map": float(precisions.mean()),
        "average_precision": average_precision,
        "ties": ties,
        "cmc_1_interval": bootstrap["intervals"]["cmc_1"],
        "map_interval": bootstrap["intervals"]["map"],
        "interval": account(
            "bootstrap over query identities", bootstrap, resamples=resamples, seed=seed
        ),
    }


def _check_options(average_precision: str, ties: str, top: Sequence[int]) -> None:
    known = {
        "average_precision": (average_precision, get_args(AveragePrecision)),
        "ties": (ties, get_args(Ties)),
    }
    for name, (given, names) in known.items():
        if given not in names:
            raise ValueError(
                f"{name} must be one of {', '.join(names)}; got {given!r}; pass one of them."
            )
    if not len(top) or any(isinstance(k, bool) or int(k) != k or k < 1 for k in top):
        raise ValueError(
            f"top must hold ranks from 1 up; got {tuple(top)!r}; pass ranks such as (1, 5)."
        )


def _check_matched(kept: NDArray[np.bool_]) -> None:
    if not kept.any():
        raise ValueError(
            f"query must hold an identity with another picture in the gallery; got {len(kept)} "
            "queries without a match; pass at least two pictures of one identity."
        )


def _per_query(
    queries: Side,
    items: Side,
    itself: bool,
    average_precision: AveragePrecision,
    ties: Ties,
    top: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """CMC at 1 and at each k of `top` [n, 1 + k], AP [n], and whether a query has a match [n]."""
    n, m = len(queries.rows), len(items.rows)
    ranks = np.array([1, *(min(int(k), max(m, 1)) for k in top)])
    cmc, precisions, kept = np.zeros((n, len(ranks))), np.zeros(n), np.zeros(n, bool)
    step = max(1, BLOCK_CELLS // max(1, m))
    for start in range(0, n if m else 0, step):
        part = slice(start, min(start + step, n))
        scores, matches = _scored(queries.take(part), items, start if itself else None)
        order = np.argsort(-scores, axis=1, kind="stable")
        scores = np.take_along_axis(scores, order, axis=1)
        groups = tied_groups(scores, np.take_along_axis(matches, order, axis=1))
        kept[part] = matches.any(axis=1)
        cmc[part] = first_match(groups, ties, int(ranks.max()))[:, ranks - 1]
        precisions[part] = average_precisions(groups, ties, average_precision)
    return cmc, precisions, kept


def _scored(
    queries: Side, items: Side, itself_from: int | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores [b, m], -inf where an item is excluded, and whether each item matches."""
    scores = cosines(queries.rows, items.rows)
    matches = queries.labels[:, None] == items.labels
    excluded = np.zeros_like(matches)
    if queries.cameras is not None and items.cameras is not None:
        excluded = matches & (queries.cameras[:, None] == items.cameras)
    if itself_from is not None:
        own = np.arange(len(scores))
        excluded[own, own + itself_from] = True
    scores[excluded] = -np.inf
    return scores, matches & ~excluded
