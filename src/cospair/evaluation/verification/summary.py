"""Every figure of checked pairs with its interval, as the dict that results hold.

Decisions of this file:
- A figure has an interval or a reason why it has none; no third.
- Intervals come from people (bootstrap) or, where the caller says that no two pairs share one, from
  counts of pairs (binomial). From neither, there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.binomial import clopper_pearson
from cospair.evaluation.bootstrap.draws import Progress, curve_draws, refusal
from cospair.evaluation.bootstrap.intervals import account, percentile_intervals
from cospair.evaluation.bootstrap.resampling import slots_of
from cospair.evaluation.verification.curves import (
    Counts,
    Curve,
    area,
    counted_curve,
    equal_error,
    equal_error_threshold,
    last_within,
    operating_point,
    tar_within,
)
from cospair.evaluation.verification.drawing import drawn_curve, histogram

# {"intervals": {name: [low, high] or None}, "notes": {name: reason}}, as `identity_bootstrap` gives
Intervals = dict[str, dict[str, Any]]


def figures_of_people(
    scores: NDArray[np.float64],
    same: NDArray[np.bool_],
    people: NDArray[np.int64],
    counts: NDArray[np.int64] | None = None,
    *,
    far: Sequence[float],
    resamples: int,
    seed: int,
    progress: Progress | None,
) -> dict[str, Any]:
    """Figures of pairs [p] of known people, codes [p, 2], each pair `counts` times or once."""
    reason = refusal(resamples, len(np.unique(people[same, 0])), "genuine pairs")
    if reason:
        intervals = _no_intervals(far, reason)
    else:
        draws = curve_draws(  # `identity_bootstrap` would check millions of pairs once more
            slots_of(scores, np.unique(scores[same])),
            people,
            lambda impostors, genuine: resampled_figures(impostors, genuine, far),
            counts=counts,
            resamples=resamples,
            seed=seed,
            progress=progress,
        )
        intervals = percentile_intervals(draws)
    curve = counted_curve(scores, same, counts)
    how = account("identity bootstrap", intervals, resamples=resamples, seed=seed)
    return _summary(curve, int(people.max()) + 1, far, intervals, how)


def figures_of_strangers(
    scores: NDArray[np.float64],
    same: NDArray[np.bool_],
    counts: NDArray[np.int64] | None = None,
    *,
    far: Sequence[float],
    independent: bool,
) -> dict[str, Any]:
    """Figures of pairs [p] of unknown people, each pair `counts` times or once."""
    curve = counted_curve(scores, same, counts)
    if independent:
        method, intervals = "Clopper-Pearson of independent pairs", _binomial(curve, far)
    else:
        reason = "no interval: the identities of the pairs were not given"
        method, intervals = "none", _no_intervals(far, reason)
    how = account(method, intervals, resamples=0, seed=0)
    return _summary(curve, None, far, intervals, how)


def resampled_figures(impostors: Counts, genuine: Counts, far: Sequence[float]) -> dict[str, Any]:
    """The figures that get an interval, [b], for counts [t, b] of b resamples."""
    return {
        "auc": area(impostors, genuine),
        "eer": equal_error(impostors, genuine),
        **{tar_name(target): tar_within(impostors, genuine, target) for target in far},
    }


def tar_name(far: float) -> str:
    """Name of TAR@FAR among the intervals; every target has its own."""
    return f"tar@far={float(far)!r}"


def _no_intervals(far: Sequence[float], reason: str) -> Intervals:
    names = ("auc", "eer", *map(tar_name, far))
    return {"intervals": dict.fromkeys(names), "notes": dict.fromkeys(names, reason)}


def _binomial(curve: Curve, far: Sequence[float]) -> Intervals:
    """Clopper-Pearson of TAR at each threshold, as if the threshold had been given."""
    found = _no_intervals(far, "no interval: Clopper-Pearson is of counts at one threshold")
    for target in far:
        at, name = last_within(curve.impostors, target), tar_name(target)
        found["intervals"][name] = clopper_pearson(int(curve.genuine[at]), int(curve.genuine[-1]))
        del found["notes"][name]
    return found


def _summary(
    curve: Curve,
    identities: int | None,
    far: Sequence[float],
    intervals: Intervals,
    how: dict[str, Any],
) -> dict[str, Any]:
    """Every figure of one curve; `how` says where the intervals come from."""
    return {
        "genuine_pairs": int(curve.genuine[-1]),
        "impostor_pairs": int(curve.impostors[-1]),
        "identities": identities,
        "pictures": None,
        "auc": float(area(curve.impostors, curve.genuine)),
        "auc_interval": intervals["intervals"]["auc"],
        "eer": float(equal_error(curve.impostors, curve.genuine)),
        "eer_interval": intervals["intervals"]["eer"],
        "eer_threshold": equal_error_threshold(curve),
        "tar_at_far": [with_interval(operating_point(curve, f), intervals) for f in far],
        "interval": how,
        "roc": drawn_curve(curve),
        "histogram": histogram(curve),
    }


def with_interval(point: dict[str, Any], intervals: Intervals) -> dict[str, Any]:
    """An operating point with its interval; none where the point itself is missing."""
    name = tar_name(point["far"])
    return {
        **point,
        "tar_interval": None if point["tar"] is None else intervals["intervals"][name],
        "note": point["note"] or intervals["notes"].get(name, ""),
    }
