"""Open-set identification: is somebody enrolled, and who?

Decisions of this file:
- A resample draws the identities of the probes, mated and unmated together, and chooses its own
  threshold for a target; the gallery stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cospair.evaluation.bootstrap.draws import Draws, Progress, refusal
from cospair.evaluation.bootstrap.intervals import account, percentile_intervals
from cospair.evaluation.bootstrap.resampling import multiplicities
from cospair.evaluation.inputs import (
    Array,
    check_ranks,
    check_resamples,
    check_share,
    real_numbers,
)
from cospair.evaluation.retrieval.matches import Runs, matching_runs
from cospair.evaluation.retrieval.probes import (
    Accepted,
    Counts,
    Floats,
    Probes,
    accepted_probes,
    found_probes,
)
from cospair.evaluation.retrieval.sides import both_sides
from cospair.evaluation.verification.curves import last_within

DRAWN_POINTS = 500


def open_set_figures(
    query: Array,
    query_labels: Array,
    gallery: Array,
    gallery_labels: Array,
    *,
    false_alarm: Sequence[float] = (0.1, 0.01),
    thresholds: Sequence[float] = (),
    ranks: Sequence[int] = (1,),
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Detection and identification rate of enrolled people against false alarms of others.

        DIR(t, k)         = mated probes whose best mate scores >= t, with fewer than k items of
                            other identities scoring at least as high, over mated probes
        false alarm rate  = unmated probes with any score >= t, over unmated probes

    Args:
        query: The probes, real [n, d], finite.
        query_labels: Integer or string [n]. Those that `gallery_labels` holds are mated.
        gallery: Real [m, d], the enrolled pictures.
        gallery_labels: Integer or string [m]; integer label -1 is junk and dropped.
        false_alarm: Targets in (0, 1]; each is met by the lowest threshold whose false alarm rate
            is at most the target.
        thresholds: Fixed thresholds, finite, to give both rates at.
        ranks: The k of DIR(t, k).
        resamples: Resamples of the bootstrap over probe identities: 0 (no intervals) or at least
            100.
        seed: Seed of the bootstrap.
        progress: Called as progress(probes done, probes in all) after every block.

    Returns:
        A dict of plain numbers and lists. "mated" and "unmated": probes of either kind;
        "mated_identities", "unmated_identities"; "gallery": {"pictures", "identities", "junk":
        pictures dropped}. "dir_at_false_alarm": for each target and rank {"false_alarm": target,
        "rank", "dir", "dir_interval", "threshold", "achieved_false_alarm", "unmated", "note"};
        where floor(target * unmated) is 0, dir, threshold and achieved_false_alarm are None and the
        note says "insufficient data: ...". "at_thresholds": for each {"threshold", "false_alarm",
        "false_alarm_interval", "dir": {"1": share}, "dir_interval": {"1": [low, high] or None}}.
        "curve": {"threshold" (descending from "reject all"), "false_alarm", "dir": {"1": [...]}},
        at most 500 points of the exact curve. "interval": {"method", "confidence", "resamples",
        "seed", "notes"}.

    Raises:
        TypeError: If labels are floats or embeddings are not numbers.
        ValueError: If shapes disagree, a row is not finite, an option is out of range, the gallery
            is empty or junk alone, or mated or unmated probes are missing.

    Example:
        >>> gallery, people = [[1, 0], [0, 1]], ["ann", "bob"]
        >>> probes, labels = [[4, 3], [3, 4], [1, 1], [-1, 2]], ["ann", "ann", "cy", "dan"]
        >>> figures = open_set_figures(
        ...     probes, labels, gallery, people, false_alarm=[0.5], resamples=0
        ... )
        >>> figures["dir_at_false_alarm"][0]["dir"], figures["curve"]["false_alarm"]
        (0.5, [0.0, 0.5, 0.5, 1.0, 1.0])

    References:
        Grother, Ngan, Hanaoka (2019), Face recognition vendor test part 2: identification.
        Phillips, Grother, Micheals (2011), Evaluation methods in face recognition.
    """
    for target in false_alarm:
        check_share("each false_alarm", target)
    check_ranks("ranks", ranks)
    check_resamples(resamples)
    fixed = real_numbers("thresholds", np.array(thresholds, np.float64), 1)
    sides = both_sides(query, query_labels, gallery, gallery_labels, None)
    runs = matching_runs(sides)
    _check_both_kinds(runs)
    probes = found_probes(sides, runs, progress)
    places = probes.at_or_above(fixed)
    points = _Points([float(target) for target in false_alarm], fixed.tolist(), places)
    whole = accepted_probes(
        probes, dict.fromkeys(int(k) for k in ranks), np.ones((1, probes.people))
    )
    bootstrap = _bootstrap(probes, whole, points, resamples=resamples, seed=seed)
    mated = probes.ranks > 0
    return {
        "mated": int(mated.sum()),
        "unmated": int((~mated).sum()),
        "mated_identities": len(np.unique(probes.identities[mated])),
        "unmated_identities": len(np.unique(probes.identities[~mated])),
        "gallery": {
            "pictures": len(sides.items.labels),
            "identities": len(np.unique(sides.items.labels)),
            "junk": sides.junk,
        },
        "dir_at_false_alarm": [
            _operating_point(probes, whole, target, k, bootstrap)
            for target in points.targets
            for k in whole.found
        ],
        "at_thresholds": _at_thresholds(whole, points, bootstrap),
        "curve": _drawn_curve(probes, whole),
        "interval": account(
            "bootstrap over probe identities", bootstrap, resamples=resamples, seed=seed
        ),
    }


