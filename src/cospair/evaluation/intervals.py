"""Confidence intervals: bootstrap over identities, never over pairs.

Decisions of this file:
- Pairs that share a person are not independent, so people are drawn, with replacement, and pairs
  follow them.
- 95 %, percentile. Where the data cannot carry an interval the answer is None with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array, check_resamples, identities_of_pairs, real_numbers
from cospair.evaluation.resampling import accepted_counts, merged, multiplicities, slots_of

CONFIDENCE = 0.95
# Where more of the resamples leave a figure undefined, the rest would not describe the data.
MOST_UNDEFINED = 0.05

Weights: TypeAlias = NDArray[np.float64]
Figures: TypeAlias = Callable[[Weights, Weights], dict[str, NDArray[np.float64]]]


def identity_bootstrap(
    scores: Array,
    identities: Array,
    figures: Figures,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """95 % intervals of figures of a ROC curve, by resampling identities with replacement.

    Each drawn copy of an identity counts as an identity of its own. With m(a) copies of identity a,

        impostor pair of a and b:  weight m(a) m(b)   (every copy of a meets every copy of b)
        genuine pair of a:         weight m(a)        (every copy brings its own genuine pairs)

    Pairs between two copies of the same identity are left out: as impostors they would be genuine
    pairs under a false label, as genuine pairs they would hold each picture against itself, a score
    of 1 that no camera took. Hence m(a) for genuine pairs and not m(a) squared.

    Args:
        scores: Float [p], finite, higher = more alike.
        identities: Integer or string [p, 2], the identities of the two pictures of each pair; equal
            = genuine.
        figures: Maps two arrays [t, b], impostors and genuine pairs accepted, to {name: array [b]}.
            Row 0 rejects all, the last row accepts all, and the b columns are resamples. The rows
            are the corners of the ROC: points on a straight piece between two corners are left out.
        resamples: Number of resamples: 0 (no intervals) or at least 100.
        seed: Seed of the draws. The draws do not depend on the block size or the machine.

    Returns:
        {"intervals": {name: [low, high] or None}, "notes": {name: reason}}. A name stands in
        "notes" exactly if it has no interval: under two identities with genuine pairs, a figure
        undefined in over 5 % of the resamples, or one value in all of them (no error in the data,
        so none to resample).

    Raises:
        TypeError: If scores are not numbers, identities are floats, or `resamples` is no integer.
        ValueError: If shapes disagree, a score is not finite, a kind of pair is missing, or
            `resamples` is out of range.

    Example:
        >>> def zero_far_tar(impostors, genuine):
        ...     return {"tar": np.where(impostors == 0, genuine, 0).max(axis=0) / genuine[-1]}
        >>> people = [(a, b) for a in range(5) for b in range(a, 5)]
        >>> scores = [0.9 - a / 9 if a == b else 0.2 + (a + b) / 20 for a, b in people]
        >>> identity_bootstrap(scores, people, zero_far_tar)["intervals"]
        {'tar': [0.4, 1.0]}

    References:
        Fogliato, Patil, Perona (2024), Confidence intervals for error rates in 1:1 matching tasks,
        https://arxiv.org/abs/2306.01198
    """
    values = real_numbers("scores", scores, 1)
    codes = identities_of_pairs(identities, len(values))
    genuine = codes[:, 0] == codes[:, 1]
    if genuine.all() or not genuine.any():
        raise ValueError(
            f"identities must give genuine and impostor pairs; got {int(genuine.sum())} genuine "
            f"among {len(genuine)} pairs; add pairs of the missing kind."
        )
    slots = slots_of(values, np.unique(values[genuine]))
    return _resampled(slots, codes, figures, resamples=resamples, seed=seed)


def rate_intervals(
    accepted: NDArray[np.bool_], identities: Array, *, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Intervals of "far" and "frr" at one fixed threshold; same resampling as `identity_bootstrap`.

    Args:
        accepted: Bool [p], whether each pair scores at or above the threshold.
        identities: Integer or string [p, 2].
        resamples: As in `identity_bootstrap`.
        seed: As in `identity_bootstrap`.

    Returns:
        As `identity_bootstrap`, for the names "far" and "frr".
    """
    codes = identities_of_pairs(identities, len(accepted))

    def rates(impostors: Weights, genuine: Weights) -> dict[str, NDArray[np.float64]]:
        return {"far": impostors[1] / impostors[-1], "frr": 1 - genuine[1] / genuine[-1]}

    slots = 1 - accepted.astype(np.int64)  # accepted pairs first
    return _resampled(slots, codes, rates, resamples=resamples, seed=seed)


