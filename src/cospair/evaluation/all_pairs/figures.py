"""Verification figures over all pairs of a set too large for its pairs to be held.

Decisions of this file:
- Time grows with the pairs, memory with the pictures: one sweep over the impostor pairs, one over
  the genuine ones, and a second over the impostors where a threshold fell outside what a sample of
  the pairs foretold. From HELD genuine pairs on, one sweep over all impostors for so many of them.
- Figures and thresholds are exact. The ROC is drawn through exact points; the histogram's edges
  are steps of the counting, not the lowest and the highest score.
- Intervals: the bootstrap over identities, impostor pairs weighed to first order in how often an
  identity is drawn (m(a) + m(b) - 1 for m(a) m(b)), on a grid of thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cospair.evaluation.all_pairs.crossings import (
    CAPACITY,
    Crossed,
    Search,
    collected,
    curves_at,
    guessed_windows,
)
from cospair.evaluation.all_pairs.first_order import NAME, grid_over, intervals_over
from cospair.evaluation.all_pairs.score_axis import (
    CELLS,
    HELD,
    KEYS,
    LATTICE,
    Corners,
    Guess,
    Keys,
    ScoreAxis,
    Stretch,
    checked_rows,
)
from cospair.evaluation.bootstrap.draws import Progress
from cospair.evaluation.bootstrap.intervals import account
from cospair.evaluation.inputs import (
    Array,
    check_both_kinds,
    check_most,
    check_resamples,
    check_share,
)
from cospair.evaluation.verification.curves import (
    Curve,
    equal_error,
    equal_error_threshold,
    operating_point,
)
from cospair.evaluation.verification.drawing import HISTOGRAM_BINS, drawn_curve
from cospair.evaluation.verification.exact import share, sum_of_products
from cospair.evaluation.verification.summary import tar_name, with_interval
from cospair.kernels.tallies import Cells, Request, Tallied, cells_over

EER = "eer"


def all_pairs_figures(
    embeddings: Array,
    labels: Array,
    *,
    far: Sequence[float] = (1e-1, 1e-2, 1e-3),
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
    hardest: int = 0,
) -> dict[str, Any]:
    """Every verification figure over all pairs of a labelled set, the pairs counted as they pass.

    Memory is two float64 copies of the embeddings, and the genuine scores; nothing of size n x n.

    Args:
        embeddings: Real [n, d], finite.
        labels: Integer or string [n].
        far: Targets in (0, 1] for TAR@FAR.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap.
        progress: Called now and then with (done, of); `of` grows if another sweep is needed.
        hardest: Length at most of two more lists, of the hardest pairs; 0 up.

    Returns:
        As `verification_figures`: the figures and thresholds are exact. "roc" holds at most 500
        points of the exact curve, at genuine scores and one step of 10^-12 above them. The bins of
        "histogram" need not begin at the lowest score. With `hardest`, "hardest": {"impostor":
        highest score first, "genuine": lowest first}, each pair {"first", "second", "score"}.

    Raises:
        TypeError: As `pair_scores`.
        ValueError: As `verification_figures`.

    Example:
        >>> rows = [[1, 0], [1, 1], [0, 1], [-1, 1]]
        >>> figures = all_pairs_figures(rows, [0, 0, 1, 1], resamples=0)
        >>> figures["genuine_pairs"], figures["impostor_pairs"], figures["auc"]
        (2, 4, 0.875)
    """
    for target in far:
        check_share("each far", target)
    check_resamples(resamples)
    check_most("hardest", hardest)
    unit, codes = checked_rows(embeddings, labels)
    axis = ScoreAxis(unit, codes, progress)
    hardest = min(hardest, max(axis.genuine_pairs, axis.impostor_pairs))
    check_both_kinds(axis.genuine_pairs, axis.impostor_pairs)
    seen = _Seen(axis, far, max(hardest, 1), by_person=resamples > 0)
    seen.sweep()
    curves = curves_at(axis, seen.search, seen.found, seen.highest)
    axis.finish()
    points = {target: operating_point(curves[tar_name(target)], target) for target in far}
    exact: dict[str, float | None] = {
        "auc": share(seen.twice_area, 2 * axis.impostor_pairs * axis.genuine_pairs),
        EER: float(equal_error(curves[EER].impostors, curves[EER].genuine)),
        **{tar_name(target): point["tar"] for target, point in points.items()},
    }
    bootstrap = intervals_over(
        *seen.by_person,
        exact,
        [(tar_name(target), target) for target in far],
        resamples=resamples,
        seed=seed,
    )
    result = {
        "genuine_pairs": axis.genuine_pairs,
        "impostor_pairs": axis.impostor_pairs,
        "identities": int(codes.max()) + 1,
        "pictures": len(codes),
        "auc": exact["auc"],
        "auc_interval": bootstrap["intervals"]["auc"],
        "eer": exact[EER],
        "eer_interval": bootstrap["intervals"][EER],
        "eer_threshold": equal_error_threshold(curves[EER]),
        "tar_at_far": [with_interval(points[target], bootstrap) for target in far],
        "interval": account(NAME, bootstrap, resamples=resamples, seed=seed),
        "roc": drawn_curve(seen.drawn()),
        "histogram": seen.histogram(),
    }
    return {**result, "hardest": seen.hardest(hardest)} if hardest else result


class _Seen:
    """What the sweeps over a set have shown."""

    def __init__(
        self, axis: ScoreAxis, far: Sequence[float], extremes: int, *, by_person: bool
    ) -> None:
        self.axis, self.far, self.extremes = axis, far, extremes
        impostors, genuine = axis.impostor_pairs, axis.genuine_pairs

        def exceeds(target: float) -> Crossed:
            return lambda false, _: false / impostors > target

        self.search = Search(
            {
                EER: lambda false, true: false * genuine >= (genuine - true) * impostors,
                **{tar_name(target): exceeds(target) for target in far},
            }
        )
        self.found: list[Any] = []
        self.twice_area = 0
        self.kept: list[Corners] = []
        self.steps: list[Corners] = []
        self.lattice: Keys = np.empty(0)
        self.highest_genuine = -KEYS
        self.wanted_by_person = by_person
        people = int(axis.codes.max()) + 1
        self.by_person = (np.zeros((people, 1), np.int64), np.zeros((people, 1), np.int64))
        self.hardest_pairs: dict[str, tuple[tuple[float, int, int], ...]] = {}

    def sweep(self) -> None:
        """Count all pairs."""
        axis, guess = self.axis, self.axis.sampled()
        whole = cells_over(-KEYS, KEYS, CELLS)
        lowest = axis.count(self._request(True, whole)._replace(extremes=self.extremes))
        self.hardest_pairs["genuine"] = lowest.extremes
        cells = cells_over(min(guess.lowest, lowest.extremes[0][0]), KEYS, axis.cells())
        self.lattice = cells.starts()[1:].numpy()[:: max(1, cells.size // LATTICE)]
        stretches = axis.genuine(-KEYS, KEYS + 1, axis.genuine_pairs, whole)
        axis.plan(max(1, -(-axis.genuine_pairs // HELD)))
        above, first, top = 0, True, KEYS + 1
        for stretch in stretches:
            held = above + int(stretch.counts.sum())
            low = -KEYS if held == axis.genuine_pairs else stretch.low
            stretch = stretch._replace(low=low, high=top)  # no gap: impostors lie there
            request = self._request(False, cells)
            if first:
                request = self._all_wanted(request, guess, stretch)
            corners, tallied = axis.corners(stretch, above, request)
            if first:
                self._keep(request, tallied, guess)
            self._take(corners)
            self.highest_genuine = max([self.highest_genuine, *stretch.keys[-1:]])
            above, first, top = held, False, low

    def _request(self, genuine: bool, cells: Cells) -> Request:
        edge = torch.zeros(1, dtype=torch.float64)
        return Request(genuine, KEYS, edge, cells, lowest=genuine)

    def _all_wanted(self, request: Request, guess: Guess, stretch: Stretch) -> Request:
        """The first sweep also collects what a sample says will be asked for."""
        axis, people = self.axis, int(self.axis.codes.max()) + 1
        shares = [target for target in self.far if target < 1]
        if stretch.counts.sum() == axis.genuine_pairs:
            shares.append(_equal_share(guess, stretch))
        windows = guessed_windows(guess, shares, axis.impostor_pairs)
        request = request._replace(
            windows=tuple(windows),
            capacity=min(CAPACITY, axis.impostor_pairs),
            extremes=self.extremes,
        )
        if not self.wanted_by_person:
            return request
        bins = grid_over(request.cells, guess.impostors, people)
        return request._replace(codes=(axis.codes, axis.codes, people), bins=bins)

    def _keep(self, request: Request, tallied: Tallied, guess: Guess) -> None:
        self.found = collected(request, tallied)
        self.hardest_pairs["impostor"] = tallied.extremes
        if tallied.marginals is not None:
            own = self.axis.count(
                self._request(True, request.cells)._replace(codes=request.codes, bins=request.bins)
            ).marginals
            assert own is not None
            self.by_person = (tallied.marginals.numpy(), own.numpy())

    def _take(self, corners: Corners) -> None:
        """Corners of a stretch: into the area, the search and what is drawn."""
        last = self.search.last
        impostors, genuine = (
            np.concatenate([[before], rest])
            for before, rest in zip(last[1:], corners[1:], strict=True)
        )
        self.twice_area += sum_of_products(np.diff(impostors), genuine[1:] + genuine[:-1])
        self.search.take(corners)
        # of many stretches only what is drawn is kept, the lowest corner always
        step = 1 if self.axis.genuine_pairs <= HELD else max(1, len(corners.keys) >> 12)
        some = np.arange(len(corners.keys) - 1, -1, -step)[::-1]
        self.kept.append(_some(corners, some))
        stepped = np.isin(corners.keys, self.lattice) | (corners.keys == -KEYS)
        self.steps.append(_some(corners, stepped))

    @property
    def highest(self) -> float:
        """The highest score of all."""
        return max(self.highest_genuine, self.hardest_pairs["impostor"][0][0]) / KEYS

    def drawn(self) -> Curve:
        """The curve through corners, from "reject all" on."""
        keys, impostors, genuine = (np.concatenate(each) for each in zip(*self.kept, strict=True))
        return Curve(
            np.append(np.nextafter(self.highest, np.inf), keys / KEYS + 0.0),
            np.append(0, impostors),
            np.append(0, genuine),
        )

    def histogram(self) -> dict[str, list[Any]]:
        """Counts of both kinds in equal bins along the lattice, where there are pairs."""
        keys, impostors, genuine = (
            np.concatenate(each)[::-1] for each in zip(*self.steps, strict=True)
        )
        pairs = impostors + genuine
        first = np.flatnonzero(pairs == pairs[0])[-1]
        last = len(keys) if pairs[-1] else int(np.flatnonzero(pairs == 0)[0])
        at = np.arange(first, last, -(-(last - first) // HISTOGRAM_BINS))
        top = KEYS if last == len(keys) else keys[last]
        return {
            "edges": (np.append(keys[at], top) / KEYS).tolist(),
            "genuine": (-np.diff(genuine[at], append=0)).tolist(),
            "impostor": (-np.diff(impostors[at], append=0)).tolist(),
        }

    def hardest(self, most: int) -> dict[str, list[dict[str, Any]]]:
        """The pairs that a person should look at."""
        return {
            kind: [
                {"first": first, "second": second, "score": key / KEYS + 0.0}
                for key, first, second in self.hardest_pairs[kind][:most]
            ]
            for kind in ("impostor", "genuine")
        }


def _equal_share(guess: Guess, stretch: Stretch) -> float:
    """Share of the impostors that is accepted where FAR = FRR, by the sample."""
    rejected = (np.cumsum(stretch.counts) - stretch.counts) / stretch.counts.sum()
    sample = guess.impostors
    accepted = 1 - np.searchsorted(sample, stretch.keys) / max(len(sample), 1)
    at = min(int(np.searchsorted(rejected - accepted, 0.0)), len(accepted) - 1)
    return float(accepted[at])


def _some(corners: Corners, which: NDArray[Any]) -> Corners:
    return Corners(corners.keys[which], corners.impostors[which], corners.genuine[which])
