"""Where the matches of each query stand: how many items score above each of them, and alike.

Decisions of this file:
- Every figure of a ranking depends on these counts alone, so no gallery is ever sorted whole, and
  the scores of one block of queries are all that exists at a time.
- Scores are those of pairs, rounded to 12 decimals, so pictures that are equal tie. Only scores of
  matches are rounded: for each, the least product that rounds to it or to more is found once, and
  products are counted against that. The counts are those of rounding everything.
- Matches of one query that tie are one group; a group is what is counted for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Progress
from cospair.evaluation.retrieval.matches import Runs
from cospair.evaluation.retrieval.sides import Sides
from cospair.evaluation.verification.pairs import SCORE_DECIMALS

# Products of one block of queries with the whole gallery, 32 MiB.
BLOCK_CELLS = 1 << 22
HALF_STEP = 0.5 * 10.0**-SCORE_DECIMALS


class MatchRanks(NamedTuple):
    """The matches of b queries, in groups of equal score, a query's highest group first.

    Attributes:
        queries: int64 [b], which queries; each has at least one match.
        offsets: int64 [b + 1]; groups offsets[i] to offsets[i + 1] are those of queries[i].
        scores: float64 [g], the score of each group.
        above: int64 [g], items that the query may meet with a higher score.
        tied: int64 [g], items with this very score, matches included.
        matches: int64 [g], how many of those match, at least 1.
    """

    queries: NDArray[np.int64]
    offsets: NDArray[np.int64]
    scores: NDArray[np.float64]
    above: NDArray[np.int64]
    tied: NDArray[np.int64]
    matches: NDArray[np.int64]


def match_ranks(sides: Sides, runs: Runs, progress: Progress | None = None) -> Iterator[MatchRanks]:
    """The ranks of every query that has a match, block by block in the queries' order.

    Args:
        sides: The queries and the gallery.
        runs: Each query's matches, and what it must not meet.
        progress: Called as progress(queries done, queries in all) after every block.

    Yields:
        The ranks of one block of queries.
    """
    gallery = sides.items.rows[runs.order]
    found = np.flatnonzero(runs.matches > 0)
    step = max(1, BLOCK_CELLS // len(gallery))
    for start in range(0, len(found), step):
        part = found[start : start + step]
        yield _ranked(part, sides.queries.rows[part] @ gallery.T, runs.take(part))
        if progress:
            progress(start + len(part), len(found))


def _ranked(queries: NDArray[np.int64], products: NDArray[np.float64], runs: Runs) -> MatchRanks:
    """Group the matches, and count the products [b, m] against every group."""
    query, place = runs.matching()
    scores = rounded(products[query, place])
    products[runs.left_out()] = -np.inf
    _sort_down(scores, np.searchsorted(query, np.arange(len(queries) + 1)))
    new = np.append(True, (query[1:] != query[:-1]) | (scores[1:] != scores[:-1]))
    starts = np.flatnonzero(new)
    offsets = np.searchsorted(query[starts], np.arange(len(queries) + 1))
    reached, above = _counts(products, offsets, scores[starts])
    matches = np.diff(np.append(starts, len(scores)))
    return MatchRanks(queries, offsets, scores[starts], above, reached - above, matches)


def _sort_down(scores: NDArray[np.float64], offsets: NDArray[np.int64]) -> None:
    """Sort the scores between offsets, in place, highest first."""
    for first, last in itertools.pairwise(offsets):
        own = scores[first:last]
        own[:] = np.sort(own)[::-1]  # a whole sort by query and score takes ten times as long


def _counts(
    products: NDArray[np.float64], offsets: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Products of its row [b, m] that round to each group's score or more, and to more."""
    reaching, exceeding = least_reaching(scores), least_exceeding(scores)
    reached, above = np.empty(len(scores), np.int64), np.empty(len(scores), np.int64)
    for row, first, last in zip(products, offsets[:-1], offsets[1:], strict=True):
        own = slice(first, last)
        some = row[row >= reaching[last - 1]]  # what scores below the lowest match counts nowhere
        some.sort()
        reached[own] = len(some) - np.searchsorted(some, reaching[own])
        above[own] = len(some) - np.searchsorted(some, exceeding[own])
    return reached, above


def rounded(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products of unit rows as scores, the way scores of pairs are made."""
    return np.round(np.clip(products, -1.0, 1.0), SCORE_DECIMALS) + 0.0


def least_reaching(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least product that rounds to each score or to more."""
    return _least(scores - HALF_STEP, scores, np.greater_equal)


def least_exceeding(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least product that rounds to more than each score."""
    return _least(scores + HALF_STEP, scores, np.greater)


def _least(
    guess: NDArray[np.float64], scores: NDArray[np.float64], enough: Callable[..., NDArray[Any]]
) -> NDArray[np.float64]:
    """Walk, float by float, from a guess a few roundings off to the least that is enough."""
    some = np.arange(len(guess))
    while len(some := some[~enough(np.round(guess[some], SCORE_DECIMALS), scores[some])]):
        guess[some] = np.nextafter(guess[some], np.inf)
    some = np.arange(len(guess))
    while len(some):
        lower = np.nextafter(guess[some], -np.inf)
        far = enough(np.round(lower, SCORE_DECIMALS), scores[some])
        some = some[far]
        guess[some] = lower[far]
    return guess
