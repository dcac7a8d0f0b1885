"""Retrieval: is the right identity at the top of the ranked gallery?

Decisions of this file:
- Ranks come from scores rounded as in verification, so pictures that are equal tie, and ties are
  treated by name.
- "expected" is the exact mean over all orders of every tied group, in closed form, for CMC and for
  both kinds of AP.
- Queries are taken in blocks; the scores of all queries against the whole gallery never exist at
  once.
- An excluded gallery item gets the score -inf: it ends up behind all others and never matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.intervals import CONFIDENCE, Array, identity_labels, mean_intervals
from cospair.evaluation.verification import cosines, unit_rows

AveragePrecision = Literal["step", "trapezoid"]
Ties = Literal["expected", "optimistic", "pessimistic"]
BLOCK_CELLS = 1 << 18
JUNK = -1


class _Side(NamedTuple):
    """Pictures of one side: unit rows [n, d], identity codes [n], camera codes [n] or None."""

    rows: NDArray[np.float64]
    labels: NDArray[np.int64]
    cameras: NDArray[np.int64] | None

    def take(self, index: Any) -> _Side:
        cameras = None if self.cameras is None else self.cameras[index]
        return _Side(self.rows[index], self.labels[index], cameras)


class _Groups(NamedTuple):
    """For every place of a ranking [b, m]: its tied group, and its offset within the group."""

    start: NDArray[np.int64]
    size: NDArray[np.int64]
    matches: NDArray[np.int64]
    matches_before: NDArray[np.int64]
    offset: NDArray[np.int64]


def retrieval_figures(
    query: Array,
    query_labels: Array,
    gallery: Array | None = None,
    gallery_labels: Array | None = None,
    *,
    average_precision: AveragePrecision = "step",
    ties: Ties = "expected",
    top: Sequence[int] = (1, 5, 10),
    query_cameras: Array | None = None,
    gallery_cameras: Array | None = None,
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
        average_precision: "step" or "trapezoid" (the rule of Market-1501 and Oxford).
        ties: "expected" (the mean over all orders of each tied group), "optimistic" (matches first)
            or "pessimistic" (matches last).
        top: The k of CMC@k; above the gallery's size CMC@k is that of the whole gallery.
        query_cameras: Integer or string [n]; with cameras, gallery items of the query's identity
            *and* camera are dropped for that query.
        gallery_cameras: Integer or string [m], given exactly if both a gallery and query_cameras
            are.
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
    queries, items = _sides(
        query, query_labels, gallery, gallery_labels, query_cameras, gallery_cameras
    )
    first_ranks, precisions, kept = _per_query(queries, items, itself, average_precision, ties, top)
    if not kept.any():
        raise ValueError(
            f"query must hold an identity with another picture in the gallery; got {len(kept)} "
            "queries without a match; pass at least two pictures of one identity."
        )
    found, precisions = first_ranks[kept], precisions[kept]
    bootstrap = mean_intervals(
        {"cmc_1": found[:, 0], "map": precisions},
        queries.labels[kept],
        resamples=resamples,
        seed=seed,
    )
    return {
        "queries": int(kept.sum()),
        "skipped_queries": int((~kept).sum()),
        "cmc": {str(k): float(found[:, i + 1].mean()) for i, k in enumerate(top)},
        "map": float(precisions.mean()),
        "average_precision": average_precision,
        "ties": ties,
        "cmc_1_interval": bootstrap["intervals"]["cmc_1"],
        "map_interval": bootstrap["intervals"]["map"],
        "interval": {
            "method": "bootstrap over query identities",
            "confidence": CONFIDENCE,
            "resamples": resamples,
            "seed": seed,
            "notes": bootstrap["notes"],
        },
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


def _sides(
    query: Array,
    query_labels: Array,
    gallery: Array | None,
    gallery_labels: Array | None,
    query_cameras: Array | None,
    gallery_cameras: Array | None,
) -> tuple[_Side, _Side]:
    """Both sides checked, labels and cameras numbered together, junk gone from a given gallery."""
    rows = unit_rows("query", query)
    labels = identity_labels("query_labels", query_labels, len(rows))
    if not len(rows):
        raise ValueError(
            "query must hold at least one row; got none; pass the pictures to look up."
        )
    _check_company(gallery, gallery_labels, query_cameras, gallery_cameras)
    if gallery is None:
        side = _Side(rows, _codes(labels), _cameras("query_cameras", query_cameras, len(rows)))
        return side, side
    others, names = _gallery(gallery, gallery_labels, rows.shape[1], labels)
    near = _cameras("query_cameras", query_cameras, len(rows), gallery_cameras, len(others))
    codes = _codes(np.concatenate([labels, names]))
    both = _Side(np.concatenate([rows, others]), codes, near)
    kept = np.arange(len(rows), len(codes))
    if names.dtype.kind != "U":
        kept = kept[names != JUNK]
    return both.take(slice(len(rows))), both.take(kept)


def _check_company(
    gallery: Array | None,
    gallery_labels: Array | None,
    query_cameras: Array | None,
    gallery_cameras: Array | None,
) -> None:
    """Refuse arguments that lack the ones they go with."""
    if gallery is None:
        if gallery_labels is not None or gallery_cameras is not None:
            raise ValueError(
                "gallery must be given with gallery_labels and gallery_cameras; got None; pass it."
            )
        return
    if gallery_labels is None:
        raise ValueError(
            "gallery_labels must be given with a gallery; got None; pass one label per row."
        )
    if (query_cameras is None) != (gallery_cameras is None):
        raise ValueError(
            "query_cameras and gallery_cameras must go together; got one of them; pass both."
        )


def _gallery(
    gallery: Array, gallery_labels: Any, dimensions: int, labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Unit rows and labels of the gallery, of the same width and kind as the queries'."""
    others = unit_rows("gallery", gallery)
    names = identity_labels("gallery_labels", gallery_labels, len(others))
    if others.shape[1] != dimensions:
        raise ValueError(
            f"gallery must have the queries' width; got {others.shape[1]} columns for "
            f"{dimensions}; embed both with one model."
        )
    if len(names) and names.dtype.kind != labels.dtype.kind:
        raise TypeError(
            f"gallery_labels must be of the queries' kind; got {names.dtype} for {labels.dtype}; "
            "use integers or strings on both sides."
        )
    return others, names


