"""Where scores are cut and what they are worth: applied, or chosen on other people first."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair import evaluation
from cospair.evaluation import Calibration, PairScores, Rule, Threshold
from cospair.evaluation.verification.figures import HELD_PAIRS
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.progress import Bar
from cospair.jobs.subjects import People, Scores, opened


class Scored(NamedTuple):
    """Scored pairs that are held: [p]; identities [p, 2] and rows where they are known."""

    scores: NDArray[np.float64]
    same: NDArray[np.bool_]
    identities: NDArray[Any] | None
    pairs: PairScores | None = None


class OperatingPoint(NamedTuple):
    """A threshold and a calibration, either of which may be missing."""

    threshold: Threshold | None
    calibration: Calibration | None


def scored(subject: People | Scores) -> Scored:
    """Every pair of some people's pictures, or the pairs that came."""
    if isinstance(subject, Scores):
        came = subject.pairs
        return Scored(came.scores, came.same, came.identities)
    pairs = evaluation.pair_scores(subject.rows, subject.codes)
    return Scored(pairs.scores, pairs.same, identities_of(subject, pairs), pairs)


def identities_of(subject: People, pairs: PairScores) -> NDArray[np.int64]:
    """The identity codes of both pictures of each pair, [p, 2]."""
    return np.stack([subject.codes[pairs.first], subject.codes[pairs.second]], axis=1)


def operating_point(subject: People | Scores, plan: EvaluationPlan, bar: Bar) -> OperatingPoint:
    """The threshold and calibration to apply: those asked for, or the run's."""
    if plan.calibrate_on is not None:
        return _chosen(subject, plan, bar)
    if plan.threshold is None:
        return OperatingPoint(subject.origin.threshold, subject.origin.calibration)
    threshold = read_threshold(plan.threshold, model_sha256=_model_of(subject))
    people = _people_of(subject)
    if threshold.calibration_identities and people is not None:
        evaluation.check_apart(threshold, people)
    return OperatingPoint(threshold, None)


def read_threshold(path: str | os.PathLike[str], *, model_sha256: str) -> Threshold:
    """A threshold from its file, for scores of that model ("" where nobody knows whose).

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such file, or of another model.
    """
    threshold = Threshold.from_json(path)
    known = model_sha256 and threshold.model_sha256
    if known and model_sha256 != threshold.model_sha256:
        raise ValueError(
            "threshold must be of the model whose scores it cuts; got one of model "
            f"{threshold.model_sha256[:12]} for model {model_sha256[:12]}; calibrate on this model"
        )
    return threshold


def threshold_section(
    threshold: Threshold | None, found: Scored, plan: EvaluationPlan, seed: int
) -> dict[str, Any] | None:
    """A threshold with where it comes from, and its rates on the test pairs."""
    if threshold is None:
        return None
    rates = evaluation.rates_at(
        found.scores,
        found.same,
        threshold.threshold,
        identities=found.identities,
        resamples=plan.resamples,
        seed=seed,
    )
    return {**threshold_card(threshold), "test": rates}


def threshold_card(threshold: Threshold) -> dict[str, Any]:
    """The fields of an artefact as a result holds them: lists, and no hashes of people."""
    fields = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(threshold).items()
        if name != "calibration_identities"
    }
    return {**fields, "calibration": threshold.calibration}


def calibration_section(
    calibration: Calibration | None, found: Scored, plan: EvaluationPlan, seed: int
) -> dict[str, Any] | None:
    """What the calibration's probabilities are worth on the test pairs."""
    if calibration is None:
        return None
    return evaluation.calibration_figures(
        calibration,
        found.scores,
        found.same,
        identities=found.identities,
        resamples=plan.resamples,
        seed=seed,
    )


def choose(found: Scored, rule: Rule, far_target: float | None, **made_on: Any) -> Threshold:
    """A threshold from scored pairs; `made_on` is what the artefact says about them."""
    return evaluation.choose_threshold(
        found.scores,
        found.same,
        rule=rule,
        far_target=far_target,
        identities=found.identities,
        **made_on,
    )


def calibration_pairs(others: People | Scores) -> tuple[Scored, dict[str, Any]]:
    """The pairs of some people, and what an artefact that is made on them says about them."""
    _check_held(others)
    found = scored(others)
    return found, {
        "calibration_identities": _people_of(others),
        "chosen_on": _words(others, found),
        "model_sha256": _model_of(others),
    }


def _chosen(subject: People | Scores, plan: EvaluationPlan, bar: Bar) -> OperatingPoint:
    """A threshold and a calibration from other people's pairs."""
    assert plan.calibrate_on is not None
    others = opened(plan.calibrate_on, plan, bar)
    if isinstance(others, Scores) != isinstance(subject, Scores):
        raise ValueError(
            "calibrate_on must be of the source's kind; got scores beside embeddings or pictures; "
            "name the same kind of file"
        )
    found, made_on = calibration_pairs(others)
    threshold = choose(found, *plan.chosen_rule, **made_on)
    tested = _people_of(subject)
    if threshold.calibration_identities and tested is not None:
        evaluation.check_apart(threshold, tested)
    return OperatingPoint(threshold, evaluation.calibrate(found.scores, found.same, **made_on))


def _check_held(others: People | Scores) -> None:
    """Refuse more pictures to choose on than have pairs that can be held."""
    if isinstance(others, Scores) or len(others) * (len(others) - 1) // 2 <= HELD_PAIRS:
        return
    raise ValueError(
        f"a threshold must be chosen on at most {HELD_PAIRS:,} pairs; got {len(others):,} "
        "pictures; name fewer people"
    )


def _model_of(subject: People | Scores) -> str:
    """The hash of the model whose scores these are, or ""."""
    return (subject.origin.model or {}).get("sha256", "")


def _people_of(subject: People | Scores) -> NDArray[Any] | None:
    """The people of a subject by the names its source gives them, where it does."""
    if isinstance(subject, People):
        return subject.labels
    identities = subject.pairs.identities
    return None if identities is None else identities.ravel()


def _words(subject: People | Scores, found: Scored) -> str:
    name = subject.origin.data["name"]
    if isinstance(subject, Scores):
        return f"{len(found.scores):,} pairs of {name}"
    return f"{len(subject.identities):,} people of {name}, {len(subject):,} pictures"
