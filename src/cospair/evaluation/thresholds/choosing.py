"""Thresholds: chosen on calibration data, applied to test data.

Decisions of this file:
- Candidates are the distinct scores and "reject all" (one float above the highest score). The
  threshold stands on the lowest score it accepts, never between two scores; `next_score_below`
  tells how far it could sink without changing one decision on the calibration data.
- Of several candidates that serve a rule equally well, the highest (strictest) wins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.intervals import CONFIDENCE, account, rate_intervals
from cospair.evaluation.inputs import (
    Array,
    check_people_match,
    checked_pairs,
    identities_of_pairs,
)
from cospair.evaluation.thresholds.apart import identity_hashes
from cospair.evaluation.thresholds.artefact import Rule, Threshold, check_rule
from cospair.evaluation.thresholds.artefact_files import provenance
from cospair.evaluation.verification.curves import (
    Curve,
    counted_curve,
    last_within,
    operating_point,
)

RESAMPLES = 1000


def choose_threshold(
    scores: Array,
    same: Array,
    *,
    rule: Rule = "accuracy",
    far_target: float | None = None,
    identities: Array | None = None,
    calibration_identities: Array | None = None,
    chosen_on: str = "",
    model_sha256: str = "",
) -> Threshold:
    """Choose a threshold on calibration pairs (never on the test pairs).

    Rules, each among the distinct scores and "reject all", the highest of equals:

    - "accuracy": most right decisions. Where impostors outnumber genuine pairs, as among all pairs
      of a set, it is all but blind to false rejects: use it when the calibration pairs have the mix
      of the use.
    - "balanced": largest mean of TAR and 1 - FAR. Use it on all pairs of a set.
    - "eer": FAR and FRR closest to each other. Use it to compare systems.
    - "far": lowest threshold whose FAR is at most `far_target`. Use it when a false accept has a
      price.

    Args:
        scores: Real [p], finite.
        same: Bool [p], True = genuine.
        rule: One of the rules above.
        far_target: A share in (0, 1], with rule "far" only.
        identities: Integer or string [p, 2], identities of the two pictures of each pair; with it
            FAR and FRR get intervals (identity bootstrap at the chosen threshold, 1000 resamples,
            seed 0).
        calibration_identities: Integer or string [n], names of the calibration people that mean the
            same people elsewhere; the artefact keeps a short hash of each, for `check_apart`.
        chosen_on: What the calibration data are, in words, for the artefact.
        model_sha256: Hash of the model, for the artefact.

    Returns:
        The artefact.

    Raises:
        TypeError: If scores are not numbers or `same` holds neither truth values nor 0 and 1.
        ValueError: If a kind of pair is missing, the rule is unknown, `far_target` and the rule do
            not go together, or the impostors are too few for `far_target`.

    Example:
        >>> chosen = choose_threshold([0.9, 0.7, 0.6, 0.1], [True, True, False, False])
        >>> chosen.threshold, chosen.accuracy, chosen.next_score_below
        (0.7, 1.0, 0.6)
    """
    check_rule(rule, far_target)
    values, flags = checked_pairs(scores, same)
    curve = counted_curve(values, flags)
    at = _chosen_point(curve, rule, far_target)
    threshold = float(curve.thresholds[at])
    intervals = _intervals(values >= threshold, flags, identities)
    below = curve.thresholds[at + 1 : at + 2].tolist()  # empty if all are accepted
    return Threshold(
        threshold=threshold,
        rule=rule,
        far_target=None if far_target is None else float(far_target),
        **_rates(values, flags, threshold),
        **intervals,
        next_score_below=below[0] if below else None,
        chosen_on=chosen_on,
        model_sha256=model_sha256,
        calibration_identities=identity_hashes("calibration_identities", calibration_identities),
        **provenance(values, flags),
    )


def rates_at(
    scores: Array,
    same: Array,
    threshold: float,
    *,
    identities: Array | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Counts and rates of the decisions score >= threshold, with intervals where people are known.

    Args:
        scores: Real [p], finite.
        same: Bool [p], True = genuine.
        threshold: Any finite number.
        identities: Integer or string [p, 2], identities of the two pictures of each pair.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap.

    Returns:
        "genuine_pairs", "impostor_pairs", "false_rejects", "false_accepts" (counts), "far", "frr",
        "accuracy" and "balanced_accuracy" (shares). With identities also "far_interval",
        "frr_interval", "accuracy_interval" ([low, high] or None; that of accuracy keeps this set's
        mix of genuine and impostor pairs) and "interval" (method, and under "notes" the reason for
        each None).

    Raises:
        TypeError: As `choose_threshold`, or if `resamples` is no integer.
        ValueError: If a kind of pair is missing, `threshold` is not finite, `resamples` is out of
            range, or `identities` and `same` disagree.

    Example:
        >>> rates_at([0.9, 0.7, 0.6, 0.1], [True, True, False, False], 0.6)["far"]
        0.5
    """
    if not np.isfinite(threshold):
        raise ValueError(
            f"threshold must be finite; got {threshold!r}; pass a calibrated threshold."
        )
    values, flags = checked_pairs(scores, same)
    rates = _rates(values, flags, threshold)
    if identities is None:
        return rates
    codes = identities_of_pairs(identities, len(flags))
    check_people_match(flags, codes)
    found = rate_intervals(values >= threshold, codes, resamples=resamples, seed=seed)
    return {
        **rates,
        **{f"{name}_interval": interval for name, interval in found["intervals"].items()},
        "interval": account("identity bootstrap", found, resamples=resamples, seed=seed),
    }


