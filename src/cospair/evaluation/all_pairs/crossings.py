"""Where a curve of all pairs crosses a target, down to the two scores on either side.

Decisions of this file:
- Counts at some keys put a crossing between two of them. The impostor scores there are collected if
  they are few, or counted at finer steps until they are; another sweep over the pairs each time.
- What a first sweep collected near the places that a sample shows mostly spares the second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from cospair.evaluation.all_pairs.score_axis import (
    CELLS,
    KEYS,
    LATTICE,
    Corners,
    Counts,
    Guess,
    Keys,
    ScoreAxis,
)
from cospair.evaluation.verification.curves import Curve
from cospair.kernels.tallies import Request, Tallied, cells_over

CAPACITY = 3 << 21  # impostor scores that are collected near a crossing
TOGETHER = 4  # crossings that have this room to themselves; more of them share it

Crossed = Callable[[int, int], bool]  # of (impostors, genuine) accepted; once true, true below


class Range(NamedTuple):
    """Keys in [low, high), and the number of impostors there."""

    low: float
    high: float
    impostors: int

    @property
    def known(self) -> bool:
        """Whether the keys of its pairs need no look: there are none, or they are all `low`."""
        return not self.impostors or self.high - self.low <= 1


class Point(NamedTuple):
    """Pairs accepted from a key on."""

    key: float
    impostors: int
    genuine: int


class Bracket(NamedTuple):
    """A crossing lies at some score in `inside`; `before` it are the pairs from its end on."""

    inside: Range  # genuine pairs lie at its low end only
    before: Point
    after: Point
    above: Range | None  # the next higher score is the lowest in here; None: there is none


class Search:
    """Brackets of some crossings, as corners of the curve come in from the highest key down."""

    def __init__(self, crossed: dict[str, Crossed]) -> None:
        """Nothing has been seen yet."""
        self.crossed = crossed
        self.brackets: dict[str, Bracket] = {}
        self.last = Point(KEYS + 1, 0, 0)  # no key is higher
        self.above: Range | None = None

    def take(self, corners: Corners) -> None:
        """Look at some more corners."""
        keys, impostors, genuine = (
            np.concatenate([[first], rest]) for first, rest in zip(self.last, corners, strict=True)
        )
        new = np.diff(impostors) + np.diff(genuine) > 0
        changes = np.flatnonzero(new) + 1

        def point(at: int) -> Point:
            return Point(float(keys[at]), int(impostors[at]), int(genuine[at]))

        def above(at: int) -> Range | None:
            """Where the lowest score from the key of that point on lies."""
            found = int(np.searchsorted(changes, at, side="right"))
            if not found:
                return self.above
            low, high = point(int(changes[found - 1])), point(int(changes[found - 1]) - 1)
            end = low.key + 1 if low.genuine > high.genuine else high.key
            return Range(low.key, end, low.impostors - high.impostors)

        for name, crossed in self.crossed.items():
            at = bisect_left(range(len(keys)), True, key=lambda i, c=crossed: c(*point(i)[1:]))
            if name in self.brackets or at == len(keys):
                continue
            after, before = point(at), point(at - 1)
            inside = Range(after.key, before.key, after.impostors - before.impostors)
            self.brackets[name] = Bracket(inside, before, after, above(at - 1))
        self.last, self.above = point(len(keys) - 1), above(len(keys) - 1)

    def finish(self) -> dict[str, Bracket]:
        """The brackets; a crossing that never came stands below the lowest score."""
        nothing = Range(-np.inf, -np.inf, 0)
        end = Bracket(nothing, self.last, self.last, self.above)
        return {name: self.brackets.get(name, end) for name in self.crossed}


class Found(NamedTuple):
    """All impostor keys in [low, high), ascending."""

    low: float
    high: float
    keys: Keys


def collected(request: Request, tallied: Tallied) -> list[Found]:
    """The windows of which every key was kept."""
    return [
        Found(*window, np.sort(keys.numpy()))
        for window, keys, found in zip(request.windows, tallied.windows, tallied.found, strict=True)
        if len(keys) == found
    ]


def guessed_windows(guess: Guess, shares: list[float], pairs: int) -> list[tuple[float, float]]:
    """Windows of keys that hold the impostor at each share from the top, by the sample."""
    sample = guess.impostors[::-1]
    if not len(sample):
        return []
    shared = min(1.0, TOGETHER / max(len(shares), 1))
    most = 0.45 * CAPACITY * shared * len(sample) / max(pairs, 1)
    windows = []
    for share in shares:
        rank = share * len(sample)
        # five deviations of a count, and some for rows that share pairs
        slack = min(5 * np.sqrt(rank) + rank / 400 + 6, max(most, 1.0))
        first, last = int(rank - slack), int(rank + slack)
        low = sample[last] if last < len(sample) else -KEYS
        windows.append((float(low), float(sample[first] if first > 0 else KEYS) + 1))
    return windows


def curves_at(
    axis: ScoreAxis, search: Search, found: list[Found], highest: float
) -> dict[str, Curve]:
    """For each crossing a curve of the few points around it; `highest` is the highest score."""
    brackets = search.finish()
    while True:
        needs = set(_needs(brackets, found))
        if not needs:
            return {n: _curve(b, found, highest, search.last) for n, b in brackets.items()}
        axis.plan(1)
        few = [need for need in needs if need.impostors <= CAPACITY]
        many = [need for need in needs if need.impostors > CAPACITY]
        steps = [np.linspace(n.low, n.high, LATTICE + 1).round() for n in many]
        ends = [end for bracket in brackets.values() for end in bracket.inside[:2]]
        edges = np.unique(np.concatenate([*steps, np.array(ends).clip(-KEYS, KEYS + 1)]))
        request = Request(
            False,
            KEYS,
            torch.from_numpy(edges),
            cells_over(min(n.low for n in needs), max(n.high for n in needs), CELLS),
            tuple((need.low, need.high) for need in few),
            max((need.impostors for need in few), default=0),
        )
        tallied = axis.count(request)
        found = found + collected(request, tallied)
        at_least = np.cumsum(tallied.counts.numpy()[::-1])[::-1][1::2]
        for name, bracket in brackets.items():
            if set(_needs({name: bracket}, found)):
                brackets[name] = _narrowed(bracket, search.crossed[name], edges, at_least)


def _needs(brackets: dict[str, Bracket], found: list[Found]) -> Iterator[Range]:
    for bracket in brackets.values():
        for need in (bracket.inside, bracket.above):
            if need is not None and not need.known and _within(need, found) is None:
                yield need


def _within(need: Range, found: list[Found]) -> Keys | None:
    """The impostor keys of a range, ascending, if they are known."""
    if need.known:
        return np.full(need.impostors, need.low)
    for some in found:
        if some.low <= need.low and need.high <= some.high:
            first, last = np.searchsorted(some.keys, [need.low, need.high])
            return some.keys[first:last]
    return None


def _narrowed(bracket: Bracket, crossed: Crossed, edges: Keys, at_least: Counts) -> Bracket:
    """The bracket between finer steps of what it spans."""
    inside, above = bracket.inside, bracket.above
    low = inside.low
    top = bracket.before.key if above is None or above.known else above.high
    if low == -np.inf:
        assert above is not None
        low = above.low
    some = (edges >= low) & (edges < top)
    keys, impostors = edges[some][::-1], at_least[some][::-1]
    genuine = np.where(keys > inside.low, bracket.before.genuine, bracket.after.genuine)
    finer = Search({"": crossed})
    beyond = 0 if above is None or above.known else above.impostors
    finer.last = Point(top, bracket.before.impostors - beyond, bracket.before.genuine)
    finer.above = above if above is not None and above.known else None
    finer.take(Corners(keys, impostors, genuine))
    return finer.finish()[""]


def _curve(bracket: Bracket, found: list[Found], highest: float, end: Point) -> Curve:
    """Reject all, the score above the crossing, those around it, and accept all."""
    inside = _within(bracket.inside, found)
    above = None if bracket.above is None else _within(bracket.above, found)
    assert inside is not None
    highest_step = float(np.nextafter(highest, np.inf))
    start = [Point(KEYS + 1, 0, 0)]
    if bracket.above is not None:
        assert above is not None
        lowest = bracket.above.low if bracket.above.known else float(above[0])
        start.append(Point(lowest, *bracket.before[1:]))
    keys, counts = (each[::-1] for each in np.unique(inside, return_counts=True))
    accepted = bracket.before.impostors + np.cumsum(counts)
    last = bracket.inside.low
    genuine = np.where(keys > last, bracket.before.genuine, bracket.after.genuine)
    points = [
        *start,
        *(
            Point(*each)
            for each in zip(keys.tolist(), accepted.tolist(), genuine.tolist(), strict=True)
        ),
    ]
    for point in (bracket.after, end):  # what is not there yet: genuine pairs alone, and all pairs
        if point[1:] != points[-1][1:]:
            points.append(point._replace(key=min(point.key, points[-1].key - 1)))
    thresholds = np.array([point.key for point in points]) / KEYS + 0.0  # -0.0 is 0.0
    thresholds[0] = highest_step
    impostors = np.array([point.impostors for point in points], np.int64)
    return Curve(thresholds, impostors, np.array([point.genuine for point in points], np.int64))
