"""Single-gallery-shot: each query against one random gallery picture of every identity (CUHK03).

Decisions of this file:
- A draw is one random order of the gallery. An identity is shown by its first picture in that
  order, and to a query of that identity by the first one the query may meet. So a draw is one
  gallery for all queries, and the camera rule never takes a match away that another picture gives.
- Ties between the query's match and other identities are treated as everywhere, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.intervals import account, mean_intervals
from cospair.evaluation.inputs import Array, check_named, check_ranks
from cospair.evaluation.retrieval.match_ranks import (
    BLOCK_CELLS,
    Progress,
    least_exceeding,
    least_reaching,
    rounded,
)
from cospair.evaluation.retrieval.matches import exclusions, kept_queries, matching_runs
from cospair.evaluation.retrieval.ranking import CURVE, Groups, Ties, first_match
from cospair.evaluation.retrieval.sides import Side, Sides, both_sides, check_identities


def single_gallery_shot(
    query: Array,
    query_labels: Array,
    gallery: Array | None = None,
    gallery_labels: Array | None = None,
    *,
    cameras: Array | tuple[Array, Array] | None = None,
    draws: int = 10,
    ties: Ties = "expected",
    top: Sequence[int] = (1, 5, 10),
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """CMC@k with one random gallery picture of each identity, averaged over seeded draws.

    Args:
        query: Real [n, d], finite.
        query_labels: Integer or string [n].
        gallery: Real [m, d], or None: as in `retrieval_figures`.
        gallery_labels: Integer or string [m], with a gallery only; integer label -1 is junk.
        cameras: As in `retrieval_figures`; a query's match is drawn among the pictures of other
            cameras.
        draws: How many galleries are drawn, from 1 up.
        ties: As in `retrieval_figures`.
        top: The k of CMC@k; above the number of identities it is CMC of them all.
        resamples: Resamples of the bootstrap over query identities: 0 (no intervals) or at least
            100. The draws stay as they are.
        seed: Seed of the draws and of the bootstrap.
        progress: Called as progress(draws done, draws in all) after every draw.

    Returns:
        {"queries", "skipped_queries", "skipped_by_camera", "identities" in the gallery, "draws",
        "seed", "ties", "cmc": {"1": mean over draws, ...}, "cmc_deviation": {"1": standard
        deviation over draws (ddof 0), ...}, "cmc_curve": CMC@1, CMC@2, ... up to 50 or the number
        of identities, "cmc_1_interval" and one for every k of `top` ([low, high] or None),
        "interval": {"method", "confidence", "resamples", "seed", "notes"}}.

    Raises:
        TypeError: If labels or cameras are floats, embeddings are not numbers, or `draws` is no
            integer.
        ValueError: If shapes disagree, a row is not finite, an option is unknown, the gallery is
            empty, junk alone or of one identity, or no query has a match.

    Example:
        >>> gallery, people = [[1, 0], [4, 3], [3, 4], [0, 1]], ["ann", "ann", "bob", "bob"]
        >>> figures = single_gallery_shot([[1, 1]], ["ann"], gallery, people, draws=200)
        >>> figures["cmc"]["1"], round(figures["cmc_deviation"]["1"], 2)
        (0.505, 0.35)

    References:
        Li, Zhao, Xiao, Wang (2014), DeepReID: deep filter pairing neural network (CUHK03).
    """
    check_named("ties", ties, get_args(Ties))
    check_ranks("top", top)
    _check_draws(draws)
    sides = both_sides(query, query_labels, gallery, gallery_labels, cameras)
    kept, skipped = kept_queries(matching_runs(sides), sides.itself)
    check_identities(sides.items)
    people = len(np.unique(sides.items.labels))
    ranks = min(people, max(CURVE, *top))
    drawn = _curves(sides, kept, ranks, draws, ties, seed, progress)
    columns = {int(k): min(int(k), people) - 1 for k in dict.fromkeys([1, *top])}
    bootstrap = mean_intervals(
        {f"cmc_{k}": drawn.per_query[:, at] for k, at in columns.items()},
        sides.queries.labels[kept],
        resamples=resamples,
        seed=seed,
    )
    return {
        "queries": len(kept),
        **skipped,
        "identities": people,
        "draws": draws,
        "seed": seed,
        "ties": ties,
        "cmc": {str(int(k)): float(drawn.per_draw[:, columns[k]].mean()) for k in top},
        "cmc_deviation": {str(int(k)): float(drawn.per_draw[:, columns[k]].std()) for k in top},
        "cmc_curve": drawn.per_draw[:, :CURVE].mean(axis=0).tolist(),
        **{f"cmc_{k}_interval": bootstrap["intervals"][f"cmc_{k}"] for k in columns},
        "interval": account(
            "bootstrap over query identities", bootstrap, resamples=resamples, seed=seed
        ),
    }


class _Curves(NamedTuple):
    """CMC at ranks from 1 up: of each query [q, k] over all draws, of each draw [draws, k]."""

    per_query: NDArray[np.float64]
    per_draw: NDArray[np.float64]


class _Shown(NamedTuple):
    """Items [identities]: the one drawn of each, and another for queries that must not meet it."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]


