"""Pool adjacent violators: the best rising map of scores to odds.

Decisions of this file:
- Equal scores are one step; they are never parted.
- Every pass pools each run of blocks that does not rise, whole: a few passes over arrays do what
  pooling one by one does. The first leaves at most two blocks a genuine pair.
- Shares are compared by products of counts, not by quotients: equal shares compare equal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Blocks(NamedTuple):
    """Pooled blocks, ascending: pairs of both kinds, and the first step of each, all [k]."""

    impostors: NDArray[np.float64]
    genuine: NDArray[np.float64]
    starts: NDArray[np.int64]


def counted_steps(
    scores: NDArray[np.float64], same: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Distinct scores, ascending, and the impostor and genuine pairs at each."""
    distinct, place = np.unique(scores, return_inverse=True)
    genuine = np.bincount(place, same, minlength=len(distinct)).astype(np.float64)
    impostors = np.bincount(place, ~same, minlength=len(distinct)).astype(np.float64)
    return distinct, impostors, genuine


def pooled(impostors: NDArray[np.float64], genuine: NDArray[np.float64]) -> Blocks:
    """Pool pairs per step [t], by ascending score, until the share of genuine pairs only rises.

    Steps without pairs are left out.
    """
    starts = np.flatnonzero((impostors > 0) | (genuine > 0))
    impostors, genuine = impostors[starts], genuine[starts]
    while True:
        rises = genuine[:-1] * impostors[1:] < genuine[1:] * impostors[:-1]
        if rises.all():
            return Blocks(impostors, genuine, starts)
        heads = np.flatnonzero(np.append(True, rises))
        impostors, genuine = (np.add.reduceat(part, heads) for part in (impostors, genuine))
        starts = starts[heads]


def least_cost(impostors: NDArray[np.float64], genuine: NDArray[np.float64]) -> float:
    """Cllr in bits of the best rising map, from pairs per step [t] by ascending score."""
    blocks = pooled(impostors, genuine)
    false, true = (part / part.sum() for part in (blocks.impostors, blocks.genuine))
    both = false + true
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = [np.where(part > 0, part * np.log2(both / part), 0.0) for part in (false, true)]
    return float(sum(part.sum() for part in bits) / 2)
