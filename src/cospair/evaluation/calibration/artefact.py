"""Calibration: what a score is worth as evidence, and as a probability.

Decisions of this file:
- The map of scores is fitted to the log likelihood ratio, natural logarithm: the evidence of a pair
  apart from how many pairs of use are genuine. The prior adds that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.calibration.isotonic import counted_steps, pooled
from cospair.evaluation.calibration.logistic import log_odds, odds_at_ends, separable, shares_of
from cospair.evaluation.inputs import Array, checked_pairs, real_numbers
from cospair.evaluation.thresholds.apart import identity_hashes
from cospair.evaluation.thresholds.artefact_files import provenance, read_artefact, write_artefact

Method = Literal["platt", "isotonic"]
FORMAT = "cospair calibration 1"


@dataclass(frozen=True)
class Calibration:
    """A map of scores to log likelihood ratios, with its provenance.

    Attributes:
        method: "platt" or "isotonic".
        prior: Share of genuine pairs in use, in (0, 1): the probabilities hold for it.
        knots: (score, log likelihood ratio) pairs by ascending score. "platt": two points of its
            line, which goes on beyond them. "isotonic": the ends of its steps, joined by lines; the
            ratio stays as it is below the first and above the last.
        genuine_pairs: Genuine calibration pairs.
        impostor_pairs: Impostor calibration pairs.
        note: What is unusual about the fit, or "".
        chosen_on: What the calibration data were, in words.
        calibration_sha256: Hash of the calibration scores (float64) and truth values.
        model_sha256: Hash of the model whose scores these are, or "".
        versions: Versions of cospair, torch, numpy and python.
        created: ISO date and time, UTC.
        calibration_identities: As in `Threshold`.
    """

    method: Method
    prior: float
    knots: tuple[tuple[float, float], ...]
    genuine_pairs: int
    impostor_pairs: int
    note: str
    chosen_on: str
    calibration_sha256: str
    model_sha256: str
    versions: dict[str, str] = field(hash=False)
    created: str
    calibration_identities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no calibration can give."""
        _check_options(self.method, self.prior)
        scores, fewest = [score for score, _ in self.knots], 2 if self.method == "platt" else 1
        if (
            len(scores) < fewest
            or scores != sorted(set(scores))
            or not np.isfinite(self.knots).all()
        ):
            raise ValueError(
                f"knots must be finite points by ascending score; got {self.knots!r}; calibrate "
                "again."
            )

    def log_likelihood_ratio(self, scores: Array) -> NDArray[np.float64]:
        """Natural logarithm of P(score | genuine) / P(score | impostor).

        Args:
            scores: Real [p], finite, of the model the calibration was fitted to.

        Returns:
            float64 [p], finite; above 0 speaks for a genuine pair.

        Raises:
            TypeError: If scores are not numbers.
            ValueError: If they are not [p] or not finite.
        """
        values = real_numbers("scores", scores, 1)
        places, ratios = np.array(self.knots).T
        if self.method == "isotonic":
            return np.interp(values, places, ratios)
        slope = (ratios[1] - ratios[0]) / (places[1] - places[0])
        return ratios[0] + slope * (values - places[0])

    def probability(self, scores: Array) -> NDArray[np.float64]:
        """Probability that a pair is genuine, where the share `prior` of all pairs is.

        Args:
            scores: As in `log_likelihood_ratio`.

        Returns:
            float64 [p], in [0, 1].

        Raises:
            TypeError: As `log_likelihood_ratio`.
            ValueError: As `log_likelihood_ratio`.
        """
        return shares_of(self.log_likelihood_ratio(scores) + log_odds(self.prior))

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the calibration; a reader meets the old file or the new one, never half of one.

        Args:
            path: File to write; an older one is replaced in one step.

        Raises:
            OSError: If the folder is missing or cannot be written.
        """
        write_artefact(path, FORMAT, self)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read a calibration written by `to_json`.

        Args:
            path: File to read.

        Returns:
            An equal `Calibration`.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is not such a file, or a field is missing, unknown or impossible.
        """
        content = read_artefact(path, "calibration", FORMAT, cls, {})
        content["knots"] = _as_knots(content["knots"])
        return cls(**content)


