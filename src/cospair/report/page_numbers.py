"""The numbers that the page's script draws, as JSON takes them: no NaN, no infinity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cospair.report.formats import finite, has_ends
from cospair.report.open_set import open_set_numbers
from cospair.report.operating_points import (
    curve_points,
    det_points,
    slider_range,
    stops,
)
from cospair.report.verification_charts import densities


def page_numbers(result: dict[str, Any]) -> dict[str, Any]:
    """Gather what the script needs; what the result lacks is None."""
    figures = result["verification"]
    return {
        "genuine_pairs": figures.get("genuine_pairs"),
        "impostor_pairs": figures.get("impostor_pairs"),
        "roc": curve_points(result),
        "det": det_points(result),
        "limits": tar_limits(figures),
        "eer": finite(figures.get("eer")),
        "histogram": densities(figures.get("histogram")),
        "slider": slider_range(result),
        "stops": stops(result),
        "cmc": _shares((result.get("retrieval") or {}).get("cmc_curve")),
        "reliability": _reliability(result.get("calibration")),
        "open_set": open_set_numbers(result.get("open_set")),
    }


def tar_limits(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """FAR target, TAR and its interval's ends, of the rows that the data could show."""
    return [
        {"far": float(row["far"]), "tar": float(row["tar"]), "ends": _ends(row.get("tar_interval"))}
        for row in figures.get("tar_at_far") or ()
        if row.get("tar") is not None
    ]


def _ends(ends: Sequence[float] | None) -> list[float] | None:
    return [float(end) for end in ends] if has_ends(ends) else None


def _shares(shares: Sequence[float] | None) -> list[float | None] | None:
    return [finite(share) for share in shares] if shares is not None and len(shares) else None


def _reliability(calibration: dict[str, Any] | None) -> dict[str, Any] | None:
    told = (calibration or {}).get("reliability")
    if not told or not len(told["probability"]):
        return None
    keys = ("probability", "observed", "low", "high")
    drawn: dict[str, Any] = {key: _shares(told[key]) for key in keys if told.get(key) is not None}
    return {**drawn, "pairs": [int(pairs) for pairs in told["pairs"]]}
