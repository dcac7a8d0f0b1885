"""What a chart of verification draws: a few points of the exact curve, and a histogram."""

from __future__ import annotations

import numpy as np

from cospair.evaluation.verification.curves import Curve, accepted_at

DRAWN_POINTS = 500
HISTOGRAM_BINS = 60


def drawn_curve(curve: Curve) -> dict[str, list[float]]:
    """At most 500 points: half evenly along the curve, half denser towards FAR 0, for log axes."""
    thresholds, impostors, genuine = curve
    far, tar = impostors / impostors[-1], genuine / genuine[-1]
    last = len(far) - 1
    keep = np.arange(len(far))
    if len(far) > DRAWN_POINTS:
        half = DRAWN_POINTS // 2
        along = np.searchsorted(far + tar, np.linspace(0, 2, half))[1:-1]
        near = np.searchsorted(impostors, np.geomspace(1, impostors[-1], half))
        keep = np.unique(np.concatenate([[0, last], along, near]).clip(max=last))
    return {
        "far": far[keep].tolist(),
        "tar": tar[keep].tolist(),
        "threshold": thresholds[keep].tolist(),
    }


def histogram(curve: Curve) -> dict[str, list[float] | list[int]]:
    """Counts of both kinds in equal bins between the lowest and the highest score."""
    low, high = curve.thresholds[-1], curve.thresholds[1]
    least = 2 * HISTOGRAM_BINS * np.spacing(max(abs(low), abs(high)))
    # floats so near to each other have no room for the edges between them
    ends = [low - least, high + least] if 0 < high - low < least else [low, high]
    edges = np.histogram_bin_edges(ends, bins=HISTOGRAM_BINS)
    at = accepted_at(curve, edges[:-1])  # the last bin holds both of its ends
    return {
        "edges": edges.tolist(),
        "genuine": (-np.diff(curve.genuine[at], append=0)).tolist(),
        "impostor": (-np.diff(curve.impostors[at], append=0)).tolist(),
    }
