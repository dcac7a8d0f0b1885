"""The sections of a result, from what is evaluated and how it was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair import evaluation
from cospair.data import LfwPairs
from cospair.evaluation import PairScores
from cospair.evaluation.inputs import unit_rows
from cospair.evaluation.verification.figures import HELD_PAIRS
from cospair.evaluation.verification.pairs import SCORE_DECIMALS, TILE_CELLS
from cospair.jobs.large_sets import rates_over_all
from cospair.jobs.operating_point import (
    OperatingPoint,
    Scored,
    calibration_section,
    identities_of,
    operating_point,
    scored,
    threshold_card,
    threshold_section,
)
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.progress import Bar
from cospair.jobs.subjects import People, Scores

MOST_HARD = 60


def sections_of_scores(
    subject: Scores, plan: EvaluationPlan, seed: int, bar: Bar
) -> dict[str, Any]:
    """Sections for pairs that came as scores."""
    found, point = scored(subject), operating_point(subject, plan, bar)
    return {
        "verification": _pair_figures(found, plan, seed, bar),
        "retrieval": None,
        "open_set": None,
        "threshold": threshold_section(point.threshold, found, plan, seed),
        "calibration": calibration_section(point.calibration, found, plan, seed),
        "hard_pairs": None,
    }


def sections_of_lfw(
    subject: People, pairs: LfwPairs, plan: EvaluationPlan, seed: int, bar: Bar
) -> dict[str, Any]:
    """Sections for the pairs of a file in LFW's form, in its order."""
    scores = scores_of(subject.rows, pairs.first, pairs.second)
    listed = PairScores(scores, pairs.same, pairs.first, pairs.second)
    found = Scored(scores, pairs.same, identities_of(subject, listed), listed)
    point = operating_point(subject, plan, bar)
    verification = _pair_figures(found, plan, seed, bar)
    return {
        "verification": {**verification, "pictures": len(subject)},
        "lfw": None
        if pairs.folds is None
        else evaluation.lfw_protocol(scores, pairs.same, folds=pairs.folds),
        "retrieval": None,
        "open_set": None,
        "threshold": threshold_section(point.threshold, found, plan, seed),
        "calibration": calibration_section(point.calibration, found, plan, seed),
        "hard_pairs": _hard_pairs(subject, listed),
    }


def sections_of_people(
    subject: People,
    gallery: People | None,
    every: People,
    plan: EvaluationPlan,
    seed: int,
    bar: Bar,
) -> dict[str, Any]:
    """Sections for embeddings, each looked up in all others or in a gallery.

    Verification is over all pairs of `every`, the queries and the gallery taken together.
    """
    point = operating_point(every, plan, bar)
    held = len(every) * (len(every) - 1) // 2 <= HELD_PAIRS
    return {
        **(_sections_of_held if held else _sections_of_many)(every, point, plan, seed, bar),
        "retrieval": _retrieval(subject, gallery, plan, seed, bar),
        "open_set": _open_set(subject, gallery, point, plan, seed, bar),
    }


def _sections_of_held(
    every: People, point: OperatingPoint, plan: EvaluationPlan, seed: int, bar: Bar
) -> dict[str, Any]:
    """Sections over all pairs, which are held."""
    found = scored(every)
    assert found.pairs is not None
    return {
        "verification": {**_pair_figures(found, plan, seed, bar), "pictures": len(every)},
        "threshold": threshold_section(point.threshold, found, plan, seed),
        "calibration": calibration_section(point.calibration, found, plan, seed),
        "hard_pairs": _hard_pairs(every, found.pairs),
    }


def _sections_of_many(
    every: People, point: OperatingPoint, plan: EvaluationPlan, seed: int, bar: Bar
) -> dict[str, Any]:
    """Sections over all pairs, which are counted as they pass; a calibration would need them."""
    verification = evaluation.all_pairs_figures(
        every.rows,
        every.codes,
        far=plan.far_targets,
        resamples=plan.resamples,
        seed=seed,
        progress=bar("verification"),
        hardest=MOST_HARD,
    )
    hardest = verification.pop("hardest")
    threshold = point.threshold
    return {
        "verification": verification,
        "threshold": None
        if threshold is None
        else {
            **threshold_card(threshold),
            "test": rates_over_all(
                every.rows, every.codes, threshold.threshold, bar("rates at the threshold")
            ),
        },
        "calibration": None,
        "hard_pairs": {
            kind: [_named(every, pair) for pair in pairs] for kind, pairs in hardest.items()
        },
    }


