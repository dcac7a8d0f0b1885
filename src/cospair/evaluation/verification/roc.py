"""Figures of scored pairs, each from the whole curve: ROC, DET, AUC, equal error, TAR at a FAR."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array, check_share, checked_pairs
from cospair.evaluation.verification.curves import (
    area,
    counted_curve,
    equal_error,
    equal_error_threshold,
    most_accurate,
    operating_point,
)


def roc_curve(scores: Array, same: Array) -> dict[str, NDArray[np.float64]]:
    """The whole ROC: "reject all" first, then one point for every distinct score, highest first.

        FAR(t) = impostors with score >= t / impostors,   TAR(t) = genuine with score >= t / genuine

    Args:
        scores: Real [p], finite, higher = more alike.
        same: Bool (or 0 and 1) [p], True = genuine.

    Returns:
        {"far", "tar", "threshold"}, each float64 [distinct scores + 1]. The first threshold,
        "reject all", is the next float above the highest score.

    Raises:
        TypeError: If scores are not numbers or `same` holds neither truth values nor 0 and 1.
        ValueError: If lengths differ, a score is not finite, or one of the two kinds is missing.

    Example:
        >>> roc_curve([0.9, 0.4, 0.4], [True, True, False])["tar"]
        array([0. , 0.5, 1. ])
    """
    curve = counted_curve(*checked_pairs(scores, same))
    return {
        "far": curve.impostors / curve.impostors[-1],
        "tar": curve.genuine / curve.genuine[-1],
        "threshold": curve.thresholds,
    }


def det_curve(scores: Array, same: Array) -> dict[str, NDArray[np.float64]]:
    """The detection error trade-off: FAR against FRR, as shares and as normal deviates.

        deviate(rate) = the number that a standard normal variable stays below with probability rate

    A rate of 0 or 1 has no finite deviate. It stands half a pair off, at 1 / (2 pairs) or 1 less
    that, so that every point can be drawn.

    Args:
        scores: Real [p], finite, higher = more alike.
        same: Bool (or 0 and 1) [p], True = genuine.

    Returns:
        {"far", "frr", "threshold", "far_deviate", "frr_deviate"}, each float64 [distinct scores +
        1], in the order of `roc_curve`: FAR ascends, FRR descends.

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`.

    Example:
        >>> curve = det_curve([0.9, 0.6, 0.5, 0.1], [True, False, True, False])
        >>> curve["frr"], curve["frr_deviate"].round(3)
        (array([1. , 0.5, 0.5, 0. , 0. ]), array([ 0.674,  0.   ,  0.   , -0.674, -0.674]))

    References:
        Martin et al. (1997), The DET curve in assessment of detection task performance.
    """
    curve = counted_curve(*checked_pairs(scores, same))
    rejected = curve.genuine[-1] - curve.genuine
    return {
        "far": curve.impostors / curve.impostors[-1],
        "frr": rejected / curve.genuine[-1],
        "threshold": curve.thresholds,
        "far_deviate": _deviates(curve.impostors),
        "frr_deviate": _deviates(rejected),
    }


def _deviates(errors: NDArray[np.int64]) -> NDArray[np.float64]:
    """Normal deviates of counts of errors that run between 0 and all."""
    rates = errors / errors.max()
    half = 0.5 / errors.max()
    return torch.special.ndtri(torch.from_numpy(rates.clip(half, 1 - half))).numpy()


def auc(scores: Array, same: Array) -> float:
    """P(genuine > impostor) + 0.5 P(equal), over all pairs of a genuine and an impostor pair.

    Args:
        scores: Real [p], finite.
        same: Bool [p].

    Returns:
        A share in [0, 1], from whole numbers and one division. It is 1.0 only where every genuine
        pair scores above every impostor pair.

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`.

    Example:
        >>> auc([0.9, 0.4, 0.4, 0.1], [True, True, False, False])
        0.875
    """
    curve = counted_curve(*checked_pairs(scores, same))
    return float(area(curve.impostors, curve.genuine))


def equal_error_rate(scores: Array, same: Array) -> dict[str, float]:
    """Where FAR = FRR on the ROC, its points joined by straight lines.

    Args:
        scores: Real [p], finite.
        same: Bool [p].

    Returns:
        {"eer": share, "threshold": float}; the threshold is interpolated as the rates are, so it
        need not be a score that occurs.

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`.

    Example:
        >>> equal_error_rate([0.9, 0.6, 0.5, 0.1], [True, False, True, False])
        {'eer': 0.5, 'threshold': 0.6}
    """
    curve = counted_curve(*checked_pairs(scores, same))
    return {
        "eer": float(equal_error(curve.impostors, curve.genuine)),
        "threshold": equal_error_threshold(curve),
    }


def best_accuracy(scores: Array, same: Array) -> dict[str, float]:
    """The largest share of right decisions that any threshold reaches.

    On the data it was found on it flatters: choose a threshold with `choose_threshold` on other
    people, or report `lfw_protocol`.

    Args:
        scores: Real [p], finite.
        same: Bool [p].

    Returns:
        {"accuracy": share, "threshold": float}; among the distinct scores and "reject all", the
        highest of equals.

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`.

    Example:
        >>> best_accuracy([0.9, 0.6, 0.5, 0.1], [True, False, True, False])
        {'accuracy': 0.75, 'threshold': 0.9}
    """
    curve = counted_curve(*checked_pairs(scores, same))
    at = most_accurate(curve)
    right = int(curve.genuine[at] + curve.impostors[-1] - curve.impostors[at])
    return {
        "accuracy": right / int(curve.genuine[-1] + curve.impostors[-1]),
        "threshold": float(curve.thresholds[at]),
    }


def tar_at_far(scores: Array, same: Array, far: float) -> dict[str, Any]:
    """TAR at the lowest threshold, among the scores and "reject all", whose FAR is at most `far`.

    Args:
        scores: Real [p], finite.
        same: Bool [p].
        far: Target in (0, 1].

    Returns:
        {"far", "tar", "threshold", "achieved_far", "impostor_pairs", "note"}. When floor(far *
        impostors) is 0, not one false accept may be counted: tar, threshold and achieved_far are
        None and the note says "insufficient data: ...".

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`, or if `far` lies outside (0, 1].

    Example:
        >>> tar_at_far([0.9, 0.6, 0.5, 0.1], [True, False, True, False], 0.5)["tar"]
        1.0
    """
    check_share("far", far)
    return operating_point(counted_curve(*checked_pairs(scores, same)), far)
