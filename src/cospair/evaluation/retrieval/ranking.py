"""Figures of rankings with ties, from where the matches stand.

Decisions of this file:
- Equal scores form a tied group, and ties are treated by name. "expected" is the exact mean over
  all orders of every tied group, in closed form; no order is ever drawn.
- Only groups that hold matches count: a group starts below `start` items, has `size` items and
  `matches` matches among them, and `before` matches stand above it.
- Places of a group are walked for groups of alike size together, in chunks of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.retrieval.match_ranks import MatchRanks

AveragePrecision = Literal["step", "trapezoid"]
Ties = Literal["expected", "optimistic", "pessimistic"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Ranks of the CMC curves that results hold.
CURVE = 50
# Places that are walked at once, 8 MiB an array.
CHUNK_CELLS = 1 << 20


class Groups(NamedTuple):
    """Groups that hold matches, [g], of b queries; and where each query's first group is, [b]."""

    query: Counts
    start: Counts
    size: Counts
    matches: Counts
    before: Counts
    first: Counts

    def take(self, index: Counts) -> Groups:
        """Some of the groups."""
        return Groups(*(part[index] for part in self[:-1]), first=self.first)

    @property
    def relevant(self) -> Counts:
        """R of each query: how many items match, [b]."""
        return np.add.reduceat(self.matches, self.first)


def groups_of(ranks: MatchRanks) -> Groups:
    """Groups of a block of queries."""
    first = ranks.offsets[:-1]
    query = np.repeat(np.arange(len(first)), np.diff(ranks.offsets))
    so_far = np.cumsum(ranks.matches) - ranks.matches
    return Groups(
        query, ranks.above, ranks.tied, ranks.matches, so_far - so_far[first][query], first
    )


def first_match(groups: Groups, ties: Ties, ranks: int) -> Floats:
    """P(first match at rank <= k) for k = 1 .. ranks, [b, ranks].

    In a random order of the first group that holds matches (size n, r matches), the place at offset
    p is not a match, given that no earlier one is, with probability (n - r - p) / (n - p).
    "optimistic" has a match at offset 0, "pessimistic" at offset n - r.
    """
    n, r = groups.size[groups.first, None], groups.matches[groups.first, None]
    p = np.arange(ranks) - groups.start[groups.first, None]
    if ties == "expected":
        miss = np.clip((n - r - p) / np.maximum(n - p, 1), 0.0, 1.0)
    else:
        miss = np.where(p == (0 if ties == "optimistic" else n - r), 0.0, 1.0)
    return 1.0 - np.cumprod(np.where(p < 0, 1.0, miss), axis=1, dtype=np.float64)


def matches_within(groups: Groups, ties: Ties, depth: Counts) -> Floats:
    """Mean number of matches among the first `depth` [b] places of each ranking, [b]."""
    n, r = groups.size, groups.matches
    reached = np.clip(depth[groups.query] - groups.start, 0, n)
    if ties == "expected":
        found = r * reached / n
    else:
        found = np.minimum(reached, r) if ties == "optimistic" else reached - (n - r)
    return np.add.reduceat(np.maximum(found, 0).astype(np.float64), groups.first)


def precision_sums(
    groups: Groups, ties: Ties, depth: Counts, rule: AveragePrecision = "step"
) -> Floats:
    """Precision at each match, summed over the matches within the first `depth` [b] places, [b].

    A sum over places of P(a match stands there) times the mean precision given that it does.
    Precision is linear in the number of matches ahead, so only the mean of that is needed: in a
    random order of a group (size n, r matches, offset p) it is p (r - 1) / (n - 1), plus the
    matches of earlier groups.
    """
    reached = np.clip(depth[groups.query] - groups.start, 0, groups.size)
    sums = np.zeros(len(reached))
    for some, p in _places(reached):
        n, r, before, start = _columns(groups, some)
        if ties == "expected":
            chance, ahead = r / n, p * ((r - 1) / np.maximum(n - 1, 1))
        elif ties == "optimistic":
            chance, ahead = p < r, p
        else:
            chance, ahead = p >= n - r, p - (n - r)
        ahead, rank = before + ahead, start + p + 1
        value = (ahead + 1) / rank
        if rule == "trapezoid":
            value = (value + np.where(rank > 1, ahead / np.maximum(rank - 1, 1), 1.0)) / 2
        sums[some] = np.where(p < reached[some, None], chance * value, 0.0).sum(axis=1)
    return np.add.reduceat(sums, groups.first)