def _named(people: People, pair: dict[str, Any]) -> dict[str, Any]:
    """A pair of rows with the identities of both."""
    sides = {side: people.identities[people.codes[pair[side]]] for side in ("first", "second")}
    return _with_names(people, {**pair, **{f"{side}_identity": who for side, who in sides.items()}})


def _with_names(people: People, pair: dict[str, Any]) -> dict[str, Any]:
    """A pair of rows with the names of both pictures, where they have names."""
    if people.names is None:
        return pair
    names = {f"{side}_name": str(people.names[pair[side]]) for side in ("first", "second")}
    return {**pair, **names}


def _pair_figures(found: Scored, plan: EvaluationPlan, seed: int, bar: Bar) -> dict[str, Any]:
    return evaluation.pair_figures(
        found.scores,
        found.same,
        identities=found.identities,
        far=plan.far_targets,
        resamples=plan.resamples,
        seed=seed,
        progress=bar("verification"),
    )


def _hard_pairs(people: People, pairs: PairScores) -> dict[str, Any]:
    found = evaluation.hardest_pairs(pairs, people.codes, people.identities, most=MOST_HARD)
    return {kind: [_with_names(people, pair) for pair in pairs] for kind, pairs in found.items()}


def _retrieval(
    subject: People, gallery: People | None, plan: EvaluationPlan, seed: int, bar: Bar
) -> dict[str, Any]:
    options = {"resamples": plan.resamples, "seed": seed, "progress": bar("retrieval")}
    if gallery is None:
        return evaluation.retrieval_figures(
            subject.rows, subject.labels, cameras=subject.cameras, **options
        )
    sides = (subject.rows, subject.labels, gallery.rows, gallery.labels)
    cameras = _cameras(subject, gallery)
    found = evaluation.retrieval_figures(*sides, cameras=cameras, **options)
    options["progress"] = bar("one picture of each identity")
    return {
        **found,
        "single_gallery_shot": evaluation.single_gallery_shot(*sides, cameras=cameras, **options),
    }


def _cameras(subject: People, gallery: People) -> tuple[Any, Any] | None:
    """The cameras of both sides, or of neither."""
    if (subject.cameras is None) != (gallery.cameras is None):
        without = "the gallery" if gallery.cameras is None else "the source"
        raise ValueError(
            f"cameras must be known of the source and the gallery, or of neither; got none of "
            f"{without}; add or leave out the column"
        )
    if subject.cameras is None or gallery.cameras is None:
        return None
    return subject.cameras, gallery.cameras


def _open_set(
    subject: People,
    gallery: People | None,
    point: OperatingPoint,
    plan: EvaluationPlan,
    seed: int,
    bar: Bar,
) -> dict[str, Any] | None:
    """Open-set identification, where some queries are enrolled in a gallery and some are not."""
    if gallery is None:
        return None
    enrolled = np.isin(subject.labels, gallery.labels)
    if enrolled.all() or not enrolled.any():
        return None
    return evaluation.open_set_figures(
        subject.rows,
        subject.labels,
        gallery.rows,
        gallery.labels,
        thresholds=() if point.threshold is None else (point.threshold.threshold,),
        resamples=plan.resamples,
        seed=seed,
        progress=bar("open set"),
    )


def scores_of(rows: Any, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[Any]:
    """Cosine similarities [p] of some pairs of rows, rounded as those of all pairs are."""
    unit = unit_rows("embeddings", rows)
    scores, step = np.empty(len(first)), max(1, TILE_CELLS // unit.shape[1])
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        scores[part] = (unit[first[part]] * unit[second[part]]).sum(axis=1)
    return np.round(np.clip(scores, -1.0, 1.0), SCORE_DECIMALS) + 0.0
