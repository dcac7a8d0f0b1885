"""The thresholds that the page can show: the drawn points of the curve and those known exactly.

A curve of many pairs comes thinned. Its points are exact, and so are the chosen threshold and the
fixed FARs, whose rates the result holds: they join the points, so that the page never says another
rate at one of them than its tables do.
"""

from __future__ import annotations

from itertools import pairwise
from math import floor, inf, isfinite, log10
from statistics import NormalDist
from typing import Any

from cospair.report.formats import finite, limit

DET_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5, 0.8, 0.95)
DET_END = 0.6  # the curve beyond this rate is of no use, and would squeeze the rest
FINEST = 400  # the slider has at least this many steps
LEAST_WIDTH = 1e-9


def has_points(figures: dict[str, Any]) -> bool:
    """Whether there is a curve to draw."""
    roc = figures.get("roc")
    return bool(roc) and len(roc["far"]) > 0


def curve_points(result: dict[str, Any]) -> dict[str, list[float | None]] | None:
    """Every known point of the curve, thresholds descending; None where there is no curve."""
    figures = result["verification"]
    if not has_points(figures):
        return None
    roc = figures["roc"]
    points = {
        _number(t): (float(far), float(tar))
        for t, far, tar in zip(roc["threshold"], roc["far"], roc["tar"], strict=True)
    }
    for t, far, tar in _known(result):
        if t not in points and _fits(points, t, far, tar):
            points[t] = far, tar
    thresholds = sorted(points, reverse=True)
    return {
        "threshold": [finite(t) for t in thresholds],
        "far": [finite(points[t][0]) for t in thresholds],
        "tar": [finite(points[t][1]) for t in thresholds],
    }


def _number(threshold: float | None) -> float:
    """JSON writes the threshold above every score as null."""
    return inf if threshold is None else float(threshold)


def _known(result: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Threshold, FAR and TAR of the points that the result gives beside the curve."""
    chosen = result.get("threshold") or {}
    test = chosen.get("test") or {}
    frr = test.get("frr")
    rows = [(chosen.get("threshold"), test.get("far"), None if frr is None else 1 - frr)]
    rows += [
        (row.get("threshold"), row.get("achieved_far"), row.get("tar"))
        for row in result["verification"].get("tar_at_far") or ()
    ]
    return [
        (float(t), float(far), float(tar))
        for t, far, tar in rows
        if t is not None and far is not None and tar is not None and isfinite(t + far + tar)
    ]


def _fits(points: dict[float, tuple[float, float]], t: float, far: float, tar: float) -> bool:
    """Whether a point lies on the curve: a lower threshold accepts no fewer pairs of either kind.

    Rates that were counted on other pairs than the curve do not.
    """
    stricter = max((points[u] for u in points if u > t), default=(0.0, 0.0))
    laxer = min((points[u] for u in points if u < t), default=(1.0, 1.0))
    slack = 1e-9  # 1 - FRR is not exactly TAR
    return all(
        low - slack <= rate <= high + slack
        for low, rate, high in zip(stricter, (far, tar), laxer, strict=True)
    )


def is_whole(result: dict[str, Any]) -> bool:
    """Whether no step of the curve takes more than one pair: then no threshold is left out."""
    figures, points = result["verification"], curve_points(result)
    totals = figures.get("impostor_pairs"), figures.get("genuine_pairs")
    if points is None or not all(totals):
        return False
    pairs = [
        round(far * totals[0]) + round(tar * totals[1])
        for far, tar in zip(points["far"], points["tar"], strict=True)
        if far is not None and tar is not None
    ]
    return max((b - a for a, b in pairwise(pairs)), default=0) <= 1


def slider_range(result: dict[str, Any]) -> dict[str, float] | None:
    """Ends and step of the slider: round numbers around every drawn threshold."""
    points = curve_points(result)
    known = [t for t in points["threshold"] if t is not None] if points else []
    if not known:
        return None
    low, high = min(known), max(known)
    # Scores that are all but equal still get steps that floats can tell apart.
    width = max(high - low or 1.0, 1e-6 * max(abs(low), abs(high)), LEAST_WIDTH)
    places = -floor(log10(width / FINEST))
    step = 10.0**-places
    return {
        "low": round(floor(low / step) * step, max(places, 0)),
        # One step above the highest score, so that "reject all" can be reached.
        "high": round((floor(high / step) + 1) * step, max(places, 0)),
        "step": round(step, max(places, 0)) if places > 0 else step,
    }


def stops(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The thresholds that have a button: the chosen one, the EER's, each FAR target's."""
    figures = result["verification"]
    found = [
        {"name": "Chosen", "threshold": finite((result.get("threshold") or {}).get("threshold"))},
        {"name": "EER", "threshold": finite(figures.get("eer_threshold"))},
    ]
    found += [
        {"name": f"FAR {limit(row['far'])}", "threshold": finite(row.get("threshold"))}
        for row in figures.get("tar_at_far") or ()
    ]
    return [stop for stop in found if stop["threshold"] is not None]


def det_points(result: dict[str, Any]) -> dict[str, Any] | None:
    """FAR and FRR of the points as normal deviates, with the axes' ends and ticks.

    A rate of 0 has no deviate: it stands at half a pair, the left or lower end of its axis.
    """
    points, figures = curve_points(result), result["verification"]
    totals = figures.get("impostor_pairs"), figures.get("genuine_pairs")
    if points is None or not all(totals):
        return None
    fars = [far for far in points["far"] if far is not None]
    frrs = [1 - tar for tar in points["tar"] if tar is not None]
    return {"x": _axis(fars, totals[0]), "y": _axis(frrs, totals[1])}


def _axis(rates: list[float], pairs: int) -> dict[str, Any]:
    deviate, least = NormalDist().inv_cdf, min(0.5 / pairs, DET_END / 4)
    ends = deviate(least), deviate(DET_END)
    # A tick nearer the end than this would touch the end's own label.
    ticks = [t for t in DET_TICKS if 3 * least < t < DET_END]
    return {
        "at": [
            min(max(deviate(min(max(rate, least), 1 - 1e-12)), ends[0]), ends[1]) for rate in rates
        ],
        "ends": list(ends),
        "ticks": [ends[0], *(deviate(tick) for tick in ticks)],
        "words": ["0", *(limit(tick) for tick in ticks)],
    }
