"""Confidence intervals: bootstrap over identities, never over pairs.

Decisions of this file:
- Pairs that share a person are not independent, so people are drawn, with replacement, and pairs
  follow them.
- A resample is one row of multiplicities; every figure comes from weighted counts, no pair is ever
  copied.
- Pairs of the same two identities that fall between the same two genuine scores weigh alike in
  every resample, so they are merged once, before the resampling.
- 95 %, percentile. Where the data cannot carry an interval the answer is None with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
# With more resamples than this that leave a figure undefined, the rest would not describe the data.
MOST_UNDEFINED = 0.05
# Cells of one block of weights, 32 MiB.
BLOCK_CELLS = 1 << 22

Array: TypeAlias = ArrayLike | torch.Tensor
Counts: TypeAlias = NDArray[np.float64]
Figures: TypeAlias = Callable[[Counts, Counts], dict[str, NDArray[np.float64]]]


class _Merged(NamedTuple):
    """Merged pairs of one kind, sorted by slot, and how many rows lie up to each slot's end."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    copies: NDArray[np.float64]
    ends: NDArray[np.int64]


def identity_bootstrap(
    scores: Array,
    identities: Array,
    figures: Figures,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """95 % intervals of figures of a ROC curve, by resampling identities with replacement.

    Each drawn copy of an identity counts as an identity of its own. With m(a) copies of identity a,

        impostor pair of a and b:  weight m(a) m(b)   (every copy of a meets every copy of b)
        genuine pair of a:         weight m(a)        (every copy brings its own genuine pairs)

    Pairs between two copies of the same identity are left out: as impostors they would be genuine
    pairs under a false label, as genuine pairs they would hold each picture against itself, a score
    of 1 that no camera took. Hence m(a) for genuine pairs and not m(a) squared.

    Args:
        scores: Float [p], finite, higher = more alike.
        identities: Integer or string [p, 2], the identities of the two pictures of each pair; equal
            = genuine.
        figures: Maps two arrays [t, b], impostors and genuine pairs accepted, to {name: array [b]}.
            Row 0 rejects all, the last row accepts all, and the b columns are resamples. The rows
            are the corners of the ROC: points on a straight piece between two corners are left out.
        resamples: Number of resamples: 0 (no intervals) or at least 100.
        seed: Seed of the draws. The draws do not depend on the block size or the machine.

    Returns:
        {"intervals": {name: [low, high] or None}, "notes": {name: reason}}. A name stands in
        "notes" exactly if it has no interval: under two identities with genuine pairs, a figure
        undefined in over 5 % of the resamples, or one value in all of them (no error in the data,
        so none to resample).

    Raises:
        TypeError: If scores are not numbers, identities are floats, or `resamples` is no integer.
        ValueError: If shapes disagree, a score is not finite, a kind of pair is missing, or
            `resamples` is out of range.

    Example:
        >>> def zero_far_tar(impostors, genuine):
        ...     return {"tar": np.where(impostors == 0, genuine, 0).max(axis=0) / genuine[-1]}
        >>> people = [(a, b) for a in range(5) for b in range(a, 5)]
        >>> scores = [0.9 - a / 9 if a == b else 0.2 + (a + b) / 20 for a, b in people]
        >>> identity_bootstrap(scores, people, zero_far_tar)["intervals"]
        {'tar': [0.4, 1.0]}

    References:
        Fogliato, Patil, Perona (2024), Confidence intervals for error rates in 1:1 matching tasks,
        https://arxiv.org/abs/2306.01198
    """
    values, codes = _checked(scores, identities)
    genuine = codes[:, 0] == codes[:, 1]
    if genuine.all() or not genuine.any():
        raise ValueError(
            f"identities must give genuine and impostor pairs; got {int(genuine.sum())} genuine "
            f"among {len(genuine)} pairs; add pairs of the missing kind."
        )
    slots = _slots(values, np.unique(values[genuine]))
    return _resampled_figures(slots, codes, figures, resamples=resamples, seed=seed)


def rate_intervals(
    accepted: NDArray[np.bool_], identities: Array, *, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Intervals of "far" and "frr" at one fixed threshold; same resampling as `identity_bootstrap`.

    Args:
        accepted: Bool [p], whether each pair scores at or above the threshold.
        identities: Integer or string [p, 2].
        resamples: As in `identity_bootstrap`.
        seed: As in `identity_bootstrap`.

    Returns:
        As `identity_bootstrap`, for the names "far" and "frr".
    """
    values, codes = _checked(accepted.astype(np.float64), identities)

    def rates(impostors: Counts, genuine: Counts) -> dict[str, NDArray[np.float64]]:
        return {"far": impostors[1] / impostors[-1], "frr": 1 - genuine[1] / genuine[-1]}

    slots = (1 - values).astype(np.int64)  # accepted pairs first
    return _resampled_figures(slots, codes, rates, resamples=resamples, seed=seed)


def mean_intervals(
    values: dict[str, NDArray[np.float64]],
    identities: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Intervals of means over queries, by resampling the queries' identities.

    Args:
        values: {name: float [q]}, one value per query.
        identities: Int [q], the identity of each query; all its queries are drawn together.
        resamples: As in `identity_bootstrap`.
        seed: As in `identity_bootstrap`.

    Returns:
        As `identity_bootstrap`. The gallery stays as it is in every resample.
    """
    _check_resamples(resamples)
    people, codes = np.unique(identities, return_inverse=True)
    names = list(values)
    reason = _refusal(resamples, len(people), "queries")
    if reason:
        return _refused(names, reason)
    size = np.bincount(codes)
    sums = np.stack([np.bincount(codes, weights=values[name]) for name in names], axis=1)
    rng = np.random.default_rng(seed)
    drawn = [
        (times @ sums) / (times @ size)[:, None]
        for times in _multiplicities(rng, len(people), resamples, len(people))
    ]
    return _percentiles(dict(zip(names, np.concatenate(drawn).T, strict=True)))


def _checked(scores: Array, identities: Array) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores as float64 [p] and identities as codes [p, 2] from 0 without gaps."""
    values, people = real_numbers("scores", scores, 1), as_array(identities)
    if people.shape != (len(values), 2) or not len(values):
        raise ValueError(
            f"identities must be [p, 2] for scores [p] with p > 0; got {people.shape} for "
            f"{values.shape}; pass the identities of both pictures of every pair."
        )
    flat = identity_labels("identities", people.ravel(), people.size)
    return values, np.unique(flat, return_inverse=True)[1].reshape(people.shape)


def _check_resamples(resamples: int) -> None:
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer):
        raise TypeError(f"resamples must be an integer; got {resamples!r}; pass 0 or 100 and more.")
    if resamples != 0 and resamples < 100:
        raise ValueError(
            f"resamples must be 0 or at least 100; got {resamples}; raise it, fewer cannot place a "
            "95 % interval."
        )


def _refusal(resamples: int, identities: int, what: str) -> str:
    """Why there can be no interval at all, or nothing."""
    if resamples == 0:
        return "no interval: no resamples were asked for"
    if identities < 2:
        return f"no interval: fewer than 2 identities with {what}"
    return ""


def _refused(names: list[str], reason: str) -> dict[str, dict[str, Any]]:
    return {"intervals": dict.fromkeys(names), "notes": dict.fromkeys(names, reason)}


def _slots(scores: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Slot of each score among the u distinct genuine scores `steps` (ascending), from the top.

    Slot 2i lies strictly above the i-th highest step, slot 2i + 1 is tied with it, slot 2u lies
    below all. Between two steps only impostors are accepted, a straight piece of the ROC: its inner
    points can go.
    """
    below_or_at = np.searchsorted(steps, scores, side="right")
    tied = below_or_at - np.searchsorted(steps, scores, side="left")
    return 2 * (len(steps) - below_or_at) + tied


def _merge(slots: NDArray[np.int64], codes: NDArray[np.int64], last_slot: int) -> _Merged:
    """Merge pairs that lie in one slot and belong to the same two identities."""
    low, high = codes.min(axis=1), codes.max(axis=1)
    people = int(codes.max(initial=0)) + 1
    key = (slots * people + low) * people + high
    distinct, copies = np.unique(key, return_counts=True)
    slot = distinct // (people * people)
    ends = np.searchsorted(slot, np.arange(last_slot + 1), side="right")
    low, high = distinct // people % people, distinct % people
    return _Merged(low, high, copies.astype(np.float64), np.append(0, ends))


def _resampled_figures(
    slots: NDArray[np.int64],
    codes: NDArray[np.int64],
    figures: Figures,
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Draw, weigh, accumulate and summarise."""
    _check_resamples(resamples)
    same = codes[:, 0] == codes[:, 1]
    last_slot = int(slots.max())
    genuine = _merge(slots[same], codes[same], last_slot)
    impostors = _merge(slots[~same], codes[~same], last_slot)
    people = int(codes.max()) + 1
    once = np.ones((1, people))
    names = list(figures(_accumulate(impostors, once, 2), _accumulate(genuine, once, 1)))
    reason = _refusal(resamples, len(np.unique(genuine.first)), "genuine pairs")
    if reason:
        return _refused(names, reason)
    rows = len(genuine.copies) + len(impostors.copies) + 2 * last_slot
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for times in _multiplicities(np.random.default_rng(seed), people, resamples, rows):
        accepted = _accumulate(impostors, times, 2), _accumulate(genuine, times, 1)
        undefined = (accepted[0][-1] == 0) | (accepted[1][-1] == 0)
        with np.errstate(divide="ignore", invalid="ignore"):  # undefined resamples become NaN below
            for name, value in figures(*accepted).items():
                drawn[name].append(np.where(undefined, np.nan, value))
    return _percentiles({name: np.concatenate(parts) for name, parts in drawn.items()})


def _multiplicities(
    rng: np.random.Generator, people: int, resamples: int, rows: int
) -> Iterator[NDArray[np.float64]]:
    """Yield blocks [b, people] of how often each identity was drawn; b * rows stays small."""
    block = max(1, BLOCK_CELLS // max(1, rows))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(people, size=(size, people)) + people * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * people)
        yield times.reshape(size, people).astype(np.float64)


def _accumulate(pairs: _Merged, times: NDArray[np.float64], power: int) -> Counts:
    """Weighted pairs accepted down to each slot, [slots + 1, b]: float64 sums of whole numbers."""
    by_person = np.ascontiguousarray(times.T)  # rows are gathered whole
    weights = by_person[pairs.first] * pairs.copies[:, None]
    if power == 2:
        weights *= by_person[pairs.second]
    sums = np.zeros((len(weights) + 1, len(times)))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums[pairs.ends]


def _percentiles(drawn: dict[str, NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
    """Percentile intervals, or the reason why there is none."""
    result: dict[str, dict[str, Any]] = {"intervals": {}, "notes": {}}
    for name, values in drawn.items():
        defined = values[~np.isnan(values)]
        missing = len(values) - len(defined)
        low = high = 0.0
        if missing <= MOST_UNDEFINED * len(values):
            low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
        result["intervals"][name] = [low, high] if low < high else None
        if low < high:
            continue
        result["notes"][name] = (
            f"no interval: undefined in {missing} of {len(values)} resamples, too few identities"
            if missing > MOST_UNDEFINED * len(values)
            else "no interval: the same value in (nearly) every resample, so no variation was seen"
        )
    return result


def as_array(values: Array) -> NDArray[Any]:
    """Anything array-like as NumPy; a tensor leaves graph and device (which synchronises)."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.double() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def real_numbers(name: str, values: Array, dimensions: int) -> NDArray[np.float64]:
    """A finite float64 copy of the given dimensions, or an error that names the first bad row."""
    array = as_array(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be real numbers; got dtype {array.dtype}; convert them to floats."
        )
    if array.ndim != dimensions:
        shape = "[n, d]" if dimensions == 2 else "[p]"
        raise ValueError(
            f"{name} must be {shape}; got shape {array.shape}; reshape them to {shape}."
        )
    array = array.astype(np.float64) + 0.0  # -0.0 and 0.0 become one score
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(np.argwhere(bad)[0])
        place = f"in row {where[0]}" if dimensions == 2 else f"at position {where[0]}"
        raise ValueError(f"{name} must be finite; got {array[where]} {place}; repair or drop it.")
    return array


def identity_labels(name: str, labels: Array, count: int) -> NDArray[Any]:
    """Labels as int64 or strings [count]; floats are refused, because they collide."""
    array = as_array(labels)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype == object and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "biuU":
        raise TypeError(
            f"{name} must be integers or strings; got dtype {array.dtype}; number the identities."
        )
    if array.shape != (count,):
        raise ValueError(
            f"{name} must be [n] with one label per row; got shape {array.shape} for {count} rows; "
            "pass one label for each embedding."
        )
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit int64; got {array.max()}; number the identities from 0.")
    return array if array.dtype.kind == "U" else array.astype(np.int64)
