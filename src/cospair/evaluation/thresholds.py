"""Thresholds: chosen on calibration data, applied to test data, kept in a file.

Decisions of this file:
- Candidates are the distinct scores and "reject all" (one float above the highest score). The
  threshold stands on the lowest score it accepts, never between two scores; `next_score_below`
  tells how far it could sink without changing one decision on the calibration data.
- Of several candidates that serve a rule equally well, the highest (strictest) wins.
- A threshold travels as a file that says where it came from, never as a bare number.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from cospair.evaluation.intervals import Array, as_array, rate_intervals
from cospair.evaluation.verification import checked_pairs, roc_counts, tar_at_far

Rule = Literal["accuracy", "balanced", "eer", "far"]
FORMAT = "cospair threshold 1"
RESAMPLES = 1000
RATES = (
    "genuine_pairs",
    "impostor_pairs",
    "false_rejects",
    "false_accepts",
    "far",
    "frr",
    "accuracy",
    "balanced_accuracy",
)


@dataclass(frozen=True)
class Threshold:
    """A threshold with its provenance; accept when score >= threshold.

    Attributes:
        threshold: The number itself, finite.
        rule: "accuracy", "balanced", "eer" or "far".
        far_target: The FAR asked for under rule "far", else None.
        genuine_pairs: Genuine calibration pairs.
        impostor_pairs: Impostor calibration pairs.
        false_rejects: Genuine calibration pairs below the threshold.
        false_accepts: Impostor calibration pairs at or above it.
        far: false_accepts / impostor_pairs.
        frr: false_rejects / genuine_pairs.
        accuracy: Share of right decisions over all calibration pairs.
        balanced_accuracy: Mean of 1 - frr and 1 - far.
        far_interval: 95 % identity bootstrap at this threshold, or None.
        frr_interval: The same for frr.
        interval_note: Why an interval is None, else "".
        next_score_below: The next lower calibration score, or None if all are accepted; every
            threshold above it, up to `threshold`, decides the calibration data alike.
        chosen_on: What the calibration data were, in words.
        calibration_sha256: Hash of the calibration scores (float64) and truth values.
        model_sha256: Hash of the model whose scores these are, or "".
        versions: Versions of cospair, torch, numpy and python.
        created: ISO date and time, UTC.
    """

    threshold: float
    rule: Rule
    far_target: float | None
    genuine_pairs: int
    impostor_pairs: int
    false_rejects: int
    false_accepts: int
    far: float
    frr: float
    accuracy: float
    balanced_accuracy: float
    far_interval: tuple[float, float] | None
    frr_interval: tuple[float, float] | None
    interval_note: str
    next_score_below: float | None
    chosen_on: str
    calibration_sha256: str
    model_sha256: str
    versions: dict[str, str] = field(hash=False)
    created: str

    def __post_init__(self) -> None:
        """Refuse what no calibration can give."""
        if not isinstance(self.threshold, int | float) or not np.isfinite(self.threshold):
            raise ValueError(
                f"threshold must be a finite number; got {self.threshold!r}; calibrate again."
            )
        _check_rule(self.rule, self.far_target)

    @property
    def calibration(self) -> dict[str, Any]:
        """Counts and rates on the calibration data, with the keys of `rates_at`."""
        return {name: getattr(self, name) for name in RATES}

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the artefact; the file is whole or absent, also after a crash.

        Args:
            path: File to write; an older one is replaced in one step.

        Raises:
            OSError: If the folder is missing or cannot be written.
        """
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with beside.open("w", encoding="utf-8") as file:
                json.dump({"format": FORMAT, **asdict(self)}, file, indent=2, allow_nan=False)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Threshold:
        """Read an artefact written by `to_json`.

        Args:
            path: File to read.

        Returns:
            An equal `Threshold`.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is not such a file, or a field is missing, unknown or impossible.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"path must be a threshold file; got {os.fspath(path)!r}; write it with to_json."
            ) from error
        names = {item.name for item in fields(cls)}
        if (
            not isinstance(content, dict)
            or set(content) != {"format", *names}
            or content["format"] != FORMAT
        ):
            raise ValueError(
                f"path must be a file of format {FORMAT!r}; got other fields in "
                f"{os.fspath(path)!r}; write it again with to_json."
            )
        del content["format"]
        for name in ("far_interval", "frr_interval"):
            content[name] = _as_interval(name, content[name])
        return cls(**content)


def choose_threshold(
    scores: Array,
    same: Array,
    *,
    rule: Rule = "accuracy",
    far_target: float | None = None,
    identities: Array | None = None,
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
    _check_rule(rule, far_target)
    values, flags = checked_pairs(scores, same)
    thresholds, impostors, genuine = roc_counts(values, flags)
    if far_target is not None:
        at = _index_for_far(values, flags, thresholds, far_target)
    else:
        at = int(np.argmax(_merit(rule, impostors, genuine)))  # the first maximum is the strictest
    threshold = float(thresholds[at])
    return Threshold(
        threshold=threshold,
        rule=rule,
        far_target=None if far_target is None else float(far_target),
        **rates_at(values, flags, threshold),
        **_intervals(values >= threshold, flags, identities),
        next_score_below=float(thresholds[at + 1]) if at + 1 < len(thresholds) else None,
        chosen_on=chosen_on,
        calibration_sha256=hashlib.sha256(values.tobytes() + flags.tobytes()).hexdigest(),
        model_sha256=model_sha256,
        versions=_versions(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def rates_at(scores: Array, same: Array, threshold: float) -> dict[str, Any]:
    """Counts and rates of the decisions score >= threshold.

    Args:
        scores: Real [p], finite.
        same: Bool [p], True = genuine.
        threshold: Any finite number.

    Returns:
        "genuine_pairs", "impostor_pairs", "false_rejects", "false_accepts" (counts), "far", "frr",
        "accuracy" and "balanced_accuracy" (shares).

    Raises:
        TypeError: As `choose_threshold`.
        ValueError: If a kind of pair is missing or `threshold` is not finite.

    Example:
        >>> rates_at([0.9, 0.7, 0.6, 0.1], [True, True, False, False], 0.6)["far"]
        0.5
    """
    if not np.isfinite(threshold):
        raise ValueError(
            f"threshold must be finite; got {threshold!r}; pass a calibrated threshold."
        )
    values, flags = checked_pairs(scores, same)
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


def _check_rule(rule: str, far_target: float | None) -> None:
    if rule not in get_args(Rule):
        raise ValueError(
            f"rule must be one of {', '.join(get_args(Rule))}; got {rule!r}; pass one of them."
        )
    if (rule == "far") != (far_target is not None):
        raise ValueError(
            f"far_target must be given with rule 'far' and only then; got {far_target!r} with rule "
            f"{rule!r}; pass both or neither."
        )
    if far_target is not None and not 0 < far_target <= 1:
        raise ValueError(
            f"far_target must lie in (0, 1]; got {far_target!r}; pass a share such as 0.01."
        )


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


def _index_for_far(
    scores: NDArray[np.float64],
    same: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    far_target: float,
) -> int:
    point = tar_at_far(scores, same, far_target)
    if point["threshold"] is None:
        raise ValueError(
            f"far_target must allow at least one false accept; got {far_target!r} with "
            f"{point['impostor_pairs']} impostor pairs; calibrate on more pictures or raise it."
        )
    return int(np.flatnonzero(thresholds == point["threshold"])[0])


def _intervals(
    accepted: NDArray[np.bool_], same: NDArray[np.bool_], identities: Array | None
) -> dict[str, Any]:
    """Fields of the artefact that hold intervals."""
    if identities is None:
        note = "no interval: the identities of the pairs were not given"
        return {"far_interval": None, "frr_interval": None, "interval_note": note}
    people = as_array(identities)
    result = rate_intervals(accepted, people, resamples=RESAMPLES, seed=0)
    if not np.array_equal(people[:, 0] == people[:, 1], same):
        raise ValueError(
            "identities must be equal where same is True and only there; got others; pass the "
            "identities of the pairs' own pictures."
        )
    found: dict[str, Any] = {
        f"{name}_interval": None if interval is None else tuple(interval)
        for name, interval in result["intervals"].items()
    }
    notes = [f"{name}: {reason}" for name, reason in result["notes"].items()]
    return {**found, "interval_note": "; ".join(notes)}


def _as_interval(name: str, value: Any) -> tuple[float, float] | None:
    """An interval as JSON holds it."""
    if value is None:
        return None
    if not isinstance(value, list) or [type(end) for end in value] != [float, float]:
        raise ValueError(f"{name} must be null or two numbers; got {value!r}; calibrate again.")
    return value[0], value[1]


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("cospair")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        own = "not installed"
    return {
        "cospair": own,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
