"""Logistic regression of the kind of pair on the score: Platt's line of log odds.

Decisions of this file:
- No penalty. Where a line of any steepness would do, because no genuine and impostor scores
  overlap, Platt's targets keep it finite: (g + 1) / (g + 2) for g genuine pairs and 1 / (i + 2) for
  i impostor pairs, in place of 1 and 0.
- The two kinds weigh as the prior says, however many pairs there are of each.
- Newton's method on scores brought to -1 .. 1, halving a step that does not help.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 100
# Half of Newton's decrement is the loss still to be gained, in nats.
GAINED = 1e-24
# Below it rounding hides whether a step helps, and so near the optimum a whole step does.
VISIBLE = 1e-12
FAR_OFF = 1e6  # times the spread of the others
ONE_SCALE = (
    "scores must lie on one scale; got one so far from the others that no line fits them; drop it, "
    "or use method 'isotonic'."
)


def separable(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> bool:
    """Whether one threshold parts both kinds, a tie at the threshold allowed, either way round."""
    genuine, impostors = scores[same], scores[~same]
    return bool(impostors.max() <= genuine.min() or genuine.max() <= impostors.min())


def odds_at_ends(
    scores: NDArray[np.float64], same: NDArray[np.bool_], prior: float
) -> NDArray[np.float64]:
    """Log odds of a genuine pair at the prior, on the lowest and on the highest score, [2]."""
    low, high = float(scores.min()), float(scores.max())
    _check_one_scale(scores, low, high)
    standard = (scores - (low / 2 + high / 2)) / (high / 2 - low / 2)  # from -1 to 1
    genuine = int(same.sum())
    impostors = len(same) - genuine
    weights = np.where(same, prior / genuine, (1 - prior) / impostors)
    targets = same.astype(np.float64)
    if separable(scores, same):
        targets = np.where(same, (genuine + 1) / (genuine + 2), 1 / (impostors + 2))
    slope, offset = _newton(standard, targets, weights)
    return np.array([offset - slope, offset + slope])


def _check_one_scale(scores: NDArray[np.float64], low: float, high: float) -> None:
    """Refuse one value so far off that beside it the others are one."""
    rest = scores[(scores > low) & (scores < high)]
    if len(rest):
        near = min(high - float(rest.min()), float(rest.max()) - low)
        if 0 < near < (high - low) / FAR_OFF:
            raise ValueError(ONE_SCALE)


def log_odds(shares: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Natural logarithm of p / (1 - p)."""
    return np.log(shares) - np.log1p(-np.asarray(shares))


def shares_of(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares in [0, 1] of log odds, without overflow at either end."""
    small = np.exp(-np.abs(odds))
    return np.where(odds >= 0, 1, small) / (1 + small)


def _newton(
    scores: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    line = np.zeros(2)
    loss = _loss(line, scores, targets, weights)
    decrement = np.inf
    for _ in range(ITERATIONS):
        found = shares_of(line[0] * scores + line[1])
        miss, bend = weights * (found - targets), weights * found * (1 - found)
        gradient = np.array([miss @ scores, miss.sum()])
        mixed = bend @ scores
        try:
            step = np.linalg.solve([[bend @ scores**2, mixed], [mixed, bend.sum()]], gradient)
        except np.linalg.LinAlgError as error:
            raise ValueError(ONE_SCALE) from error
        decrement = float(gradient @ step)
        if decrement > VISIBLE:
            while (new := _loss(line - step, scores, targets, weights)) > loss:
                step = step / 2
            loss = new
        line = line - step
        if decrement <= GAINED:
            break
    if decrement > VISIBLE:
        raise ValueError(ONE_SCALE)
    return float(line[0]), float(line[1])


def _loss(
    line: NDArray[np.float64],
    scores: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> float:
    odds = line[0] * scores + line[1]
    return float(weights @ (np.logaddexp(0, odds) - targets * odds))
