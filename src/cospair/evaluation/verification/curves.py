"""ROC curves as counts of accepted pairs, and the figures read off them.

Decisions of this file:
- A pair is accepted when score >= threshold. Equal scores move together.
- Every distinct score is a point of the curve; the point "reject all" stands one float above the
  highest score.
- Genuine and impostor pairs are counted in whole numbers; rates are one division each.
- Counts are whole numbers [t] for one curve, whose figures are exact, or float64 [t, b] for b
  resampled ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.verification.exact import exact_area, exact_crossing, exact_equal_error

Counts: TypeAlias = NDArray[np.int64] | NDArray[np.float64]


class Curve(NamedTuple):
    """Thresholds, descending from "reject all", and the pairs accepted of either kind, all [t]."""

    thresholds: NDArray[np.float64]
    impostors: NDArray[np.int64]
    genuine: NDArray[np.int64]


def counted_curve(
    scores: NDArray[np.float64], same: NDArray[np.bool_], counts: NDArray[np.int64] | None = None
) -> Curve:
    """The curve of scored pairs [p], both kinds present, each pair `counts` times or once."""
    order = None if counts is None else np.argsort(scores, kind="stable")
    ranked = np.sort(scores) if order is None else scores[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))  # of each group of ties
    distinct = ranked[starts]
    if counts is None or order is None:
        pairs = np.diff(starts, append=len(ranked))
        # sorted, the search walks through memory; this halves the time of millions of pairs
        genuine = _pairs_at(distinct, np.sort(scores[same]), None)
    else:
        pairs = np.add.reduceat(counts[order], starts)
        genuine = _pairs_at(distinct, scores[same], counts[same])
    return Curve(
        np.append(np.nextafter(distinct[-1], np.inf), distinct[::-1]),
        np.append(0, np.cumsum((pairs - genuine)[::-1])),
        np.append(0, np.cumsum(genuine[::-1])),
    )


def _pairs_at(
    distinct: NDArray[np.float64], scores: NDArray[np.float64], counts: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """How many pairs stand at each distinct score."""
    place = np.searchsorted(distinct, scores)
    # the sums are float64, exact to 2^53 pairs
    return np.bincount(place, counts, minlength=len(distinct)).astype(np.int64)


def accepted_at(curve: Curve, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the curve's point that decides as each threshold does."""
    ascending = curve.thresholds[::-1]
    return np.maximum(len(ascending) - 1 - np.searchsorted(ascending, thresholds), 0)


def area(impostors: Counts, genuine: Counts) -> Any:
    """Area under the curve: trapezoids, so a tie counts half."""
    if impostors.dtype.kind == "i":
        return exact_area(impostors, genuine)
    twice = (np.diff(impostors, axis=0) * (genuine[1:] + genuine[:-1])).sum(axis=0)
    return twice / (2 * impostors[-1] * genuine[-1])


def equal_error(impostors: Counts, genuine: Counts) -> Any:
    """FAR where it equals FRR, the points joined by straight lines."""
    if impostors.dtype.kind == "i":
        return exact_equal_error(impostors, genuine)
    after, along = _crossing(impostors, genuine)
    low, high = _at(impostors, after - 1), _at(impostors, after)
    return np.where(along == 1, high, low + along * (high - low)) / impostors[-1]


def equal_error_threshold(curve: Curve) -> float:
    """The threshold there, interpolated as the rates are."""
    after, part, whole = exact_crossing(curve.impostors, curve.genuine)
    low, high = float(curve.thresholds[after - 1]), float(curve.thresholds[after])
    return high if part == whole else low + part / whole * (high - low)


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


def most_accurate(curve: Curve) -> int:
    """Index of the point with most right decisions, the strictest of equals."""
    return int(np.argmax(curve.genuine - curve.impostors))  # the first maximum


def _crossing(impostors: Counts, genuine: Counts) -> tuple[Any, Any]:
    """Index of the first point with FAR >= FRR, and how far along the line to it FAR = FRR."""
    # (FAR - FRR) * impostors * genuine: from -1 to +1 times the product
    gap = impostors * genuine[-1] - (genuine[-1] - genuine) * impostors[-1]
    after = np.maximum(np.argmax(gap >= 0, axis=0), 1)
    low, high = _at(gap, after - 1), _at(gap, after)
    return after, -low / (high - low)


def _at(values: Counts, index: Any) -> Any:
    """Row `index` of each column of [t, ...]."""
    return np.take_along_axis(values, np.asarray(index)[None], axis=0)[0]