def _check_draws(draws: int) -> None:
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer):
        raise TypeError(f"draws must be an integer; got {draws!r}; pass a number such as 10.")
    if draws < 1:
        raise ValueError(f"draws must be at least 1; got {draws}; pass a number such as 10.")


def _curves(
    sides: Sides,
    kept: NDArray[np.int64],
    ranks: int,
    draws: int,
    ties: Ties,
    seed: int,
    progress: Progress | None,
) -> _Curves:
    """Draw galleries, and rank every query that has a match in each."""
    codes, item_codes = exclusions(sides)
    queries, codes = sides.queries.take(kept), codes[kept]
    identities, labels = np.unique(sides.items.labels, return_inverse=True)
    own = np.searchsorted(identities, queries.labels)
    rng = np.random.default_rng(seed)
    per_query, per_draw = np.zeros((len(kept), ranks)), np.empty((draws, ranks))
    for draw in range(draws):
        shown = _shown(labels, item_codes, rng.permutation(len(labels)))
        mates = np.where(item_codes[shown.first[own]] == codes, shown.second[own], shown.first[own])
        curve = _ranked(queries, sides.items.rows, shown.first, own, mates, ties, ranks)
        per_query += curve / draws
        per_draw[draw] = curve.mean(axis=0)
        if progress:
            progress(draw + 1, draws)
    return _Curves(per_query, per_draw)


def _shown(labels: NDArray[np.int64], codes: NDArray[np.int64], drawn: NDArray[np.int64]) -> _Shown:
    """The first item of each identity in drawn order, and the first of another code than that."""
    order = drawn[np.argsort(labels[drawn], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    first = order[starts]
    other = codes[order] != codes[first][labels[order]]
    # the place of the next item of another code; where the identity has none, nobody asks for it
    after = np.where(other, np.arange(len(order)), len(order) - 1)
    after = np.minimum.accumulate(after[::-1])[::-1]
    return _Shown(first, order[after[starts]])


def _ranked(
    queries: Side,
    rows: NDArray[np.float64],
    shown: NDArray[np.int64],
    own: NDArray[np.int64],
    mates: NDArray[np.int64],
    ties: Ties,
    ranks: int,
) -> NDArray[np.float64]:
    """P(match at rank <= k) [q, ranks] of queries whose match is `mates` and column `own`."""
    curve = np.empty((len(own), ranks))
    step = max(1, BLOCK_CELLS // len(shown))
    for start in range(0, len(own), step):
        part = slice(start, start + step)
        products = queries.rows[part] @ rows[shown].T
        line = np.arange(len(products))
        products[line, own[part]] = -np.inf
        score = rounded(np.einsum("bd,bd->b", queries.rows[part], rows[mates[part]]))
        reached = (products >= least_reaching(score)[:, None]).sum(axis=1)
        above = (products >= least_exceeding(score)[:, None]).sum(axis=1)
        one = np.ones_like(line)
        groups = Groups(line, above, reached - above + 1, one, np.zeros_like(line), line)
        curve[part] = first_match(groups, ties, ranks)
    return curve
