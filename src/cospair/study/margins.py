"""What the margin does to the separation: both forms of the loss, margin by margin.

Decisions of this file:
- The sweep trains every pair of P x K batches on the first split, and looks at the scores of its
  held-out people: their histograms, their means, and the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cospair.evaluation import pair_scores
from cospair.evaluation.folds import fold_figures, over_folds
from cospair.study.material import Material, Rows
from cospair.study.trials import Outcome, Trial

MARGINS = (-1.0, -0.5, -0.25, 0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
BINS = 40


def margin_trials(margins: Sequence[float], train: Rows, held: Rows, seed: int) -> Iterator[Trial]:
    """Both forms of the loss at each margin."""
    for margin in margins:
        torch_form = {"margin": margin, "positive_margin": 1.0}
        symmetric = {"margin": margin, "positive_margin": margin}
        yield Trial("all-pairs-torch", torch_form, train, held, seed)
        yield Trial("all-pairs-symmetric", symmetric, train, held, seed)


def margin_sweep(
    material: Material, trial: Trial, outcome: Outcome, resamples: int, seed: int
) -> dict[str, Any]:
    """One margin's row: figures, mean scores and histograms of the held-out people."""
    labels = material.labels[trial.held]
    pairs = pair_scores(outcome.embeddings, labels)
    edges = np.linspace(-1, 1, BINS + 1)
    kinds = {"genuine": pairs.scores[pairs.same], "impostor": pairs.scores[~pairs.same]}
    return {
        "form": "1 - s" if trial.contender == "all-pairs-torch" else "symmetric hinge",
        **trial.settings,
        "figures": over_folds(
            [fold_figures(outcome.embeddings, labels, resamples=resamples, seed=seed)]
        ),
        **{f"{kind}_mean": float(scores.mean()) for kind, scores in kinds.items()},
        **{f"{kind}_std": float(scores.std()) for kind, scores in kinds.items()},
        "edges": edges.tolist(),
        **{
            f"{kind}_counts": np.histogram(scores.clip(-1, 1), edges)[0].tolist()
            for kind, scores in kinds.items()
        },
    }
