"""The protocol of Labeled Faces in the Wild: ten folds, each judged by what the others chose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.binomial import clopper_pearson
from cospair.evaluation.inputs import Array, check_share, checked_pairs
from cospair.evaluation.verification.curves import counted_curve, most_accurate, operating_point


def lfw_protocol(
    scores: Array, same: Array, *, folds: int = 10, far: float = 1e-3
) -> dict[str, Any]:
    """Accuracy over folds of the pairs in file order, and VAL (the TAR) at a FAR.

    Fold k is the k-th run of p / folds pairs. Its threshold is chosen on all the other folds: for
    accuracy the one with most right decisions there, for VAL the lowest whose FAR there is at most
    `far`, each among their distinct scores and "reject all", the highest of equals.

    Args:
        scores: Real [p], finite, higher = more alike, in the order of the list of pairs.
        same: Bool (or 0 and 1) [p], True = genuine.
        folds: Number of folds, from 2 up; it divides p.
        far: Target in (0, 1] for VAL.

    Returns:
        {"pairs", "folds", "accuracy": mean over folds, "accuracy_std": standard deviation over
        folds (ddof 0), "fold_accuracy", "fold_threshold" (lists), "val": a dict of "far", "val"
        (share of all genuine pairs accepted, each fold by its own threshold), "val_interval",
        "achieved_far", "far_interval", "fold_threshold", "note"}. The intervals are 95 %
        Clopper-Pearson of the pooled counts, which takes pairs as independent. Where the other
        folds hold too few impostors for `far`, VAL is None and the note says so.

    Raises:
        TypeError: If scores are not numbers, `same` holds neither truth values nor 0 and 1, or
            `folds` is no integer.
        ValueError: If lengths differ, a score is not finite, the pairs do not fall into equal
            folds, a fold lacks genuine or impostor pairs, or `far` lies outside (0, 1].

    Example:
        >>> found = lfw_protocol([0.9, 0.2, 0.5, 0.4, 0.6, 0.7], [1, 0, 1, 0, 1, 0], folds=3)
        >>> found["fold_accuracy"], round(found["accuracy"], 4), found["val"]["val"]
        ([1.0, 0.5, 0.5], 0.6667, None)

    References:
        Huang et al. (2007), Labeled Faces in the Wild, technical report 07-49, UMass Amherst.
        Schroff, Kalenichenko, Philbin (2015), FaceNet: a unified embedding for face recognition and
        clustering (VAL).
    """
    check_share("far", far)
    values, flags = checked_pairs(scores, same)
    _check_folds(flags, folds)
    by_accuracy, by_far, note = [], [], ""
    for test in np.split(np.arange(len(values)), folds):
        curve = counted_curve(np.delete(values, test), np.delete(flags, test))
        point = operating_point(curve, far)
        by_accuracy.append(float(curve.thresholds[most_accurate(curve)]))
        by_far.append(point["threshold"])
        note = note or point["note"]
    right = _accepted(values, by_accuracy) == flags.reshape(folds, -1)
    accuracies = right.mean(axis=1)
    return {
        "pairs": len(values),
        "folds": int(folds),
        "accuracy": float(accuracies.mean()),
        "accuracy_std": float(accuracies.std()),
        "fold_accuracy": accuracies.tolist(),
        "fold_threshold": by_accuracy,
        "val": _validation(values, flags, far, by_far, note),
    }


def _accepted(values: NDArray[np.float64], thresholds: list[float]) -> NDArray[np.bool_]:
    """Decisions [folds, pairs of a fold], each fold by its own threshold."""
    return values.reshape(len(thresholds), -1) >= np.array(thresholds)[:, None]


def _validation(
    values: NDArray[np.float64],
    flags: NDArray[np.bool_],
    far: float,
    thresholds: list[float | None],
    note: str,
) -> dict[str, Any]:
    """VAL of the pooled folds with its interval, or a note that data are too few."""
    empty = dict.fromkeys(("val", "val_interval", "achieved_far", "far_interval", "fold_threshold"))
    given = [threshold for threshold in thresholds if threshold is not None]
    if len(given) < len(thresholds):
        return {"far": float(far), **empty, "note": note}
    accepted, genuine = _accepted(values, given).ravel(), int(flags.sum())
    impostors = len(flags) - genuine
    accepts, false_accepts = int(accepted[flags].sum()), int(accepted[~flags].sum())
    return {
        "far": float(far),
        "val": accepts / genuine,
        "val_interval": clopper_pearson(accepts, genuine),
        "achieved_far": false_accepts / impostors,
        "far_interval": clopper_pearson(false_accepts, impostors),
        "fold_threshold": given,
        "note": "",
    }


def _check_folds(flags: NDArray[np.bool_], folds: int) -> None:
    """Refuse what does not fall into equal folds of both kinds."""
    if isinstance(folds, bool) or not isinstance(folds, int | np.integer):
        raise TypeError(f"folds must be an integer; got {folds!r}; pass 10, as LFW does.")
    if folds < 2 or len(flags) % folds:
        raise ValueError(
            f"folds must be 2 or more and divide the pairs; got {folds} folds of {len(flags)} "
            "pairs; pass every pair of the list, in its order."
        )
    genuine, size = flags.reshape(folds, -1).sum(axis=1), len(flags) // folds
    for fold, count in enumerate(genuine.tolist()):
        if count in (0, size):
            raise ValueError(
                f"each fold must hold genuine and impostor pairs; got {count} genuine among the "
                f"{size} pairs of fold {fold}; keep the list's order, fold after fold."
            )