def _rates(
    values: NDArray[np.float64], flags: NDArray[np.bool_], threshold: float
) -> dict[str, Any]:
    genuine, accepted = int(flags.sum()), values >= threshold
    impostors = len(flags) - genuine
    rejects, accepts = int((flags & ~accepted).sum()), int((~flags & accepted).sum())
    return {
        "genuine_pairs": genuine,
        "impostor_pairs": impostors,
        "false_rejects": rejects,
        "false_accepts": accepts,
        "far": accepts / impostors,
        "frr": rejects / genuine,
        "accuracy": (len(flags) - rejects - accepts) / len(flags),
        "balanced_accuracy": 1 - (accepts / impostors + rejects / genuine) / 2,
    }


def _chosen_point(curve: Curve, rule: Rule, far_target: float | None) -> int:
    """Index of the point of the curve that serves the rule best, the strictest of equals."""
    if far_target is None:
        return int(np.argmax(_merit(rule, curve.impostors, curve.genuine)))  # the first maximum
    if operating_point(curve, far_target)["tar"] is None:
        raise ValueError(
            f"far_target must allow at least one false accept; got {far_target!r} with "
            f"{curve.impostors[-1]} impostor pairs; calibrate on more pictures or raise it."
        )
    return int(last_within(curve.impostors, far_target))


def _merit(
    rule: Rule, impostors: NDArray[np.int64], genuine: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What the rule maximises, in whole numbers, so that equals compare equal."""
    if rule == "accuracy":
        return genuine - impostors  # right decisions, less the impostors' number
    true_accepts, false_accepts = genuine * impostors[-1], impostors * genuine[-1]
    if rule == "balanced":
        return true_accepts - false_accepts  # TAR - FAR, times both totals
    false_rejects = impostors[-1] * genuine[-1] - true_accepts
    return -np.abs(false_accepts - false_rejects)


def _intervals(
    accepted: NDArray[np.bool_], same: NDArray[np.bool_], identities: Array | None
) -> dict[str, Any]:
    """Fields of the artefact that hold intervals."""
    if identities is None:
        note = "no interval: the identities of the pairs were not given"
        return {"far_interval": None, "frr_interval": None, "interval_note": note}
    codes = identities_of_pairs(identities, len(same))
    check_people_match(same, codes)
    result = rate_intervals(accepted, codes, resamples=RESAMPLES, seed=0)
    names = ("far", "frr")
    found: dict[str, Any] = {}
    for name in names:
        interval = result["intervals"][name]
        found[f"{name}_interval"] = None if interval is None else tuple(interval)
    notes = [f"{name}: {result['notes'][name]}" for name in names if name in result["notes"]]
    return {
        **found,
        "interval_note": "; ".join(notes),
        "interval_method": f"identity bootstrap, {CONFIDENCE:.0%}, {RESAMPLES} resamples, seed 0",
    }
