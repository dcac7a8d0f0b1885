"""Verification: do two pictures show one identity? Every figure over all pairs, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.curves import (
    Counts,
    Curve,
    area,
    counted_curve,
    equal_error,
    equal_error_threshold,
    operating_point,
    tar_within,
)
from cospair.evaluation.inputs import Array, as_array, check_share, checked_pairs
from cospair.evaluation.intervals import account, identity_bootstrap
from cospair.evaluation.pairs import pair_scores

DRAWN_POINTS = 500
HISTOGRAM_BINS = 60


def verification_figures(
    embeddings: Array,
    labels: Array,
    *,
    far: Sequence[float] = (1e-1, 1e-2, 1e-3),
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Every verification figure over all pairs of a labelled set, with 95 % intervals.

    Args:
        embeddings: Real [n, d], finite.
        labels: Integer or string [n].
        far: Targets in (0, 1] for TAR@FAR.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap.

    Returns:
        A dict of plain numbers and lists: counts ("genuine_pairs", "impostor_pairs", "identities",
        "pictures"), "auc", "eer", "eer_threshold", "tar_at_far" (one dict per target), their
        "..._interval" as [low, high] or None, "interval" (method, and under "notes" the reason for
        each None), "roc" (at most 500 points of the exact curve) and "histogram" (counts). Rates
        are shares in [0, 1].

    Raises:
        TypeError: As `pair_scores`.
        ValueError: As `pair_scores`, or if genuine or impostor pairs are missing, or an option is
            out of range.

    Example:
        >>> rows = [[1, 0], [1, 1], [0, 1], [-1, 1]]
        >>> figures = verification_figures(rows, [0, 0, 1, 1], resamples=0)
        >>> figures["genuine_pairs"], figures["impostor_pairs"], figures["auc"]
        (2, 4, 0.875)
    """
    for target in far:
        check_share("each far", target)
    pairs = pair_scores(embeddings, labels)
    codes = np.unique(as_array(labels), return_inverse=True)[1]
    scores, same = checked_pairs(pairs.scores, pairs.same)
    curve = counted_curve(scores, same)
    bootstrap = identity_bootstrap(
        scores,
        np.stack([codes[pairs.first], codes[pairs.second]], axis=1),
        lambda impostors, genuine: resampled_figures(impostors, genuine, far),
        resamples=resamples,
        seed=seed,
    )
    return {
        "genuine_pairs": int(same.sum()),
        "impostor_pairs": int((~same).sum()),
        "identities": int(codes.max()) + 1,
        "pictures": len(codes),
        "auc": float(area(curve.impostors, curve.genuine)),
        "auc_interval": bootstrap["intervals"]["auc"],
        "eer": float(equal_error(curve.impostors, curve.genuine)),
        "eer_interval": bootstrap["intervals"]["eer"],
        "eer_threshold": equal_error_threshold(curve),
        "tar_at_far": [_with_interval(operating_point(curve, f), bootstrap) for f in far],
        "interval": account("identity bootstrap", bootstrap, resamples=resamples, seed=seed),
        "roc": _drawn_curve(curve),
        "histogram": _histogram(scores, same),
    }


def resampled_figures(impostors: Counts, genuine: Counts, far: Sequence[float]) -> dict[str, Any]:
    """The figures that get an interval, [b], for counts [t, b] of b resamples."""
    return {
        "auc": area(impostors, genuine),
        "eer": equal_error(impostors, genuine),
        **{_tar_name(target): tar_within(impostors, genuine, target) for target in far},
    }


def _tar_name(far: float) -> str:
    return f"tar@far={far:g}"


def _with_interval(point: dict[str, Any], bootstrap: dict[str, Any]) -> dict[str, Any]:
    """An operating point with its interval; none where the point itself is missing."""
    name = _tar_name(point["far"])
    return {
        **point,
        "tar_interval": None if point["tar"] is None else bootstrap["intervals"][name],
        "note": point["note"] or bootstrap["notes"].get(name, ""),
    }


def _drawn_curve(curve: Curve) -> dict[str, list[float]]:
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


def _histogram(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> dict[str, list[Any]]:
    """Counts of both kinds in equal bins between the lowest and the highest score."""
    edges = np.histogram_bin_edges(scores, bins=HISTOGRAM_BINS)
    return {
        "edges": edges.tolist(),
        "genuine": np.histogram(scores[same], edges)[0].tolist(),
        "impostor": np.histogram(scores[~same], edges)[0].tolist(),
    }
