"""The exact interval of a share of independent trials.

Decisions of this file:
- Tails are sums of the ratios of neighbouring probabilities, so no factorial is taken and billions
  of trials lose no digits.
- For pairs that share people the interval is too narrow: those take the identity bootstrap.
"""

from __future__ import annotations

import numpy as np

from cospair.evaluation.inputs import check_share

BLOCK = 1 << 16
# A sum this many times its first term leaves a tail below every confidence that can be asked for.
ENOUGH = 1e30


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> list[float]:
    """The exact (Clopper-Pearson) interval of a share, from counts of independent trials.

    The ends are the shares at which so many successes or more, and so many or fewer, have the
    probability (1 - confidence) / 2. None at all gives the low end 0, all of them the high end 1.

    Args:
        successes: Whole number from 0 to `trials`, for instance false accepts.
        trials: Whole number from 1 up, for instance impostor pairs of which no two share a person.
        confidence: A share in (0, 1).

    Returns:
        [low, high], shares in [0, 1].

    Raises:
        TypeError: If a count is not a whole number.
        ValueError: If a count or `confidence` is out of range.

    Example:
        >>> [round(end, 4) for end in clopper_pearson(1, 20)]
        [0.0013, 0.2487]
        >>> [round(end, 4) for end in clopper_pearson(0, 300)]
        [0.0, 0.0122]

    References:
        Clopper, Pearson (1934), The use of confidence or fiducial limits illustrated in the case of
        the binomial, Biometrika 26.
    """
    for name, count in (("successes", successes), ("trials", trials)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer):
            raise TypeError(f"{name} must be a whole number; got {count!r}; pass a count.")
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(
            f"successes must lie between 0 and trials, and trials from 1 up; got {successes} of "
            f"{trials}; pass counts of the same trials."
        )
    check_share("confidence", confidence)
    if confidence == 1:
        raise ValueError("confidence must lie below 1; got 1; pass a share such as 0.95.")
    hits, all_of_them = int(successes), int(trials)
    outside = (1 - confidence) / 2
    return [
        _solved(hits, all_of_them, outside, upwards=True),
        _solved(hits, all_of_them, outside, upwards=False),
    ]


def _solved(hits: int, trials: int, outside: float, *, upwards: bool) -> float:
    """The share p with P(hits or more; p) = outside, or P(hits or fewer; p) = outside."""
    share = hits / trials
    if share == (0 if upwards else 1):
        return share
    low, high = (0.0, share) if upwards else (share, 1.0)
    while low < (middle := (low + high) / 2) < high:
        if upwards:
            inside = _tail(hits, trials, middle / (1 - middle)) < outside
        else:
            inside = _tail(trials - hits, trials, (1 - middle) / middle) > outside
        low, high = (middle, high) if inside else (low, middle)
    return low if upwards else high


def _tail(hits: int, trials: int, odds: float) -> float:
    """P(hits or more) at these odds of a success; both sides counted in P(exactly hits)."""
    above = _relative_sum(trials - hits, hits + 1, odds)
    below = _relative_sum(hits, trials - hits + 1, 1 / odds)
    return above / (above + below - 1)


def _relative_sum(falling: int, rising: int, odds: float) -> float:
    """1 + f/r odds + f/r (f - 1)/(r + 1) odds^2 + ..., as far as terms matter."""
    total, last = 1.0, 1.0
    for start in range(0, falling, BLOCK):
        step = np.arange(start, min(start + BLOCK, falling))
        ratios = (falling - step) / (rising + step) * odds
        with np.errstate(over="ignore", under="ignore"):
            terms = last * np.cumprod(ratios)
            total, last = total + float(terms.sum()), float(terms[-1])
        if total > ENOUGH or (ratios[-1] < 1 and last <= total * 1e-18):
            break
    return total
