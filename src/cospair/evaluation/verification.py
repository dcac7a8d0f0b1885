"""Verification: do two pictures show one identity?

Decisions of this file:
- Scores are cosine similarities in float64, clipped to [-1, 1] and rounded to 12 decimals. A
  product of matrices gives equal rows scores that differ in the last bit, by their place in the
  block; rounding makes them tie again.
- A pair is accepted when score >= threshold. Equal scores move together.
- Every distinct score is a point of the ROC; the point "reject all" stands one float above the
  highest score.
- Genuine and impostor pairs are counted in integers; rates are one division each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.intervals import (
    CONFIDENCE,
    Array,
    as_array,
    identity_bootstrap,
    identity_labels,
    real_numbers,
)

Curve: TypeAlias = NDArray[np.int64] | NDArray[np.float64]

SCORE_DECIMALS = 12
TILE_CELLS = 1 << 20
DRAWN_POINTS = 500
HISTOGRAM_BINS = 60


@dataclass(frozen=True, eq=False)
class PairScores:
    """All pairs i < j of a set of pictures, ordered by i, then j.

    Attributes:
        scores: float64 [p], cosine similarity in [-1, 1].
        same: bool [p], True = genuine pair.
        first: int64 [p], row i of the embeddings.
        second: int64 [p], row j of the embeddings.
    """

    scores: NDArray[np.float64]
    same: NDArray[np.bool_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.scores)


def pair_scores(embeddings: Array, labels: Array) -> PairScores:
    """Cosine similarity of every pair of rows.

        score(i, j) = <x_i, x_j> / (|x_i| |x_j|),   0 if a row is zero

    Built in tiles of rows; only the result is of size n (n - 1) / 2.

    Args:
        embeddings: Real [n, d], finite; an array or a tensor on any device.
        labels: Integer or string [n], the identity of each row.

    Returns:
        The pairs; none for fewer than two rows.

    Raises:
        TypeError: If labels are floats (they collide above 2^24 in float32) or embeddings are not
            numbers.
        ValueError: If a row is not finite (the first such row is named) or shapes disagree.

    Example:
        >>> pair_scores([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], ["ann", "ann", "bob"]).scores
        array([1., 0., 0.])
    """
    rows = unit_rows("embeddings", embeddings)
    codes = np.unique(identity_labels("labels", labels, len(rows)), return_inverse=True)[1]
    n = len(rows)
    count = n * (n - 1) // 2
    scores, first, second = np.empty(count), np.empty(count, np.int64), np.empty(count, np.int64)
    step, done = max(1, TILE_CELLS // max(1, n)), 0
    for start in range(0, n, step):
        tile = cosines(rows[start : start + step], rows[start:])
        i, j = np.nonzero(np.triu(np.ones(tile.shape, bool), k=1))
        part = slice(done, done + len(i))
        scores[part], first[part], second[part] = tile[i, j], i + start, j + start
        done += len(i)
    return PairScores(scores, codes[first] == codes[second], first, second)


def roc_curve(scores: Array, same: Array) -> dict[str, NDArray[np.float64]]:
    """The whole ROC: "reject all" first, then one point for every distinct score, highest first.

        FAR(t) = impostors with score >= t / impostors,   TAR(t) = genuine with score >= t / genuine

    Args:
        scores: Real [p], finite, higher = more alike.
        same: Bool (or 0 and 1) [p], True = genuine.

    Returns:
        {"far", "tar", "threshold"}, each float64 [distinct scores + 1]. The first threshold,
        "reject all", is the next float above the highest score.

    Raises:
        TypeError: If scores are not numbers or `same` holds neither truth values nor 0 and 1.
        ValueError: If lengths differ, a score is not finite, or one of the two kinds is missing.

    Example:
        >>> roc_curve([0.9, 0.4, 0.4], [True, True, False])["tar"]
        array([0. , 0.5, 1. ])
    """
    thresholds, impostors, genuine = roc_counts(*checked_pairs(scores, same))
    return {
        "far": impostors / impostors[-1],
        "tar": genuine / genuine[-1],
        "threshold": thresholds,
    }


def auc(scores: Array, same: Array) -> float:
    """P(genuine > impostor) + 0.5 P(equal), over all pairs of a genuine and an impostor pair.

    Args:
        scores: Real [p], finite.
        same: Bool [p].

    Returns:
        A share in [0, 1], from whole numbers and one division.

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`.

    Example:
        >>> auc([0.9, 0.4, 0.4, 0.1], [True, True, False, False])
        0.875
    """
    _, impostors, genuine = roc_counts(*checked_pairs(scores, same))
    return float(_area(impostors, genuine))


def equal_error_rate(scores: Array, same: Array) -> dict[str, float]:
    """Where FAR = FRR on the ROC, its points joined by straight lines.

    Args:
        scores: Real [p], finite.
        same: Bool [p].

    Returns:
        {"eer": share, "threshold": float}; the threshold is interpolated as the rates are, so it
        need not be a score that occurs.

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`.

    Example:
        >>> equal_error_rate([0.9, 0.6, 0.5, 0.1], [True, False, True, False])
        {'eer': 0.5, 'threshold': 0.6}
    """
    thresholds, impostors, genuine = roc_counts(*checked_pairs(scores, same))
    after, share = _crossing(impostors, genuine)
    return {
        "eer": float(_between(impostors, after, share) / impostors[-1]),
        "threshold": float(_between(thresholds, after, share)),
    }


def tar_at_far(scores: Array, same: Array, far: float) -> dict[str, Any]:
    """TAR at the lowest threshold, among the scores and "reject all", whose FAR is at most `far`.

    Args:
        scores: Real [p], finite.
        same: Bool [p].
        far: Target in (0, 1].

    Returns:
        {"far", "tar", "threshold", "achieved_far", "impostor_pairs", "note"}. When floor(far *
        impostors) is 0, not one false accept may be counted: tar, threshold and achieved_far are
        None and the note says "insufficient data: ...".

    Raises:
        TypeError: As `roc_curve`.
        ValueError: As `roc_curve`, or if `far` lies outside (0, 1].

    Example:
        >>> tar_at_far([0.9, 0.6, 0.5, 0.1], [True, False, True, False], 0.5)["tar"]
        1.0
    """
    if not 0 < far <= 1:
        raise ValueError(f"far must lie in (0, 1]; got {far!r}; pass a share such as 0.01.")
    return _operating_point(*roc_counts(*checked_pairs(scores, same)), far)


def verification_figures(
    embeddings: Array,
    labels: Array,
    *,
    far: Sequence[float] = (1e-1, 1e-2, 1e-3),
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Every verification figure over all pairs of a labelled set, with 95 % intervals.

    Args:
        embeddings: Real [n, d], finite.
        labels: Integer or string [n].
        far: Targets in (0, 1] for TAR@FAR.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap.

    Returns:
        A dict of plain numbers and lists: counts ("genuine_pairs", "impostor_pairs", "identities",
        "pictures"), "auc", "eer", "eer_threshold", "tar_at_far" (one dict per target), their
        "..._interval" as [low, high] or None, "interval" (method, and under "notes" the reason for
        each None), "roc" (at most 500 points of the exact curve) and "histogram" (counts). Rates
        are shares in [0, 1].

    Raises:
        TypeError: As `pair_scores`.
        ValueError: As `pair_scores`, or if genuine or impostor pairs are missing, or an option is
            out of range.

    Example:
        >>> rows = [[1, 0], [1, 1], [0, 1], [-1, 1]]
        >>> figures = verification_figures(rows, [0, 0, 1, 1], resamples=0)
        >>> figures["genuine_pairs"], figures["impostor_pairs"], figures["auc"]
        (2, 4, 0.875)
    """
    for target in far:
        if not 0 < target <= 1:
            raise ValueError(
                f"far must hold shares in (0, 1]; got {target!r}; pass shares such as 0.01."
            )
    pairs = pair_scores(embeddings, labels)
    codes = np.unique(as_array(labels), return_inverse=True)[1]
    scores, same = checked_pairs(pairs.scores, pairs.same)
    curve = roc_counts(scores, same)
    bootstrap = identity_bootstrap(
        scores,
        np.stack([codes[pairs.first], codes[pairs.second]], axis=1),
        lambda impostors, genuine: _resampled(impostors, genuine, far),
        resamples=resamples,
        seed=seed,
    )
    return {
        "genuine_pairs": int(same.sum()),
        "impostor_pairs": int((~same).sum()),
        "identities": int(codes.max()) + 1,
        "pictures": len(codes),
        **_areas_and_errors(curve, bootstrap["intervals"]),
        "tar_at_far": [_with_interval(_operating_point(*curve, f), bootstrap) for f in far],
        "interval": {
            "method": "identity bootstrap",
            "confidence": CONFIDENCE,
            "resamples": resamples,
            "seed": seed,
            "notes": bootstrap["notes"],
        },
        "roc": _drawn_curve(*curve),
        "histogram": _histogram(scores, same),
    }


