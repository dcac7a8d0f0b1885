"""Numbers of 106 bits: sums of two float64 (Dekker 1971)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _halves(a: Any) -> tuple[Any, Any]:
    t = 134217729.0 * a  # 2^27 + 1, Veltkamp
    high = t - (t - a)
    return high, a - high


def two_product(a: Any, b: Any) -> tuple[Any, Any]:
    p = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


@dataclass(frozen=True, slots=True)
class Wide:
    """Numbers held as the sum of two float64 (Dekker 1971)."""

    high: Any
    low: Any = 0.0

    def __add__(self, other: Wide | Array | float) -> Wide:
        """Sum; relative error 2^-104 where signs agree."""
        other = other if isinstance(other, Wide) else Wide(other)
        s, e = two_sum(self.high, other.high)
        t, f = two_sum(self.low, other.low)
        s, e = two_sum(s, e + t)
        return Wide(*two_sum(s, e + f))

    def __neg__(self) -> Wide:
        """Exact."""
        return Wide(-self.high, -self.low)

    def __sub__(self, other: Wide | Array | float) -> Wide:
        """As the sum."""
        return self + (-other)

    def __mul__(self, other: Wide | Array | float) -> Wide:
        """Product; relative error 2^-103."""
        other = other if isinstance(other, Wide) else Wide(other)
        p, e = two_product(self.high, other.high)
        return Wide(*two_sum(p, e + (self.high * other.low + self.low * other.high)))

    def __truediv__(self, other: Wide) -> Wide:
        """Quotient; relative error 2^-102."""
        first = self.high / other.high
        rest = self - other * first
        second = rest.high / other.high
        third = (rest - other * second).high / other.high
        return Wide(first) + second + third

    def root(self) -> Wide:
        """Square root of a positive number."""
        first = np.sqrt(self.high)
        return Wide(first) + (self - Wide(first) * first).high / (2 * first)

    def __getitem__(self, at: Any) -> Wide:
        """The numbers there."""
        return Wide(self.high[at], np.broadcast_to(self.low, self.high.shape)[at])

    def where(self, mask: Any, other: float = 0.0) -> Wide:
        """These where the mask is set, else the other."""
        return Wide(np.where(mask, self.high, other), np.where(mask, self.low, 0.0))

    def total(self) -> Wide:
        """Sum over the last axis, pairwise."""
        x = self
        while (d := x.high.shape[-1]) > 1:
            half = (d + 1) // 2
            middle = x[..., d - half : half]
            x = x[..., : d - half] + x[..., half:]
            if d % 2:
                x = Wide(
                    *(np.append(*both, -1) for both in zip(parts(x), parts(middle), strict=True))
                )
        return x[..., 0]


def parts(x: Wide) -> tuple[Any, Any]:
    return x.high, x.low
