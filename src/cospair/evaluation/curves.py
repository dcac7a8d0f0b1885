"""ROC curves as counts of accepted pairs, and the figures read off them.

Decisions of this file:
- A pair is accepted when score >= threshold. Equal scores move together.
- Every distinct score is a point of the curve; the point "reject all" stands one float above the
  highest score.
- Genuine and impostor pairs are counted in whole numbers; rates are one division each.
- Counts are [t] for one curve or [t, b] for b resampled ones: one definition serves both.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.int64] | NDArray[np.float64]


class Curve(NamedTuple):
    """Thresholds, descending from "reject all", and the pairs accepted of either kind, all [t]."""

    thresholds: NDArray[np.float64]
    impostors: NDArray[np.int64]
    genuine: NDArray[np.int64]


def counted_curve(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> Curve:
    """The curve of scored pairs [p] of which both kinds are present."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each group of ties
    genuine = np.append(0, np.cumsum(same[order])[ends])
    impostors = np.append(0, ends + 1) - genuine
    return Curve(np.append(np.nextafter(ranked[0], np.inf), ranked[ends]), impostors, genuine)


def area(impostors: Counts, genuine: Counts) -> Any:
    """Area under the curve: trapezoids, so a tie counts half. Whole numbers stay exact."""
    twice = (np.diff(impostors, axis=0) * (genuine[1:] + genuine[:-1])).sum(axis=0)
    return twice / (2 * impostors[-1] * genuine[-1])


def equal_error(impostors: Counts, genuine: Counts) -> Any:
    """FAR where it equals FRR, the points joined by straight lines."""
    return _between(impostors, *_crossing(impostors, genuine)) / impostors[-1]


def equal_error_threshold(curve: Curve) -> float:
    """The threshold there, interpolated as the rates are."""
    return float(_between(curve.thresholds, *_crossing(curve.impostors, curve.genuine)))


def last_within(impostors: Counts, far: float) -> Any:
    """Index of the lowest threshold with FAR <= far."""
    # a division, correctly rounded, keeps 29 / 100 <= 0.29; the product 0.29 * 100 is below 29
    return np.maximum((impostors / impostors[-1] <= far).sum(axis=0) - 1, 0)


def tar_within(impostors: Counts, genuine: Counts, far: float) -> Any:
    """TAR at the lowest threshold with FAR <= far."""
    return _at(genuine, last_within(impostors, far)) / genuine[-1]


def operating_point(curve: Curve, far: float) -> dict[str, Any]:
    """The point of `tar_within` as the public figures give it, or a note that data are too few."""
    total = int(curve.impostors[-1])
    enough = 1 / total <= far
    at = last_within(curve.impostors, far)
    note = f"insufficient data: {total} impostor pairs cannot show a FAR of {far:g}"
    return {
        "far": float(far),
        "tar": float(curve.genuine[at] / curve.genuine[-1]) if enough else None,
        "threshold": float(curve.thresholds[at]) if enough else None,
        "achieved_far": float(curve.impostors[at] / total) if enough else None,
        "impostor_pairs": total,
        "note": "" if enough else note,
    }


def _crossing(impostors: Counts, genuine: Counts) -> tuple[Any, Any]:
    """Index of the first point with FAR >= FRR, and how far along the line to it FAR = FRR."""
    # (FAR - FRR) * impostors * genuine: whole numbers, from -1 to +1 times the product
    gap = impostors * genuine[-1] - (genuine[-1] - genuine) * impostors[-1]
    after = np.maximum(np.argmax(gap >= 0, axis=0), 1)
    low, high = _at(gap, after - 1), _at(gap, after)
    return after, -low / (high - low)


def _between(values: Counts, after: Any, share: Any) -> Any:
    """Linear interpolation from row after - 1 to row after; the end itself at share 1."""
    low, high = _at(values, after - 1), _at(values, after)
    return np.where(share == 1, high, low + share * (high - low))


def _at(values: Counts, index: Any) -> Any:
    """Row `index` of each column of [t, ...]."""
    return np.take_along_axis(values, np.asarray(index)[None], axis=0)[0]