def hardest_mistakes(
    pairs: PairScores,
    labels: Array,
    identities: Sequence[str],
    threshold: float,
    *,
    most: int = 12,
) -> dict[str, list[dict[str, Any]]]:
    """The worst errors at a threshold: impostors accepted and genuine pairs rejected.

    Args:
        pairs: Pairs of the pictures, from `pair_scores`.
        labels: Integer [n], index of each picture's identity in `identities`.
        identities: Name of each label.
        threshold: Accept when score >= threshold.
        most: Length of each list at most.

    Returns:
        {"false_matches": highest score first, "false_non_matches": lowest first}; each entry holds
        "first", "second" (rows of the pictures), "score", "first_identity" and "second_identity".
        Ties keep the pairs' order.

    Raises:
        TypeError: If `labels` are not integers.
        ValueError: If `threshold` is not finite, `most` is negative, or `labels` are not those of
            the pairs.
    """
    if not np.isfinite(threshold) or most < 0:
        raise ValueError(
            f"threshold must be finite and most at least 0; got {threshold!r} and {most!r}; "
            "pass a calibrated threshold and a list length."
        )
    index = as_array(labels)
    _check_index(pairs, index, len(identities))
    matches = np.flatnonzero(~pairs.same & (pairs.scores >= threshold))
    misses = np.flatnonzero(pairs.same & (pairs.scores < threshold))
    matches = matches[np.argsort(-pairs.scores[matches], kind="stable")][:most]
    misses = misses[np.argsort(pairs.scores[misses], kind="stable")][:most]

    def entry(p: int) -> dict[str, Any]:
        i, j = int(pairs.first[p]), int(pairs.second[p])
        return {
            "first": i,
            "second": j,
            "score": float(pairs.scores[p]),
            "first_identity": str(identities[index[i]]),
            "second_identity": str(identities[index[j]]),
        }

    return {
        "false_matches": [entry(p) for p in matches],
        "false_non_matches": [entry(p) for p in misses],
    }


