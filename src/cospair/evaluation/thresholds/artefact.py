"""A threshold with its provenance, as an object and as a file; never a bare number."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array, check_share, real_numbers
from cospair.evaluation.thresholds.artefact_files import read_artefact, write_artefact

Rule = Literal["accuracy", "balanced", "eer", "far"]
FORMAT = "cospair threshold 2"
# What files of an earlier format lack, and what stood for it.
ADDED = {"cospair threshold 1": {"interval_method": "", "calibration_identities": []}}
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
        interval_method: How the intervals came about, or "".
        calibration_identities: Short hashes of the calibration people's names, sorted, where the
            names were given; `check_apart` reads them.
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
    interval_method: str = ""
    calibration_identities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no calibration can give."""
        if not isinstance(self.threshold, int | float) or not np.isfinite(self.threshold):
            raise ValueError(
                f"threshold must be a finite number; got {self.threshold!r}; calibrate again."
            )
        check_rule(self.rule, self.far_target)

    @property
    def calibration(self) -> dict[str, Any]:
        """Counts and rates on the calibration data, with the keys of `rates_at`."""
        return {name: getattr(self, name) for name in RATES}

    def accepts(self, scores: Array) -> NDArray[np.bool_]:
        """Decide pairs: True where score >= threshold.

        Args:
            scores: Real [p], finite, of the model the threshold was chosen for.

        Returns:
            Bool [p].

        Raises:
            TypeError: If scores are not numbers.
            ValueError: If they are not [p] or not finite.
        """
        return real_numbers("scores", scores, 1) >= self.threshold

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the artefact; a reader meets the old file or the new one, never half of one.

        Args:
            path: File to write; an older one is replaced in one step.

        Raises:
            OSError: If the folder is missing or cannot be written.
        """
        write_artefact(path, FORMAT, self)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Threshold:
        """Read an artefact written by `to_json`, of this format or an earlier one.

        Args:
            path: File to read.

        Returns:
            An equal `Threshold`.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is not such a file, or a field is missing, unknown or impossible.
        """
        content = read_artefact(path, "threshold", FORMAT, cls, ADDED)
        for name in ("far_interval", "frr_interval"):
            content[name] = _as_interval(name, content[name])
        return cls(**content)


def check_rule(rule: str, far_target: float | None) -> None:
    """Refuse an unknown rule, and a FAR target that does not go with it."""
    if rule not in get_args(Rule):
        raise ValueError(
            f"rule must be one of {', '.join(get_args(Rule))}; got {rule!r}; pass one of them."
        )
    if (rule == "far") != (far_target is not None):
        raise ValueError(
            f"far_target must be given with rule 'far' and only then; got {far_target!r} with rule "
            f"{rule!r}; pass both or neither."
        )
    if far_target is not None:
        check_share("far_target", far_target)


def _as_interval(name: str, value: Any) -> tuple[float, float] | None:
    """An interval as JSON holds it."""
    if value is None:
        return None
    if not isinstance(value, list) or [type(end) for end in value] != [float, float]:
        raise ValueError(f"{name} must be null or two numbers; got {value!r}; calibrate again.")
    return value[0], value[1]