def _cameras(
    name: str, cameras: Array | None, count: int, others: Array | None = None, other_count: int = 0
) -> NDArray[np.int64] | None:
    """Camera codes of the queries, followed by those of the gallery where there is one."""
    if cameras is None:
        return None
    own = identity_labels(name, cameras, count)
    if others is None:
        return _codes(own)
    rest = identity_labels("gallery_cameras", others, other_count)
    if len(rest) and rest.dtype.kind != own.dtype.kind:
        raise TypeError(
            f"gallery_cameras must be of the queries' kind; got {rest.dtype} for {own.dtype}; "
            "use integers or strings on both sides."
        )
    return _codes(np.concatenate([own, rest]))


def _codes(labels: NDArray[Any]) -> NDArray[np.int64]:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _per_query(
    queries: _Side,
    items: _Side,
    itself: bool,
    average_precision: AveragePrecision,
    ties: Ties,
    top: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """CMC at 1 and at each k of `top` [n, 1 + k], AP [n], and whether a query has a match [n]."""
    n, m = len(queries.rows), len(items.rows)
    ranks = np.array([1, *(min(int(k), max(m, 1)) for k in top)])
    found, precisions, kept = np.zeros((n, len(ranks))), np.zeros(n), np.zeros(n, bool)
    step = max(1, BLOCK_CELLS // max(1, m))
    for start in range(0, n if m else 0, step):
        part = slice(start, min(start + step, n))
        scores, matches = _scored(queries.take(part), items, start if itself else None)
        order = np.argsort(-scores, axis=1, kind="stable")
        scores = np.take_along_axis(scores, order, axis=1)
        groups = _tied_groups(scores, np.take_along_axis(matches, order, axis=1))
        kept[part] = matches.any(axis=1)
        found[part] = _first_match(groups, ties, int(ranks.max()))[:, ranks - 1]
        precisions[part] = _precision(groups, ties, average_precision)
    return found, precisions, kept


def _scored(
    queries: _Side, items: _Side, itself_from: int | None
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


def _tied_groups(scores: NDArray[np.float64], matches: NDArray[np.bool_]) -> _Groups:
    """Groups of equal scores in descending rankings [b, m]."""
    b, m = scores.shape
    place = np.broadcast_to(np.arange(m), (b, m))
    edge = np.ones((b, m + 1), bool)  # edge p: a group starts at place p
    edge[:, 1:-1] = scores[:, 1:] != scores[:, :-1]
    start = np.maximum.accumulate(np.where(edge[:, :-1], place, 0), axis=1)
    end = np.where(edge[:, 1:], place + 1, m)
    end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]
    so_far = np.zeros((b, m + 1), np.int64)
    np.cumsum(matches, axis=1, out=so_far[:, 1:])
    before = np.take_along_axis(so_far, start, axis=1)
    inside = np.take_along_axis(so_far, end, axis=1) - before
    return _Groups(start, end - start, inside, before, place - start)


def _first_match(groups: _Groups, ties: Ties, ranks: int) -> NDArray[np.float64]:
    """P(first match at rank <= k) for k = 1 .. ranks, [b, ranks].

    In a random order of the first group that holds matches (size n, r matches), the place at offset
    p is not a match, given that no earlier one is, with probability (n - r - p) / (n - p).
    "optimistic" has a match at offset 0, "pessimistic" at offset n - r.
    """
    n, r, p = (part[:, :ranks] for part in (groups.size, groups.matches, groups.offset))
    if ties == "expected":
        miss = np.clip((n - r - p) / (n - p), 0.0, 1.0)
    else:
        first = 0 if ties == "optimistic" else n - r
        miss = np.where((r > 0) & (p == first), 0.0, 1.0)
    return 1.0 - np.cumprod(miss, axis=1, dtype=np.float64)


def _precision(groups: _Groups, ties: Ties, rule: AveragePrecision) -> NDArray[np.float64]:
    """AP of each ranking [b]; 0 where nothing matches.

    AP is a sum over places of P(a match stands there) times the mean precision given that it does.
    Precision is linear in the number h of matches ahead, so only the mean of h is needed. In a
    random order of a group (size n, r matches, offset p) that is p (r - 1) / (n - 1), plus the
    matches of earlier groups.
    """
    _, n, r, before, p = groups
    if ties == "expected":
        chance, ahead = r / n, p * ((r - 1) / np.maximum(n - 1, 1))
    elif ties == "optimistic":
        chance, ahead = (p < r).astype(np.float64), p
    else:
        chance, ahead = (p >= n - r).astype(np.float64), p - (n - r)
    ahead = before + ahead
    rank = groups.start + p + 1
    value = (ahead + 1) / rank
    if rule == "trapezoid":
        value = (value + np.where(rank > 1, ahead / np.maximum(rank - 1, 1), 1.0)) / 2
    total = before[:, -1] + r[:, -1]
    return (chance * value).sum(axis=1) / np.maximum(total, 1)
