"""What log likelihood ratios cost, in bits.

Decisions of this file:
- Both kinds of pairs count half, however many there are of each.
- The map is fixed while the test people are resampled: intervals say nothing of the calibration
  people.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Draws, class_mean_draws, curve_draws
from cospair.evaluation.bootstrap.intervals import account, percentile_intervals
from cospair.evaluation.bootstrap.resampling import slots_of
from cospair.evaluation.calibration.artefact import Calibration
from cospair.evaluation.calibration.isotonic import counted_steps, least_cost
from cospair.evaluation.calibration.reliability import (
    independent_ends,
    probability_bins,
    resampled_ends,
)
from cospair.evaluation.inputs import (
    Array,
    check_people_match,
    check_resamples,
    checked_pairs,
    identities_of_pairs,
)


def cllr(log_likelihood_ratios: Array, same: Array) -> float:
    """Cost of log likelihood ratios, in bits a pair: 0 is perfect, 1 is what no evidence costs.

        Cllr = (mean over genuine of log2(1 + e^-r) + mean over impostors of log2(1 + e^r)) / 2

    Args:
        log_likelihood_ratios: Real [p], finite, natural logarithm.
        same: Bool [p], True = genuine.

    Returns:
        Bits, from 0 up; above 1 the ratios mislead.

    Raises:
        TypeError: If the ratios are not numbers or `same` holds neither truth values nor 0 and 1.
        ValueError: If lengths differ, a ratio is not finite, or a kind of pair is missing.

    Example:
        >>> cllr([0.0, 0.0, 0.0], [True, False, False])
        1.0

    References:
        Brümmer, du Preez (2006), Application-independent evaluation of speaker detection, Computer
        Speech and Language 20.
    """
    values, flags = checked_pairs(log_likelihood_ratios, same)
    bits = bits_of(values, flags)
    return float((bits[flags].mean() + bits[~flags].mean()) / 2)


def min_cllr(scores: Array, same: Array) -> float:
    """Cllr after the best rising map of these scores, chosen on these pairs: what is lost for good.

    Args:
        scores: Real [p], finite, on any scale; equal scores share one value.
        same: Bool [p], True = genuine.

    Returns:
        Bits in [0, 1].

    Raises:
        TypeError: As `cllr`.
        ValueError: As `cllr`.

    Example:
        >>> min_cllr([0.9, 0.7, 0.6, 0.1], [True, True, False, False])
        0.0

    References:
        Brümmer, du Preez (2006), as for `cllr`.
    """
    values, flags = checked_pairs(scores, same)
    _, impostors, genuine = counted_steps(values, flags)
    return least_cost(impostors, genuine)


def calibration_figures(
    calibration: Calibration,
    scores: Array,
    same: Array,
    *,
    identities: Array | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """How good a calibration is on test pairs: Cllr, its least, and whether probabilities hold.

    Args:
        calibration: Fitted on other people's pairs.
        scores: Real [p], finite, of the test pairs.
        same: Bool [p], True = genuine.
        identities: Integer or string [p, 2], identities of the two pictures of each pair; without
            it Cllr has no interval, and those of the diagram take the pairs as independent.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap.

    Returns:
        "method", "prior", "cllr" and "min_cllr" (bits), their "..._interval" ([low, high] or None),
        "interval" (method, and under "notes" the reason for each None), and "reliability": for each
        tenth of the probabilities that holds pairs, "probability" (mean), "observed" (share of
        genuine pairs), "low" and "high" of that share (or None), all at the calibration's prior,
        and "pairs" (count).

    Raises:
        TypeError: As `cllr`, or if `resamples` is no integer.
        ValueError: As `cllr`, or if `identities` and `same` disagree or `resamples` is out of
            range.

    Example:
        >>> from cospair.evaluation.calibration.artefact import calibrate
        >>> pairs = [0.9, 0.6, 0.5, 0.4, 0.4, 0.1], [True, True, False, True, False, False]
        >>> figures = calibration_figures(calibrate(*pairs), [0.8, 0.3, 0.5], [True, False, False])
        >>> round(figures["cllr"], 3), figures["min_cllr"]
        (0.384, 0.0)
    """
    values, flags = checked_pairs(scores, same)
    check_resamples(resamples)
    ratios = calibration.log_likelihood_ratio(values)
    bins = probability_bins(ratios, flags, calibration.prior)
    if identities is None:
        absent = np.empty(0)
        why = "no interval: the identities of the pairs were not given"
        draws = Draws({"cllr": absent, "min_cllr": absent}, why)
        ends = independent_ends(bins)
    else:
        codes = identities_of_pairs(identities, len(values))
        check_people_match(flags, codes)
        draws = _cost_draws(values, ratios, codes, resamples=resamples, seed=seed)
        ends = resampled_ends(bins, codes, resamples=resamples, seed=seed)
    found = percentile_intervals(draws)
    return {
        "method": calibration.method,
        "prior": calibration.prior,
        "cllr": cllr(ratios, flags),
        "min_cllr": min_cllr(values, flags),
        "cllr_interval": found["intervals"]["cllr"],
        "min_cllr_interval": found["intervals"]["min_cllr"],
        "interval": account("identity bootstrap", found, resamples=resamples, seed=seed),
        "reliability": {
            "probability": bins.probability.tolist(),
            "observed": bins.observed.tolist(),
            "low": [None if pair is None else pair[0] for pair in ends],
            "high": [None if pair is None else pair[1] for pair in ends],
            "pairs": (bins.impostors + bins.genuine).tolist(),
        },
    }


def _cost_draws(
    scores: NDArray[np.float64],
    ratios: NDArray[np.float64],
    codes: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> Draws:
    """Cllr and min-Cllr in every resample, of the same people."""
    same = codes[:, 0] == codes[:, 1]
    means = class_mean_draws(bits_of(ratios, same), codes, resamples=resamples, seed=seed)

    def least(
        impostors: NDArray[np.float64], genuine: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        steps = [
            np.ascontiguousarray(np.diff(part, axis=0)[::-1].T) for part in (impostors, genuine)
        ]
        return {"min_cllr": np.array([least_cost(*both) for both in zip(*steps, strict=True)])}

    slots = slots_of(scores, np.unique(scores[same]))
    lowest = curve_draws(slots, codes, least, resamples=resamples, seed=seed)
    return Draws({"cllr": (means.impostors + means.genuine) / 2, **lowest.values}, lowest.reason)


def bits_of(ratios: NDArray[np.float64], same: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Cost of each pair's log likelihood ratio, in bits."""
    return np.logaddexp(0, np.where(same, -ratios, ratios)) / np.log(2)