def mean_intervals(
    values: dict[str, NDArray[np.float64]],
    identities: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Intervals of means over queries, by resampling the queries' identities.

    Args:
        values: {name: float [q]}, one value per query.
        identities: Int [q], the identity of each query; all its queries are drawn together.
        resamples: As in `identity_bootstrap`.
        seed: As in `identity_bootstrap`.

    Returns:
        As `identity_bootstrap`. The gallery stays as it is in every resample.
    """
    check_resamples(resamples)
    people, codes = np.unique(identities, return_inverse=True)
    names = list(values)
    reason = _refusal(resamples, len(people), "queries")
    if reason:
        return _refused(names, reason)
    size = np.bincount(codes)
    sums = np.stack([np.bincount(codes, weights=values[name]) for name in names], axis=1)
    drawn = [
        (times @ sums) / (times @ size)[:, None]
        for times in multiplicities(len(people), len(people), resamples=resamples, seed=seed)
    ]
    return _percentiles(dict(zip(names, np.concatenate(drawn).T, strict=True)))


def account(
    method: str, bootstrap: dict[str, dict[str, Any]], *, resamples: int, seed: int
) -> dict[str, Any]:
    """How intervals came about, as results tell it; "notes" hold the reason for each None."""
    return {
        "method": method,
        "confidence": CONFIDENCE,
        "resamples": resamples,
        "seed": seed,
        "notes": bootstrap["notes"],
    }


def _resampled(
    slots: NDArray[np.int64],
    codes: NDArray[np.int64],
    figures: Figures,
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Draw, weigh, accumulate and summarise."""
    check_resamples(resamples)
    same = codes[:, 0] == codes[:, 1]
    last_slot = int(slots.max())
    genuine = merged(slots[same], codes[same], last_slot)
    impostors = merged(slots[~same], codes[~same], last_slot)
    people = int(codes.max()) + 1
    names = list(figures(*accepted_counts(impostors, genuine, np.ones((1, people)))))
    reason = _refusal(resamples, len(np.unique(genuine.first)), "genuine pairs")
    if reason:
        return _refused(names, reason)
    rows = len(genuine.copies) + len(impostors.copies) + 2 * last_slot
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for times in multiplicities(people, rows, resamples=resamples, seed=seed):
        accepted = accepted_counts(impostors, genuine, times)
        undefined = (accepted[0][-1] == 0) | (accepted[1][-1] == 0)
        with np.errstate(divide="ignore", invalid="ignore"):  # undefined resamples become NaN below
            for name, value in figures(*accepted).items():
                drawn[name].append(np.where(undefined, np.nan, value))
    return _percentiles({name: np.concatenate(parts) for name, parts in drawn.items()})


def _refusal(resamples: int, identities: int, what: str) -> str:
    """Why there can be no interval at all, or nothing."""
    if resamples == 0:
        return "no interval: no resamples were asked for"
    if identities < 2:
        return f"no interval: fewer than 2 identities with {what}"
    return ""


def _refused(names: list[str], reason: str) -> dict[str, dict[str, Any]]:
    return {"intervals": dict.fromkeys(names), "notes": dict.fromkeys(names, reason)}


def _percentiles(drawn: dict[str, NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
    """Percentile intervals, or the reason why there is none."""
    found = {name: _percentile_interval(values) for name, values in drawn.items()}
    return {
        "intervals": {name: interval for name, (interval, _) in found.items()},
        "notes": {name: reason for name, (_, reason) in found.items() if reason},
    }


def _percentile_interval(values: NDArray[np.float64]) -> tuple[list[float] | None, str]:
    defined = values[~np.isnan(values)]
    missing = len(values) - len(defined)
    if missing > MOST_UNDEFINED * len(values):
        share = f"{missing} of {len(values)}"
        return None, f"no interval: undefined in {share} resamples, too few identities"
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    if low < high:
        return [low, high], ""
    return None, "no interval: the same value in (nearly) every resample, so no variation was seen"
