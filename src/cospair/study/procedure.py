"""The comparison: every loss on the same people, settings chosen on others, differences paired.

Decisions of this file:
- Identities are cut into folds; a fold's people are the test, the others train. Settings are chosen
  by the AUC on a quarter of the training people, kept out of those trainings; the chosen one is
  then trained on all training people. No test person chooses anything.
- Every loss is held against one reference. A difference is real where its 95 % interval, from the
  same people drawn for both, lies on one side of 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cospair.data import identity_folds, split_identities
from cospair.evaluation import auc, pair_scores
from cospair.evaluation.folds import FoldFigures, compare_over_folds, fold_figures, over_folds
from cospair.study.contenders import CONTENDERS, Contender, Settings
from cospair.study.margins import MARGINS, margin_sweep, margin_trials
from cospair.study.material import BASELINES, Material, Rows
from cospair.study.trials import Outcome, Trial, outcome_of

Say = Callable[[int, int], None]

VALIDATION_SHARE = 0.25
FAR = (1e-2,)


@dataclass(frozen=True)
class StudyPlan:
    """What is compared, checked when given.

    Args:
        contenders: Keys of the losses, each known and installed.
        reference: The one that all others are held against; one of them.
        folds: Parts that the identities are cut into, at least 2.
        splits: How many of the folds are tested, from 1 to all.
        margins: Margins of the sweep, in [-1, 1]; () for none.
        resamples: Of the identity bootstrap: 0 or at least 100.
        seed: At least 0.

    Raises:
        ValueError: If an option is outside its range.
    """

    contenders: tuple[str, ...]
    reference: str
    folds: int = 4
    splits: int = 4
    margins: tuple[float, ...] = MARGINS
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every option before anything is trained."""
        for key in self.contenders:
            if key not in CONTENDERS:
                raise ValueError(
                    f"loss must be one of {', '.join(CONTENDERS)}; got {key!r}; check the spelling"
                )
            if CONTENDERS[key].unavailable:
                raise ValueError(
                    f"loss {key!r} cannot be compared here: {CONTENDERS[key].unavailable}"
                )
        if self.reference not in self.contenders:
            raise ValueError(
                f"reference must be among the losses compared; got {self.reference!r}; add it"
            )
        if self.folds < 2 or not 1 <= self.splits <= self.folds:
            raise ValueError(
                f"splits must be from 1 to the number of folds, which is at least 2; got "
                f"{self.splits} of {self.folds}; change one"
            )
        if self.resamples != 0 and self.resamples < 100:
            raise ValueError(
                f"resamples must be 0 (no intervals) or at least 100; got {self.resamples}; choose "
                "one of them"
            )
        for margin in self.margins:
            if not -1 <= margin <= 1:
                raise ValueError(f"margins must lie in [-1, 1]; got {margin:g}; choose others")


class _Progress:
    """Counts trials and, because those of a large test set take as long, their figures."""

    def __init__(self, of: int, say: Say | None) -> None:
        self.done, self.of, self.say = 0, of, say

    def step(self) -> None:
        self.done += 1
        if self.say is not None:
            self.say(self.done, self.of)


def compared_losses(
    material: Material, plan: StudyPlan, folder: Path, say: Say | None = None
) -> dict[str, Any]:
    """Train, choose, test and compare.

    Args:
        material: What every trial learns from.
        plan: What is compared.
        folder: Where finished trials are kept and found again.
        say: Called with (trials and figures done, how many there are in all).

    Returns:
        {"folds", "splits", "validation_share", "reference", "contenders" (list), "baselines"
        (list), "margins" (list)}; every contender with its settings tried and chosen, figures with
        intervals, difference to the reference, seconds and learning curve.

    Raises:
        ValueError: If there are too few people for the folds.
    """
    splits = _splits(material, plan)
    progress = _Progress(_work(plan, material), say)
    tested = {
        key: [
            _tested(key, material, train, held, plan.seed + number, folder, progress)
            for number, (train, held) in enumerate(splits)
        ]
        for key in plan.contenders
    }
    figures = {
        key: [
            _figures(material, held, run.outcome.embeddings, plan, number, progress)
            for number, ((_, held), run) in enumerate(zip(splits, runs, strict=True))
        ]
        for key, runs in tested.items()
    }
    baselines = {
        name: [
            _figures(material, held, represent(material, train, held), plan, number, progress)
            for number, (train, held) in enumerate(splits)
        ]
        for name, represent in BASELINES[material.config.encoder].items()
    }
    reference = figures[plan.reference]
    margins = []
    for trial in margin_trials(plan.margins, *splits[0], plan.seed):
        outcome = outcome_of(trial, material, folder)
        margins.append(margin_sweep(material, trial, outcome, plan.resamples, plan.seed))
        progress.step()
    return {
        "folds": plan.folds,
        "splits": plan.splits,
        "validation_share": VALIDATION_SHARE,
        "reference": plan.reference,
        "test_identities": len(np.unique(material.labels[np.concatenate([h for _, h in splits])])),
        "contenders": [
            {
                "key": key,
                **_told(CONTENDERS[key], material, tested[key]),
                "figures": over_folds(figures[key]),
                "against_reference": compare_over_folds(reference, figures[key])
                if key != plan.reference
                else None,
            }
            for key in plan.contenders
        ],
        "baselines": [
            {
                "name": name,
                "figures": over_folds(found),
                "against_reference": compare_over_folds(reference, found),
            }
            for name, found in baselines.items()
        ],
        "margins": margins,
    }


