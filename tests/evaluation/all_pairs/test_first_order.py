"""The bootstrap of counted pairs against the same sums over pairs one by one."""

import numpy as np
import pytest
import torch

from cospair.evaluation import all_pairs_figures
from cospair.evaluation.all_pairs.first_order import GRID, _figures, grid_over, intervals_over
from cospair.evaluation.bootstrap.resampling import multiplicities
from cospair.evaluation.verification.roc import auc, equal_error_rate
from cospair.kernels.tallies import Cells

PEOPLE, BINS = 16, 9


def pairs_of(seed: int):
    """Identities of pairs, and the bin of each: low bins for impostors, high ones for genuine."""
    rng = np.random.default_rng(seed)
    people = np.array([(a, b) for a in range(PEOPLE) for b in range(a, PEOPLE) for _ in range(6)])
    same = people[:, 0] == people[:, 1]
    bins = np.clip(rng.normal(np.where(same, 5.5, 3), 1.5, len(people)).round(), 0, BINS - 1)
    return people, same, bins.astype(int)


def by_person(people, bins, kind):
    out = np.zeros((PEOPLE, BINS), np.int64)
    for side in (0, 1):
        np.add.at(out, (people[kind, side], bins[kind]), 1)
    return out


def test_weights_are_those_of_pairs_to_first_order():
    people, same, bins = pairs_of(0)
    impostors, genuine = (by_person(people, bins, kind) for kind in (~same, same))
    exact = {"auc": 0.9, "eer": 0.1, "tar": 0.8}
    found = intervals_over(impostors, genuine, exact, [("tar", 0.05)], resamples=200, seed=3)
    drawn = {name: [] for name in exact}
    whole = None
    blocks = multiplicities(PEOPLE, PEOPLE + 8 * BINS, resamples=200, seed=3)
    for times in [np.ones(PEOPLE), *np.concatenate(list(blocks))]:
        weights = np.where(same, times[people[:, 0]], times[people].sum(axis=1) - 1)
        kinds = []
        for kind in (~same, same):
            sums = np.bincount(bins[kind], weights[kind], minlength=BINS)[::-1]
            kinds.append(sums.clip(min=0)[:, None])
        figures = _figures(kinds[0], kinds[1], [("tar", 0.05)])
        if whole is None:
            whole = figures
            continue
        for name, value in figures.items():
            drawn[name].append(np.clip(value[0] + exact[name] - whole[name][0], 0, 1))
    for name, values in drawn.items():
        # sums of whole numbers, divided and interpolated in another order
        expected = np.quantile(values, [0.025, 0.975])
        assert found["intervals"][name] == pytest.approx(expected.tolist(), abs=1e-12)


def test_figures_of_a_grid_as_fine_as_the_scores_are_exact():
    _, same, bins = pairs_of(1)
    kinds = [
        np.bincount(bins[kind], minlength=BINS)[::-1, None].astype(float) for kind in (~same, same)
    ]
    found = _figures(kinds[0], kinds[1], [("tar", 1.0), ("tar0", 1e-9)])
    scores = bins.astype(float)
    assert found["auc"][0] == pytest.approx(auc(scores, same), abs=1e-12)
    assert found["eer"][0] == pytest.approx(equal_error_rate(scores, same)["eer"], abs=1e-12)
    assert found["tar"][0] == 1.0


@pytest.mark.parametrize(
    ("resamples", "people", "reason"),
    [
        (0, PEOPLE, "no interval: no resamples were asked for"),
        (100, 1, "no interval: fewer than 2 identities with genuine pairs"),
    ],
)
def test_no_interval_without_a_reason(resamples, people, reason):
    ones = np.ones((people, 3), np.int64)
    exact = {"auc": 0.5, "eer": 0.5}
    found = intervals_over(ones, 2 * ones, exact, [], resamples=resamples, seed=0)
    assert found["intervals"] == {"auc": None, "eer": None}
    assert found["notes"] == {"auc": reason, "eer": reason}


def test_a_grid_is_denser_where_few_impostors_are():
    cells = Cells(-1000, 1, 2001)
    sample = np.sort(np.random.default_rng(0).normal(0, 100, 100_000).round())
    bins = grid_over(cells, sample, 50)
    assert bins.dtype == torch.int32
    assert bins[0] == 0
    assert bool((bins.diff() >= 0).all())
    assert bool((bins.diff() <= 1).all())
    assert GRID / 2 < int(bins.max()) < GRID
    above = torch.from_numpy(sample).max().item()
    far = [(sample >= start).mean() for start in np.unique(np.linspace(150, above, 50))]
    assert len(set(bins[[1000 + int(x) for x in np.linspace(150, above, 50)]].tolist())) > 30
    assert min(far) < 1e-3


def test_many_identities_get_a_coarser_grid():
    cells = Cells(-1000, 1, 2001)
    sample = np.arange(-500.0, 500.0)
    assert int(grid_over(cells, sample, 1 << 20).max()) < int(grid_over(cells, sample, 10).max())
    assert int(grid_over(cells, np.empty(0), 10).max()) > 0


def test_few_people_and_one_who_meets_most_have_no_interval():
    rng = np.random.default_rng(0)
    for labels, reason in (
        (np.repeat(np.arange(14), 10), "14 identities are too few"),
        (np.append(np.repeat(np.arange(30), 5), np.full(150, 30)), "one identity takes part in"),
    ):
        found = all_pairs_figures(rng.normal(size=(len(labels), 8)), labels, resamples=100)
        assert found["auc_interval"] is None
        assert found["eer_interval"] is None
        assert all(reason in note for note in found["interval"]["notes"].values())


def test_resamples_without_genuine_pairs_are_undefined():
    rng = np.random.default_rng(0)
    labels = np.concatenate([[0, 0, 1, 1], np.arange(2, 22)])  # two people have genuine pairs
    found = all_pairs_figures(rng.normal(size=(24, 8)), labels, resamples=200)
    notes = found["interval"]["notes"]
    assert "undefined in" in notes["auc"]
    assert "undefined in" in notes["eer"]
