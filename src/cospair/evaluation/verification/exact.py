"""Area and equal error of one curve in whole numbers of any size, and one division at the end.

Decisions of this file:
- Products of two counts of pairs leave int64 from some ten million pictures on, so what is made of
  them is a Python integer.
- Points on a straight piece of the curve change no bit of a figure: the whole numbers before the
  division stand in the same proportion without them.
- A share is 1.0 only where it is one: the nearest float to a share just below is the next one down.
"""

from __future__ import annotations

from bisect import bisect_left
from math import nextafter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Crossing(NamedTuple):
    """Where FAR = FRR: `part` / `whole` of the line that ends at point `after`."""

    after: int
    part: int
    whole: int


def share(part: int, whole: int) -> float:
    """Part / whole, correctly rounded, but 1.0 only where they are equal."""
    return 1.0 if part == whole else min(part / whole, nextafter(1.0, 0.0))


def exact_area(impostors: NDArray[Any], genuine: NDArray[Any]) -> float:
    """Area under the curve: trapezoids, so a tie counts half."""
    twice = sum_of_products(np.diff(impostors), genuine[1:] + genuine[:-1])
    return share(twice, 2 * int(impostors[-1]) * int(genuine[-1]))


def sum_of_products(steps: NDArray[np.int64], heights: NDArray[np.int64]) -> int:
    """Sum of steps * heights, none negative, the heights taken in digits that cannot overflow."""
    # a digit times all the steps fits int64; one bit does whatever the steps are
    bits = max(1, 63 - int(steps.sum()).bit_length())
    total, shift = 0, 0
    while heights.any():
        total += int((steps * (heights & ((1 << bits) - 1))).sum()) << shift
        heights, shift = heights >> bits, shift + bits
    return total


def exact_crossing(impostors: NDArray[Any], genuine: NDArray[Any]) -> Crossing:
    """The first point with FAR >= FRR, and how far along the line to it they are equal."""
    all_impostors, all_genuine = int(impostors[-1]), int(genuine[-1])

    def gap(at: int) -> int:  # (FAR - FRR) * impostors * genuine, which only rises
        rejected = all_genuine - int(genuine[at])
        return int(impostors[at]) * all_genuine - rejected * all_impostors

    after = bisect_left(range(len(impostors)), 0, key=gap)
    return Crossing(after, -gap(after - 1), gap(after) - gap(after - 1))


def exact_equal_error(impostors: NDArray[Any], genuine: NDArray[Any]) -> float:
    """FAR where it equals FRR, the points joined by straight lines."""
    after, part, whole = exact_crossing(impostors, genuine)
    low, high = int(impostors[after - 1]), int(impostors[after])
    return share(low * whole + part * (high - low), int(impostors[-1]) * whole)
