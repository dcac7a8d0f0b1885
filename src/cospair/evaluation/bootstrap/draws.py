"""What a figure is in every resample of the people, of which intervals are made.

Decisions of this file:
- One seed draws the same people whatever the figure is, so two systems measured on the same people
  are compared resample by resample.
- A resample without genuine pairs or without impostor pairs leaves every figure undefined: NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.resampling import (
    accepted_counts,
    merged_meetings,
    merged_own,
    multiplicities,
)
from cospair.evaluation.inputs import check_resamples

Weights: TypeAlias = NDArray[np.float64]
Figures: TypeAlias = Callable[[Weights, Weights], dict[str, NDArray[np.float64]]]
Progress: TypeAlias = Callable[[int, int], None]

# A matrix of people by people is held whole up to this many cells, 128 MiB, and while a tenth of it
# is in use; beyond, only its pairs.
DENSE_CELLS = 1 << 24
DENSE_SHARE = 0.1


class Draws(NamedTuple):
    """{name: float64 [resamples]}, and why there are none, or ""."""

    values: dict[str, NDArray[np.float64]]
    reason: str


class ClassMeans(NamedTuple):
    """Means over impostor and over genuine pairs, [resamples] each, and why none, or ""."""

    impostors: NDArray[np.float64]
    genuine: NDArray[np.float64]
    reason: str


def curve_draws(
    slots: NDArray[np.int64],
    codes: NDArray[np.int64],
    figures: Figures,
    *,
    counts: NDArray[np.int64] | None = None,
    resamples: int,
    seed: int,
    progress: Progress | None = None,
) -> Draws:
    """Figures of the counts accepted down to each slot; arguments as in `identity_bootstrap`."""
    check_resamples(resamples)
    same = codes[:, 0] == codes[:, 1]
    last_slot, people = int(slots.max()), int(codes.max()) + 1
    own, met = (None, None) if counts is None else (counts[same], counts[~same])
    genuine = merged_own(slots[same], codes[same, 0], last_slot, own)
    impostors = merged_meetings(slots[~same], codes[~same], last_slot, met)
    drawn: dict[str, list[NDArray[np.float64]]] = {
        name: [] for name in figures(*accepted_counts(impostors, genuine, np.ones((1, people))))
    }
    reason = refusal(resamples, len(np.unique(genuine.person)), "genuine pairs")
    if reason:
        return Draws(dict.fromkeys(drawn, np.empty(0)), reason)
    rows = len(genuine.copies) + len(impostors.groups) + 2 * last_slot
    done = 0
    for times in multiplicities(people, rows, resamples=resamples, seed=seed):
        accepted = accepted_counts(impostors, genuine, times)
        undefined = (accepted[0][-1] == 0) | (accepted[1][-1] == 0)
        with np.errstate(divide="ignore", invalid="ignore"):  # undefined resamples become NaN below
            for name, value in figures(*accepted).items():
                drawn[name].append(np.where(undefined, np.nan, value))
        done += len(times)
        if progress is not None:
            progress(done, resamples)
    return Draws({name: np.concatenate(parts) for name, parts in drawn.items()}, "")


def class_mean_draws(
    values: NDArray[np.float64], codes: NDArray[np.int64], *, resamples: int, seed: int
) -> ClassMeans:
    """Means of one value a pair [p], over impostor and over genuine pairs."""
    check_resamples(resamples)
    same = codes[:, 0] == codes[:, 1]
    own = codes[same, 0]
    reason = refusal(resamples, len(np.unique(own)), "genuine pairs")
    if reason:
        return ClassMeans(np.empty(0), np.empty(0), reason)
    people = int(codes.max()) + 1
    own_sum = np.bincount(own, values[same], minlength=people)
    own_count = np.bincount(own, minlength=people)
    met_sum, met_count = (
        _meetings(codes[~same], weights, people) for weights in (values[~same], None)
    )
    impostors, genuine = [], []
    for times in multiplicities(people, 4 * people, resamples=resamples, seed=seed):
        met, found = _quadratic(met_count, times), times @ own_count
        undefined = (met == 0) | (found == 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            impostors.append(np.where(undefined, np.nan, _quadratic(met_sum, times) / met))
            genuine.append(np.where(undefined, np.nan, times @ own_sum / found))
    return ClassMeans(np.concatenate(impostors), np.concatenate(genuine), "")


def mean_draws(
    values: dict[str, NDArray[np.float64]], codes: NDArray[np.int64], *, resamples: int, seed: int
) -> Draws:
    """Means of values [q] whose people are drawn with all they have."""
    check_resamples(resamples)
    people = int(codes.max()) + 1
    reason = refusal(resamples, people, "queries")
    if reason:
        return Draws(dict.fromkeys(values, np.empty(0)), reason)
    size = np.bincount(codes)
    sums = np.stack([np.bincount(codes, weights=value) for value in values.values()], axis=1)
    drawn = [
        (times @ sums) / (times @ size)[:, None]
        for times in multiplicities(people, people, resamples=resamples, seed=seed)
    ]
    return Draws(dict(zip(values, np.concatenate(drawn).T, strict=True)), "")


def refusal(resamples: int, identities: int, what: str) -> str:
    """Why there can be no interval at all, or nothing."""
    if resamples == 0:
        return "no interval: no resamples were asked for"
    if identities < 2:
        return f"no interval: fewer than 2 identities with {what}"
    return ""


def _meetings(
    codes: NDArray[np.int64], weights: NDArray[np.float64] | None, people: int
) -> torch.Tensor:
    """Sum of the weights, or number, of the pairs of every two people, above the diagonal."""
    low, high = codes.min(axis=1), codes.max(axis=1)
    cells = people * people
    if cells <= DENSE_CELLS and len(codes) >= DENSE_SHARE * cells:
        sums = np.bincount(low * people + high, weights, minlength=cells)
        return torch.from_numpy(sums.reshape(people, people).astype(np.float64))
    each = np.ones(len(codes)) if weights is None else weights
    return torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([low, high])),
        torch.from_numpy(each),
        (people, people),
        check_invariants=False,
    ).coalesce()


def _quadratic(matrix: torch.Tensor, times: NDArray[np.float64]) -> NDArray[Any]:
    """The product m A m for each row m of `times`."""
    drawn = torch.from_numpy(times)
    return ((matrix @ drawn.T).T * drawn).sum(dim=1).numpy()