def precision_per_match_within(groups: Groups, ties: Ties, depth: int) -> Floats:
    """Mean of the precisions at the matches within the first `depth` places, 0 where none, [b]."""
    within = np.full(len(groups.first), depth)
    found = matches_within(groups, ties, within)
    mean = precision_sums(groups, ties, within) / np.where(found > 0, found, 1.0)
    cut = np.flatnonzero((groups.start < depth) & (groups.start + groups.size > depth))
    if ties == "expected" and len(cut):
        mean[groups.query[cut]] = _per_match_of_cut(groups, cut, depth)
    return mean


def _per_match_of_cut(groups: Groups, cut: Counts, depth: int) -> Floats:
    """The same for queries whose group `cut` goes beyond `depth`: there the number found is random.

    x of the r matches fall within the t reached places of n with the hypergeometric probability,
    and lie there in a random order, so the sum of precisions is known for each x.
    """
    edge = np.zeros(len(groups.first), np.int64)
    edge[groups.query[cut]] = groups.start[cut]
    above = precision_sums(groups, "expected", edge)[groups.query[cut], None]
    n, r, before, start = _columns(groups, cut)
    t = depth - start
    p = np.arange(int(t.max()))
    inverse = np.where(p < t, 1.0 / (start + p + 1), 0.0)
    whole, linear = inverse.sum(axis=1, keepdims=True), (inverse * p).sum(axis=1, keepdims=True)
    x = np.arange(int(np.minimum(t, r).max()) + 1)
    sums = x / t * ((before + 1) * whole + (x - 1) / np.maximum(t - 1, 1) * linear)
    return (_hypergeometric(n, r, t, x) * (above + sums) / np.maximum(before + x, 1)).sum(axis=1)


def _hypergeometric(n: Counts, r: Counts, t: Counts, x: Counts) -> Floats:
    """P(x of r matches lie within t places of n), [c, x]; from ratios, scaled to sum to 1."""
    possible = (x >= t - (n - r)) & (x <= np.minimum(r, t))
    ratio = (r - x + 1.0) * (t - x + 1.0) / (x * np.maximum(n - r - t + x, 1.0) + (x == 0))
    follows = possible & np.roll(possible, 1, axis=1) & (x > 0)
    logs = np.cumsum(np.log(np.where(follows, ratio, 1.0)), axis=1)
    logs = np.where(possible, logs, -np.inf)
    weight = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def inverse_last_ranks(groups: Groups, ties: Ties) -> Floats:
    """Mean of 1 / rank of the last match, [b].

    Counted from the end of the last group, the place at offset p is not a match, given that no
    later one is, with the probability that `first_match` has from its start.
    """
    last = groups.take(np.append(groups.first[1:], len(groups.query)) - 1)
    n, r, start = last.size, last.matches, last.start
    if ties != "expected":
        return np.reciprocal((start + (r if ties == "optimistic" else n)).astype(np.float64))
    inverse = np.zeros(len(n))
    for some, p in _places(n - r + 1):
        own, other = n[some, None], (n - r)[some, None]
        miss = np.clip((other - p) / np.maximum(own - p, 1), 0.0, 1.0)
        missed = np.cumprod(miss, axis=1)
        before = np.concatenate([np.ones((len(some), 1)), missed[:, :-1]], axis=1)
        place = np.maximum(start[some, None] + own - p, 1)
        inverse[some] = ((before - missed) / place).sum(axis=1)
    return inverse


def _places(width: Counts) -> Iterator[tuple[Counts, Counts]]:
    """Yield groups in chunks [c], and the places [w] of the widest; alike widths go together."""
    doublings = np.frexp(width)[1]
    for size in np.unique(doublings[width > 0]):
        alike = np.flatnonzero((doublings == size) & (width > 0))
        places = np.arange(int(width[alike].max()))
        step = max(1, CHUNK_CELLS // len(places))
        for first in range(0, len(alike), step):
            yield alike[first : first + step], places


def _columns(groups: Groups, some: Counts) -> tuple[Counts, ...]:
    """Size, matches, matches before and start of some groups, each [c, 1]."""
    parts = (groups.size, groups.matches, groups.before, groups.start)
    return tuple(part[some, None] for part in parts)