def unit_rows(name: str, embeddings: Array) -> NDArray[np.float64]:
    """Rows of length 1; zero rows stay zero. The largest entry goes first, against overflow."""
    rows = real_numbers(name, embeddings, 2)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    rows = rows / np.where(largest > 0, largest, 1.0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def cosines(rows: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine similarities [n, m] of unit rows, rounded so that equal rows tie."""
    return np.round(np.clip(rows @ others.T, -1.0, 1.0), SCORE_DECIMALS) + 0.0


def checked_pairs(scores: Array, same: Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores [p] and genuine flags [p] of equal length, both kinds present."""
    values, flags = real_numbers("scores", scores, 1), as_array(same)
    if flags.size and not np.isin(flags, (0, 1)).all():
        raise TypeError(
            "same must hold True and False, or 1 and 0; got other values; pass target > 0."
        )
    if flags.shape != values.shape:
        raise ValueError(
            f"same must hold one truth value per score; got shape {flags.shape} for "
            f"{values.shape}; pass arrays of equal length."
        )
    flags = flags.astype(np.bool_)
    if flags.all() or not flags.any():
        raise ValueError(
            f"scores must come from genuine and impostor pairs; got {int(flags.sum())} genuine and "
            f"{int((~flags).sum())} impostor pairs; add pictures that give the missing kind."
        )
    return values, flags


def roc_counts(
    scores: NDArray[np.float64], same: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Thresholds (descending, "reject all" first), impostors and genuine accepted, all [t]."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(
        np.append(ranked[1:] != ranked[:-1], True)
    )  # the end of each group of ties
    genuine = np.append(0, np.cumsum(same[order])[last])
    impostors = np.append(0, last + 1) - genuine
    return np.append(np.nextafter(ranked[0], np.inf), ranked[last]), impostors, genuine


def _area(impostors: Curve, genuine: Curve) -> Any:
    """Area under a curve of counts [t, ...]: trapezoids, a tie counts half. Integers stay exact."""
    twice = (np.diff(impostors, axis=0) * (genuine[1:] + genuine[:-1])).sum(axis=0)
    return twice / (2 * impostors[-1] * genuine[-1])


def _crossing(impostors: Curve, genuine: Curve) -> tuple[Any, Any]:
    """Index of the first point with FAR >= FRR, and how far along the line to it FAR = FRR."""
    # (FAR - FRR) * impostors * genuine: whole numbers, from -1 to +1 times the product
    gap = impostors * genuine[-1] - (genuine[-1] - genuine) * impostors[-1]
    after = np.maximum(np.argmax(gap >= 0, axis=0), 1)
    low, high = _at(gap, after - 1), _at(gap, after)
    return after, -low / (high - low)


def _at(values: Curve, index: Any) -> Any:
    """Row `index` of each column of [t, ...]."""
    return np.take_along_axis(values, np.asarray(index)[None], axis=0)[0]


def _between(values: Curve, after: Any, share: Any) -> Any:
    """Linear interpolation from row after - 1 to row after; the end itself at share 1."""
    low, high = _at(values, after - 1), _at(values, after)
    return np.where(share == 1, high, low + share * (high - low))


def _last_within(impostors: Curve, far: float) -> Any:
    """Index of the lowest threshold with FAR <= far."""
    # a division, correctly rounded, keeps 29 / 100 <= 0.29; the product 0.29 * 100 is below 29
    return np.maximum((impostors / impostors[-1] <= far).sum(axis=0) - 1, 0)


def _operating_point(
    thresholds: NDArray[np.float64], impostors: Curve, genuine: Curve, far: float
) -> dict[str, Any]:
    total = int(impostors[-1])
    result: dict[str, Any] = {
        "far": float(far),
        "tar": None,
        "threshold": None,
        "achieved_far": None,
    }
    if 1 / total > far:
        note = f"insufficient data: {total} impostor pairs cannot show a FAR of {far:g}"
        return {**result, "impostor_pairs": total, "note": note}
    at = _last_within(impostors, far)
    result["tar"] = float(genuine[at] / genuine[-1])
    result["threshold"] = float(thresholds[at])
    result["achieved_far"] = float(impostors[at] / total)
    return {**result, "impostor_pairs": total, "note": ""}


def _resampled(impostors: Curve, genuine: Curve, far: Sequence[float]) -> dict[str, Any]:
    """The figures that get an interval, for [t, b] counts of b resamples."""
    after, share = _crossing(impostors, genuine)
    figures = {
        "auc": _area(impostors, genuine),
        "eer": _between(impostors, after, share) / impostors[-1],
    }
    for target in far:
        reached = _at(genuine, _last_within(impostors, target))
        figures[_tar_name(target)] = reached / genuine[-1]
    return figures


def _tar_name(far: float) -> str:
    return f"tar@far={far:g}"


def _areas_and_errors(curve: tuple[Any, Curve, Curve], intervals: dict[str, Any]) -> dict[str, Any]:
    thresholds, impostors, genuine = curve
    after, share = _crossing(impostors, genuine)
    return {
        "auc": float(_area(impostors, genuine)),
        "auc_interval": intervals["auc"],
        "eer": float(_between(impostors, after, share) / impostors[-1]),
        "eer_interval": intervals["eer"],
        "eer_threshold": float(_between(thresholds, after, share)),
    }


def _with_interval(point: dict[str, Any], bootstrap: dict[str, Any]) -> dict[str, Any]:
    """An operating point with its interval; none where the point itself is missing."""
    name = _tar_name(point["far"])
    interval = None if point["tar"] is None else bootstrap["intervals"][name]
    return {
        "far": point["far"],
        "tar": point["tar"],
        "tar_interval": interval,
        **{key: point[key] for key in ("threshold", "achieved_far", "impostor_pairs")},
        "note": point["note"] or bootstrap["notes"].get(name, ""),
    }


def _drawn_curve(
    thresholds: NDArray[np.float64], impostors: Curve, genuine: Curve
) -> dict[str, list[float]]:
    """At most 500 points: half evenly along the curve, half denser towards FAR 0, for log axes."""
    far, tar = impostors / impostors[-1], genuine / genuine[-1]
    keep = np.arange(len(far))
    if len(far) > DRAWN_POINTS:
        half = DRAWN_POINTS // 2
        along = np.searchsorted(far + tar, np.linspace(0, 2, half)).clip(max=len(far) - 1)
        near = np.searchsorted(impostors, np.geomspace(1, impostors[-1], half)).clip(
            max=len(far) - 1
        )
        keep = np.unique(np.concatenate([[0, len(far) - 1], along[1:-1], near]))
    return {
        "far": far[keep].tolist(),
        "tar": tar[keep].tolist(),
        "threshold": thresholds[keep].tolist(),
    }


def _histogram(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> dict[str, list[Any]]:
    """Counts of both kinds in equal bins between the lowest and the highest score."""
    edges = np.histogram_bin_edges(scores, bins=HISTOGRAM_BINS)
    return {
        "edges": edges.tolist(),
        "genuine": np.histogram(scores[same], edges)[0].tolist(),
        "impostor": np.histogram(scores[~same], edges)[0].tolist(),
    }


def _check_index(pairs: PairScores, index: NDArray[Any], identities: int) -> None:
    """Refuse labels that are no indices of identities, or not those that the pairs were made of."""
    if index.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers; got dtype {index.dtype}; pass indices into identities."
        )
    pictures = int(pairs.second.max(initial=-1)) + 1
    fits = index.ndim == 1 and len(index) >= pictures and index.size * identities > 0
    if (
        not fits
        or index.min() < 0
        or index.max() >= identities
        or not np.array_equal(index[pairs.first] == index[pairs.second], pairs.same)
    ):
        raise ValueError(
            f"labels must be the pairs' own labels and index {identities} identities; got shape "
            f"{index.shape} for {pictures} pictures; pass the labels that pair_scores was given."
        )
