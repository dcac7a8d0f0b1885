"""Ranks of the matches in a ranking with ties.

Decisions of this file:
- Equal scores form a tied group, and ties are treated by name. "expected" is the exact mean over
  all orders of every tied group, in closed form, for CMC and for both kinds of AP.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

AveragePrecision = Literal["step", "trapezoid"]
Ties = Literal["expected", "optimistic", "pessimistic"]


class Groups(NamedTuple):
    """For every place of a ranking [b, m]: its tied group, and its offset within the group."""

    start: NDArray[np.int64]
    size: NDArray[np.int64]
    matches: NDArray[np.int64]
    matches_before: NDArray[np.int64]
    offset: NDArray[np.int64]


def tied_groups(scores: NDArray[np.float64], matches: NDArray[np.bool_]) -> Groups:
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
    return Groups(start, end - start, inside, before, place - start)


def first_match(groups: Groups, ties: Ties, ranks: int) -> NDArray[np.float64]:
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


def average_precisions(groups: Groups, ties: Ties, rule: AveragePrecision) -> NDArray[np.float64]:
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