def calibrate(
    scores: Array,
    same: Array,
    *,
    method: Method = "platt",
    prior: float = 0.5,
    calibration_identities: Array | None = None,
    chosen_on: str = "",
    model_sha256: str = "",
) -> Calibration:
    """Fit a map of scores to probabilities on calibration pairs (never on the test pairs).

    - "platt": log likelihood ratio = slope * score + offset, by logistic regression without a
      penalty. The two kinds of pairs weigh prior and 1 - prior, however many there are of each.
      Where one threshold parts the kinds, the regression has no finite answer and takes Platt's
      targets; the note then says so. Two numbers: a few hundred pairs will do.
    - "isotonic": any rising map, by pooling adjacent violators; equal scores share one value. One
      genuine and one impostor pair are added beyond each end, so every ratio is finite (Laplace's
      rule). It follows any shape, and needs thousands of pairs.

    Args:
        scores: Real [p], finite, higher = more alike.
        same: Bool [p], True = genuine.
        method: "platt" or "isotonic".
        prior: Share of genuine pairs where the probabilities will be used, in (0, 1).
        calibration_identities: As in `choose_threshold`.
        chosen_on: What the calibration data are, in words.
        model_sha256: Hash of the model.

    Returns:
        The calibration.

    Raises:
        TypeError: If scores are not numbers or `same` holds neither truth values nor 0 and 1.
        ValueError: If a kind of pair is missing, an option is unknown or out of range, or all
            scores are equal under "platt".

    Example:
        >>> pairs = [0.9, 0.6, 0.5, 0.4, 0.4, 0.1], [True, True, False, True, False, False]
        >>> [round(p, 3) for p in calibrate(*pairs).probability([0.2, 0.5, 0.8]).tolist()]
        [0.059, 0.566, 0.965]
        >>> stairs = calibrate(*pairs, method="isotonic")
        >>> [round(p, 3) for p in stairs.probability([0.2, 0.5, 0.8]).tolist()]
        [0.333, 0.333, 0.75]

    References:
        Platt (1999), Probabilistic outputs for support vector machines.
        Zadrozny, Elkan (2002), Transforming classifier scores into accurate multiclass probability
        estimates.
    """
    _check_options(method, prior)
    values, flags = checked_pairs(scores, same)
    if method == "platt":
        _check_spread(values)
        knots = _line(values, flags, prior)
        note = _unusual(knots, separable(values, flags))
    else:
        knots, note = _stairs(values, flags), ""
    return Calibration(
        method=method,
        prior=float(prior),
        knots=knots,
        genuine_pairs=int(flags.sum()),
        impostor_pairs=int((~flags).sum()),
        note=note,
        chosen_on=chosen_on,
        model_sha256=model_sha256,
        calibration_identities=identity_hashes("calibration_identities", calibration_identities),
        **provenance(values, flags),
    )


def _check_options(method: str, prior: float) -> None:
    if method not in get_args(Method):
        raise ValueError(
            f"method must be one of {', '.join(get_args(Method))}; got {method!r}; pass one of "
            "them."
        )
    if not 0 < prior < 1:
        raise ValueError(
            f"prior must lie between 0 and 1; got {prior!r}; pass the share of genuine pairs."
        )


def _check_spread(scores: NDArray[np.float64]) -> None:
    if scores.min() == scores.max():
        raise ValueError(
            f"scores must differ to be fitted; got {float(scores[0])!r} throughout; pass "
            "scores that tell pairs apart."
        )


def _line(
    scores: NDArray[np.float64], same: NDArray[np.bool_], prior: float
) -> tuple[tuple[float, float], ...]:
    """Two points of Platt's line, at the lowest and the highest score."""
    ratios = odds_at_ends(scores, same, prior) - log_odds(prior)
    return _points([scores.min(), scores.max()], ratios)


def _unusual(knots: tuple[tuple[float, float], ...], parted: bool) -> str:
    """What to know about Platt's line on these pairs, if anything."""
    notes = []
    if parted:
        notes.append("one threshold parts the calibration pairs, so Platt's targets were taken")
    if knots[1][1] < knots[0][1]:
        notes.append("the line falls: on these pairs higher scores speak against one identity")
    return "; ".join(notes)


def _stairs(
    scores: NDArray[np.float64], same: NDArray[np.bool_]
) -> tuple[tuple[float, float], ...]:
    """Both ends of each pooled step."""
    distinct, impostors, genuine = counted_steps(scores, same)
    end = np.array([0.0, 1.0])  # one genuine pair, and above it one impostor pair
    blocks = pooled(
        np.concatenate([end, impostors, end]), np.concatenate([end[::-1], genuine, end[::-1]])
    )
    ratios = np.log(blocks.genuine / blocks.genuine.sum())
    ratios -= np.log(blocks.impostors / blocks.impostors.sum())
    first = np.maximum(blocks.starts - 2, 0)
    last = np.minimum(np.append(blocks.starts[1:], len(distinct) + 4) - 3, len(distinct) - 1)
    real = first <= last  # not made of added pairs alone
    places = np.stack([distinct[first[real]], distinct[last[real]]], axis=1).ravel()
    distinct_places = np.append(True, places[1:] != places[:-1])
    return _points(places[distinct_places], np.repeat(ratios[real], 2)[distinct_places])


def _points(
    scores: Sequence[float] | NDArray[np.float64], ratios: NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
    return tuple((float(score), float(ratio)) for score, ratio in zip(scores, ratios, strict=True))


def _as_knots(value: Any) -> tuple[tuple[float, float], ...]:
    """Knots as JSON holds them."""
    numbers = isinstance(value, list) and all(
        isinstance(knot, list) and [type(part) for part in knot] == [float, float] for knot in value
    )
    if not numbers:
        raise ValueError(f"knots must be pairs of numbers; got {value!r}; calibrate again.")
    return tuple((score, ratio) for score, ratio in value)
