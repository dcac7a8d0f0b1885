import numpy as np
import torch
from study.material import LABELS, over_features

from cospair.evaluation.folds import fold_figures, over_folds
from cospair.study.margins import BINS, MARGINS, margin_sweep, margin_trials
from cospair.study.trials import Outcome

TRAIN, HELD = np.flatnonzero(LABELS < 8), np.flatnonzero(LABELS >= 8)


def test_both_forms_are_trained_at_each_margin():
    trials = list(margin_trials(MARGINS, TRAIN, HELD, 3))
    assert len(trials) == 2 * len(MARGINS)
    for margin, torch_form, symmetric in zip(MARGINS, trials[::2], trials[1::2], strict=True):
        assert torch_form.settings == {"margin": margin, "positive_margin": 1.0}
        assert symmetric.settings == {"margin": margin, "positive_margin": margin}
    assert {trial.contender for trial in trials} == {"all-pairs-torch", "all-pairs-symmetric"}
    assert {trial.seed for trial in trials} == {3}


def test_a_row_holds_what_the_scores_are():
    trial = next(margin_trials((0.25,), TRAIN, HELD, 0))
    x = torch.randn(len(HELD), 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    row = margin_sweep(over_features(), trial, Outcome(x, 1.0, 1.0, 1.0, []), 100, 7)
    unit = torch.nn.functional.normalize(x, dim=1)
    labels = LABELS[HELD]
    first, second = np.triu_indices(len(HELD), 1)
    scores = (unit @ unit.T).numpy()[first, second]
    same = labels[first] == labels[second]
    for kind, own in (("genuine", scores[same]), ("impostor", scores[~same])):
        np.testing.assert_allclose(row[f"{kind}_mean"], own.mean(), rtol=1e-6)  # float32 scores
        np.testing.assert_allclose(row[f"{kind}_std"], own.std(), rtol=1e-6)
        assert sum(row[f"{kind}_counts"]) == len(own)
        assert row[f"{kind}_counts"] == np.histogram(own, row["edges"])[0].tolist()
    assert len(row["edges"]) == BINS + 1
    assert (row["form"], row["margin"], row["positive_margin"]) == ("1 - s", 0.25, 1.0)
    assert row["figures"] == over_folds([fold_figures(x, labels, resamples=100, seed=7)])
