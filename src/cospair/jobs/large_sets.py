"""Rates at a threshold over all pairs of a set too large for its pairs to be held."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.intervals import account
from cospair.evaluation.inputs import unit_rows
from cospair.evaluation.verification.pairs import TILE_CELLS, cosines
from cospair.jobs.progress import Say

NOTE = "no interval: too many pairs to be held and resampled"


def rates_over_all(
    rows: Any, codes: NDArray[np.int64], threshold: float, progress: Say | None = None
) -> dict[str, Any]:
    """Counts and rates of the decisions score >= threshold over every two rows.

    Args:
        rows: Real [n, d], finite.
        codes: Int [n], the identity of each row; both kinds of pairs are there.
        threshold: Finite.
        progress: Told (pairs done, pairs in all).

    Returns:
        As `rates_at` with identities; every interval is None and its note says why.
    """
    unit, n = unit_rows("embeddings", rows), len(codes)
    step, pairs = max(1, TILE_CELLS // n), n * (n - 1) // 2
    accepted = accepted_genuine = seen = 0
    for start in range(0, n, step):
        stop = min(start + step, n)
        above = cosines(unit[start:stop], unit[start:]) >= threshold
        above &= np.arange(start, n) > np.arange(start, stop)[:, None]  # each pair once
        accepted += int(above.sum())
        accepted_genuine += int((above & (codes[start:stop, None] == codes[start:])).sum())
        seen += sum(n - 1 - row for row in range(start, stop))
        if progress is not None:
            progress(seen, pairs)
    sizes = np.bincount(codes)
    genuine = int((sizes * (sizes - 1) // 2).sum())
    return _rates(genuine, pairs - genuine, accepted_genuine, accepted - accepted_genuine)


def _rates(genuine: int, impostors: int, true_accepts: int, false_accepts: int) -> dict[str, Any]:
    far, frr = false_accepts / impostors, (genuine - true_accepts) / genuine
    right = true_accepts + impostors - false_accepts
    return {
        "genuine_pairs": genuine,
        "impostor_pairs": impostors,
        "false_rejects": genuine - true_accepts,
        "false_accepts": false_accepts,
        "far": far,
        "frr": frr,
        "accuracy": right / (genuine + impostors),
        "balanced_accuracy": 1 - (far + frr) / 2,
        **dict.fromkeys(("far_interval", "frr_interval", "accuracy_interval")),
        "interval": account(
            "none",
            {"notes": dict.fromkeys(("far", "frr", "accuracy"), NOTE)},
            resamples=0,
            seed=0,
        ),
    }