class _Points(NamedTuple):
    """Where rates are wanted: target false alarm rates, thresholds and their places [t]."""

    targets: list[float]
    thresholds: list[float]
    places: Counts


def _check_both_kinds(runs: Runs) -> None:
    mated = int((runs.matches > 0).sum())
    unmated = len(runs.matches) - mated
    if not (mated and unmated):
        raise ValueError(
            f"query must hold mated and unmated probes; got {mated} mated and {unmated} unmated; "
            f"add probes of people {'outside' if mated else 'in'} the gallery."
        )


def _rates(accepted: Accepted, points: _Points) -> dict[str, Floats]:
    """Every rate that gets an interval, [b]."""
    unmated, found, mated = accepted
    rates: dict[str, Floats] = {}
    for target in points.targets:
        at = last_within(unmated, target)[None]
        for k, counts in found.items():
            rates[_at_target(target, k)] = np.take_along_axis(counts, at, axis=0)[0] / mated
    for threshold, place in zip(points.thresholds, points.places, strict=True):
        rates[_alarms(threshold)] = unmated[place] / unmated[-1]
        for k, counts in found.items():
            rates[_at_threshold(threshold, k)] = counts[place] / mated
    return rates


def _bootstrap(
    probes: Probes, whole: Accepted, points: _Points, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Intervals of every rate, by drawing the identities of the probes."""
    mated = probes.ranks > 0
    people = min(len(np.unique(probes.identities[kind])) for kind in (mated, ~mated))
    reason = refusal(resamples, people, "mated, or with unmated, probes")
    drawn: dict[str, list[Floats]] = {name: [] for name in _rates(whole, points)}
    rows = (2 + len(whole.found)) * len(probes.scores)
    asked = 0 if reason else resamples
    for times in multiplicities(probes.people, rows, resamples=asked, seed=seed):
        accepted = accepted_probes(probes, whole.found, times)
        undefined = (accepted.unmated[-1] == 0) | (accepted.mated == 0)
        with np.errstate(divide="ignore", invalid="ignore"):  # undefined resamples become NaN below
            for name, rate in _rates(accepted, points).items():
                drawn[name].append(np.where(undefined, np.nan, rate))
    values = {name: np.concatenate([np.empty(0), *parts]) for name, parts in drawn.items()}
    return percentile_intervals(Draws(values, reason))


def _at_target(target: float, k: int) -> str:
    return f"dir@rank={k},false_alarm={target!r}"


def _at_threshold(threshold: float, k: int) -> str:
    return f"dir@rank={k},threshold={threshold!r}"


def _alarms(threshold: float) -> str:
    return f"false_alarm@threshold={threshold!r}"


def _operating_point(
    probes: Probes, whole: Accepted, target: float, k: int, bootstrap: dict[str, Any]
) -> dict[str, Any]:
    """DIR at the lowest threshold within a target, or a note that probes are too few."""
    total = int(whole.unmated[-1, 0])
    enough, name = 1 / total <= target, _at_target(target, k)
    at = int(last_within(whole.unmated, target)[0])
    note = f"insufficient data: {total} unmated probes cannot show a false alarm rate of {target:g}"
    return {
        "false_alarm": float(target),
        "rank": k,
        "dir": float(whole.found[k][at, 0] / whole.mated[0]) if enough else None,
        "dir_interval": bootstrap["intervals"][name] if enough else None,
        "threshold": float(probes.thresholds[at]) if enough else None,
        "achieved_false_alarm": float(whole.unmated[at, 0] / total) if enough else None,
        "unmated": total,
        "note": bootstrap["notes"].get(name, "") if enough else note,
    }


def _at_thresholds(
    whole: Accepted, points: _Points, bootstrap: dict[str, Any]
) -> list[dict[str, Any]]:
    rates, intervals = _rates(whole, points), bootstrap["intervals"]
    return [
        {
            "threshold": threshold,
            "false_alarm": float(rates[_alarms(threshold)][0]),
            "false_alarm_interval": intervals[_alarms(threshold)],
            "dir": {str(k): float(rates[_at_threshold(threshold, k)][0]) for k in whole.found},
            "dir_interval": {str(k): intervals[_at_threshold(threshold, k)] for k in whole.found},
        }
        for threshold in points.thresholds
    ]


def _drawn_curve(probes: Probes, whole: Accepted) -> dict[str, Any]:
    """At most 500 points: half evenly along the curve, half denser towards few false alarms."""
    unmated = whole.unmated[:, 0]
    keep = np.arange(len(unmated))
    if len(keep) > DRAWN_POINTS:
        half = DRAWN_POINTS // 2
        along = np.linspace(0, len(keep) - 1, half).astype(np.int64)
        near = np.searchsorted(unmated, np.geomspace(1, unmated[-1], half))
        keep = np.union1d(along, near)
    return {
        "threshold": probes.thresholds[keep].tolist(),
        "false_alarm": (unmated[keep] / unmated[-1]).tolist(),
        "dir": {
            str(k): (counts[keep, 0] / whole.mated[0]).tolist() for k, counts in whole.found.items()
        },
    }
