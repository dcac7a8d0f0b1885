"""Identity bootstrap of a curve whose pairs are only counted: to first order, on a grid.

With m(a) draws of identity a, an impostor pair of a and b weighs m(a) m(b). To first order that is
m(a) + m(b) - 1, so all impostors above a threshold t weigh

    sum over a of (m(a) - 1) * impostors(a, t)  +  impostors(t),

where impostors(a, t) are those that a takes part in. What is left out, (m(a) - 1)(m(b) - 1), is
small where every identity meets many. Genuine pairs weigh m(a), exactly.

Decisions of this file:
- Under LEAST_PEOPLE identities, or where one takes part in more than MOST_SHARE of the impostor
  pairs, what is left out is not small and there is no interval.
- Figures of a resample come from the grid, its points joined by straight lines. An interval is
  moved by the exact figure less the grid's figure of the data, so the grid's own error cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Draws, refusal
from cospair.evaluation.bootstrap.intervals import percentile_intervals
from cospair.evaluation.bootstrap.resampling import multiplicities
from cospair.kernels.tallies import Cells

NAME = "identity bootstrap, first order on a grid of thresholds"
LEAST_PEOPLE = 15
MOST_SHARE = 0.2
GRID = 256
GRID_CELLS = 1 << 25  # identities times thresholds, at most: fewer thresholds for many identities
LEAST_GRID = 32


def grid_over(cells: Cells, sample: NDArray[np.float64], people: int) -> torch.Tensor:
    """The bin of each cell, int32: by the sample, half of them denser towards FAR 0."""
    most = min(GRID, max(LEAST_GRID, GRID_CELLS // people))
    even = np.linspace(0, 1, most // 2)[:-1]
    rare = np.geomspace(1 / max(len(sample), 2), 1, most // 4)
    keys = np.quantile(sample, np.concatenate([even, 1 - rare])) if len(sample) else np.zeros(1)
    # beyond the sample's highest score even steps: genuine pairs are there
    beyond = np.linspace(keys.max(), cells.low + cells.width * cells.size, most // 4)
    starts = cells.number(torch.from_numpy(np.concatenate([keys, beyond]))).unique()
    numbers = torch.arange(cells.size)
    return torch.searchsorted(starts[starts > 0], numbers, right=True).to(torch.int32)


def intervals_over(
    impostors: NDArray[np.int64],
    genuine: NDArray[np.int64],
    exact: Mapping[str, float | None],
    far: Sequence[tuple[str, float]],
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Intervals of "auc", "eer" and TAR at each FAR, by name, around the exact figures.

    impostors and genuine [people, bins] count every pair under both of its people.
    """
    reason = refusal(resamples, int((genuine.sum(axis=1) > 0).sum()), "genuine pairs")
    reason = reason or _too_coarse(impostors)
    if reason:
        return percentile_intervals(Draws(dict.fromkeys(exact, np.empty(0)), reason))
    met, own = (each[:, ::-1].astype(np.float64) for each in (impostors, genuine / 2))
    people, bins = met.shape
    whole = _figures(met.sum(axis=0)[:, None] / 2, own.sum(axis=0)[:, None], far)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in exact}
    for times in multiplicities(people, people + 8 * bins, resamples=resamples, seed=seed):
        # as with held pairs: no impostors of one person, no genuine pairs of nobody drawn
        undefined = ((times > 0).sum(axis=1) < 2) | (times @ own.sum(axis=1) == 0)
        weights = (times @ met - met.sum(axis=0) / 2).T.clip(min=0)
        for name, values in _figures(weights, (times @ own).T, far).items():
            figure = exact[name]
            moved = values + (0.0 if figure is None else figure) - whole[name]
            drawn[name].append(np.where(undefined, np.nan, moved.clip(0, 1)))
    return percentile_intervals(Draws({n: np.concatenate(v) for n, v in drawn.items()}, ""))


def _too_coarse(impostors: NDArray[np.int64]) -> str:
    """Why first-order weights would mislead, or nothing."""
    met = impostors.sum(axis=1)
    people, share = int((met > 0).sum()), 2 * float(met.max() / max(met.sum(), 1))
    if people < LEAST_PEOPLE:
        return f"no interval: {people} identities are too few for weights of first order"
    if share > MOST_SHARE:
        return f"no interval: one identity takes part in {share:.0%} of the impostor pairs"
    return ""


def _figures(
    impostors: NDArray[np.float64],
    genuine: NDArray[np.float64],
    far: Sequence[tuple[str, float]],
) -> dict[str, NDArray[np.float64]]:
    """Figures [b] of pairs in bins [bins, b], highest bin first; NaN where a kind is missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        false, true = (
            np.concatenate([np.zeros((1, each.shape[1])), each.cumsum(axis=0)]) / each.sum(axis=0)
            for each in (impostors, genuine)
        )
    area = (np.diff(false, axis=0) * (true[1:] + true[:-1])).sum(axis=0) / 2
    columns = range(false.shape[1])
    # along a curve FAR - FRR and FAR only rise
    errors = [np.interp(0.0, false[:, b] + true[:, b] - 1, false[:, b]) for b in columns]
    rates = {
        name: np.array([np.interp(target, false[:, b], true[:, b]) for b in columns])
        for name, target in far
    }
    return {"auc": area, "eer": np.array(errors), **rates}