@dataclass(frozen=True)
class _Run:
    """A loss on one split: what was tried, what was chosen, what it left."""

    tried: list[dict[str, Any]]  # of {"settings", "validation_auc"}
    chosen: Settings
    outcome: Outcome


def _splits(material: Material, plan: StudyPlan) -> Sequence[tuple[Rows, Rows]]:
    people = len(np.unique(material.labels))
    if people < 2 * plan.folds or people // plan.folds * (plan.folds - 1) < 4:
        raise ValueError(
            f"a comparison needs at least 2 identities a fold and 4 to train on; got {people} in "
            f"{plan.folds} folds; add pictures of more people or ask for fewer folds"
        )
    return identity_folds(material.labels, plan.folds, seed=plan.seed)[: plan.splits]


def _work(plan: StudyPlan, material: Material) -> int:
    tried = [len(CONTENDERS[key].settings_for(material.recipe)) for key in plan.contenders]
    each = [number + (number > 1) for number in tried]
    figures = len(plan.contenders) + len(BASELINES[material.config.encoder])
    return plan.splits * (sum(each) + figures) + 2 * len(plan.margins)


def _tested(
    key: str,
    material: Material,
    train: Rows,
    held: Rows,
    seed: int,
    folder: Path,
    progress: _Progress,
) -> _Run:
    settings = CONTENDERS[key].settings_for(material.recipe)
    tried: list[dict[str, Any]] = []
    if len(settings) > 1:
        fit, validation = inner_split(material.labels, train, seed)
        for setting in settings:
            trial = Trial(key, setting, fit, validation, seed)
            rows = outcome_of(trial, material, folder).embeddings
            pairs = pair_scores(rows, material.labels[validation])
            found = auc(pairs.scores, pairs.same)
            tried.append({"settings": dict(setting), "validation_auc": found})
            progress.step()
    best = int(np.argmax([one["validation_auc"] for one in tried])) if tried else 0
    final = Trial(key, settings[best], train, held, seed, curve=True)
    run = _Run(tried, settings[best], outcome_of(final, material, folder))
    progress.step()
    return run


def inner_split(labels: Rows, train: Rows, seed: int) -> tuple[Rows, Rows]:
    """Rows to fit a setting on, and rows of other training people to judge it by, at least two."""
    people = len(np.unique(labels[train]))
    held = max(2, math.floor(VALIDATION_SHARE * people + 0.5))
    fit, validation = split_identities(labels[train], test=held, seed=seed)
    return train[fit], train[validation]


def _figures(
    material: Material,
    held: Rows,
    embeddings: Any,
    plan: StudyPlan,
    number: int,
    progress: _Progress,
) -> FoldFigures:
    found = fold_figures(
        embeddings,
        material.labels[held],
        far=FAR,
        resamples=plan.resamples,
        seed=plan.seed + number,
    )
    progress.step()
    return found


def _told(contender: Contender, material: Material, runs: Sequence[_Run]) -> dict[str, Any]:
    return {
        "name": contender.name,
        "family": contender.family,
        "settings_tried": [dict(setting) for setting in contender.settings_for(material.recipe)],
        "splits": [
            {
                "tried": run.tried,
                "chosen": dict(run.chosen),
                "seconds": run.outcome.seconds,
                "loss_ms": run.outcome.loss_ms,
                "pictures_per_second": run.outcome.pictures_per_second,
                "curve": run.outcome.curve,
            }
            for run in runs
        ],
        "seconds": float(np.median([run.outcome.seconds for run in runs])),
        "loss_ms": float(np.median([run.outcome.loss_ms for run in runs])),
        "pictures_per_second": float(np.median([run.outcome.pictures_per_second for run in runs])),
    }
