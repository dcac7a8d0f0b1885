"""Confidence intervals: bootstrap over identities, never over pairs.

Decisions of this file:
- Pairs that share a person are not independent, so people are drawn, with replacement, and pairs
  follow them.
- 95 %, percentile. Where the data cannot carry an interval the answer is None with a reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import (
    Draws,
    Figures,
    Progress,
    class_mean_draws,
    curve_draws,
    mean_draws,
)
from cospair.evaluation.bootstrap.resampling import slots_of
from cospair.evaluation.inputs import Array, as_array, identities_of_pairs, real_numbers

CONFIDENCE = 0.95
# Where more of the resamples leave a figure undefined, the rest would not describe the data.
MOST_UNDEFINED = 0.05


def identity_bootstrap(
    scores: Array,
    identities: Array,
    figures: Figures,
    *,
    counts: Array | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
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
        counts: Whole numbers [p] from 1 up, how many equal pairs each one stands for; None: one.
        resamples: Number of resamples: 0 (no intervals) or at least 100.
        seed: Seed of the draws. The draws do not depend on the block size or the machine.
        progress: Called with (resamples done, resamples) now and then.

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
    times = None if counts is None else _pair_counts(counts, len(values))
    genuine = codes[:, 0] == codes[:, 1]
    if genuine.all() or not genuine.any():
        raise ValueError(
            f"identities must give genuine and impostor pairs; got {int(genuine.sum())} genuine "
            f"among {len(genuine)} pairs; add pairs of the missing kind."
        )
    draws = curve_draws(
        slots_of(values, np.unique(values[genuine])),
        codes,
        figures,
        counts=times,
        resamples=resamples,
        seed=seed,
        progress=progress,
    )
    return percentile_intervals(draws)


def rate_intervals(
    accepted: NDArray[np.bool_], codes: NDArray[np.int64], *, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Intervals of rates at one fixed threshold; same resampling as `identity_bootstrap`.

    Args:
        accepted: Bool [p], whether each pair scores at or above the threshold.
        codes: Int [p, 2], the identities of the two pictures of each pair, from 0 without gaps.
        resamples: As in `identity_bootstrap`.
        seed: As in `identity_bootstrap`.

    Returns:
        As `identity_bootstrap`, for the names "far", "frr" and "accuracy". Accuracy keeps the mix
        of genuine and impostor pairs that the pairs have.
    """
    same = codes[:, 0] == codes[:, 1]
    wrong = (accepted != same).astype(np.float64)
    far, frr, reason = class_mean_draws(wrong, codes, resamples=resamples, seed=seed)
    share = same.mean()
    right = 1 - (share * frr + (1 - share) * far)
    return percentile_intervals(Draws({"far": far, "frr": frr, "accuracy": right}, reason))


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
    codes = np.unique(identities, return_inverse=True)[1]
    return percentile_intervals(mean_draws(values, codes, resamples=resamples, seed=seed))


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


def percentile_intervals(draws: Draws) -> dict[str, dict[str, Any]]:
    """Percentile intervals of resampled figures, as `identity_bootstrap` returns them."""
    if draws.reason:
        names = list(draws.values)
        return {"intervals": dict.fromkeys(names), "notes": dict.fromkeys(names, draws.reason)}
    found = {name: _percentile_interval(values) for name, values in draws.values.items()}
    return {
        "intervals": {name: interval for name, (interval, _) in found.items()},
        "notes": {name: reason for name, (_, reason) in found.items() if reason},
    }


def _pair_counts(counts: Array, pairs: int) -> NDArray[np.int64]:
    """Whole numbers [p] from 1 up."""
    times = as_array(counts)
    if times.dtype.kind not in "iu":
        raise TypeError(
            f"counts must be whole numbers; got dtype {times.dtype}; pass how many pairs each is."
        )
    if times.shape != (pairs,) or times.min() < 1:
        raise ValueError(
            f"counts must be [p] from 1 up; got shape {times.shape} for {pairs} scores, or a count "
            "below 1; leave out pairs that do not occur."
        )
    return times.astype(np.int64)


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
