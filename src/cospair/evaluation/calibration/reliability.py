"""Reliability: of the pairs given about one probability, the share that is genuine.

Decisions of this file:
- Both kinds weigh by the calibration's prior: at the mix of all pairs of a set nearly every
  probability would be near 0.
- Bins are tenths of the probability; those without pairs are left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.binomial import clopper_pearson
from cospair.evaluation.bootstrap.draws import curve_draws
from cospair.evaluation.bootstrap.intervals import percentile_intervals
from cospair.evaluation.calibration.logistic import log_odds, shares_of

BINS = 10


class Bins(NamedTuple):
    """The bin of each pair [p]; mean probability, share observed and counts of each bin [k]."""

    place: NDArray[np.int64]
    probability: NDArray[np.float64]
    observed: NDArray[np.float64]
    impostors: NDArray[np.int64]
    genuine: NDArray[np.int64]
    prior: float


def probability_bins(ratios: NDArray[np.float64], same: NDArray[np.bool_], prior: float) -> Bins:
    """Sort pairs into bins by the probability that their log likelihood ratios give."""
    shares = shares_of(ratios + log_odds(prior))
    tenths = np.minimum((shares * BINS).astype(np.int64), BINS - 1)
    place = np.unique(tenths, return_inverse=True)[1]
    genuine = np.bincount(place, same).astype(np.int64)
    impostors = np.bincount(place) - genuine
    weights = np.where(same, prior / genuine.sum(), (1 - prior) / impostors.sum())
    return Bins(
        place,
        np.bincount(place, weights * shares) / np.bincount(place, weights),
        _at_prior(impostors / impostors.sum(), genuine / genuine.sum(), prior),
        impostors,
        genuine,
        prior,
    )


def independent_ends(bins: Bins) -> list[list[float] | None]:
    """Clopper-Pearson interval of each bin's share, its pairs taken as independent."""
    impostors, genuine = bins.impostors.sum(), bins.genuine.sum()
    ends: list[list[float] | None] = []
    for others, hits in zip(bins.impostors.tolist(), bins.genuine.tolist(), strict=True):
        low, high = clopper_pearson(hits, hits + others)
        ends.append(
            [
                float(_at_prior((1 - end) / impostors, end / genuine, bins.prior))
                for end in (low, high)
            ]
        )
    return ends


def resampled_ends(
    bins: Bins, codes: NDArray[np.int64], *, resamples: int, seed: int
) -> list[list[float] | None]:
    """Identity bootstrap of each bin's share."""

    def observed(
        impostors: NDArray[np.float64], genuine: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        shares = _at_prior(
            np.diff(impostors, axis=0) / impostors[-1],
            np.diff(genuine, axis=0) / genuine[-1],
            bins.prior,
        )
        return {str(place): share for place, share in enumerate(shares)}

    draws = curve_draws(bins.place, codes, observed, resamples=resamples, seed=seed)
    return list(percentile_intervals(draws)["intervals"].values())


def _at_prior(false: Any, true: Any, prior: float) -> Any:
    """Share of genuine pairs at the prior, from shares of the impostor and the genuine pairs."""
    return prior * true / (prior * true + (1 - prior) * false)
