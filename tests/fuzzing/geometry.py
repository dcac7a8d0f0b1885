"""What paired rows are to each other, in numbers of 106 bits.

With e = b - (<a, b> / |a|^2) a, the part of b that is orthogonal to a, 1 - s^2 = |e|^2 / |b|^2 and
ds/da = e / (|a| |b|): nothing cancels near s = +-1. tests/truth.py's 300 bits vouch for it, on
random rows and on the worst ones found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fuzzing.wide import Array, Wide, parts, two_product, two_sum

Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Geometry:
    """What pairs of rows are to each other, whatever the loss asks.

    Rows are divided by 2**exponent first, so slopes are those of rows of size 1.
    """

    cosine: Wide  # [n]; near +-1 its low part is not enough: gap is 1 - |s|
    gap: Wide
    near: Mask
    slope1: Wide  # [n, d], ds/dx1
    slope2: Wide
    size1: Array  # [n], length
    size2: Array
    exponent1: Whole  # [n]
    exponent2: Whole
    zero: Mask
    broken: Mask  # either row holds NaN or inf
    same: Mask  # equal or opposite, element by element


def _to_size_one(x: Array) -> tuple[Array, Whole]:
    exponent = np.frexp(np.abs(x).max(axis=-1))[1].astype(np.int64)
    return np.ldexp(x, -exponent[:, None]), exponent


def _orthogonal_part(a: Array, b: Array, norm: Wide, dot: Wide) -> Wide:
    """What is left of b beside a, relative to itself as exact as the rest of this arithmetic."""
    ratio = dot / norm
    # whatever ratio is taken, the rest is orthogonalised again; one that is exact keeps e exact
    low = np.where(np.abs(ratio.low) < 2.0**-95 * np.abs(ratio.high), 0.0, ratio.low)
    p, e = two_product(ratio.high[:, None], a)
    first = Wide(*two_sum(b, -p)) - e - Wide(*two_product(low[:, None], a))
    again = (first * a).total() / norm
    rest = first - Wide(*(part[:, None] for part in parts(again))) * a
    size, before = np.square(rest.high).sum(-1), np.square(first.high).sum(-1)
    return rest.where((size > 2.0**-180 * before)[:, None])


def geometry(x1: Array, x2: Array) -> Geometry:
    """Cosines of paired rows [n, d] and their derivatives; 0 where a row is zero or broken."""
    broken = np.asarray(~(np.isfinite(x1) & np.isfinite(x2)).all(-1))
    zero = ~broken & ((x1 == 0).all(-1) | (x2 == 0).all(-1))
    plain = ~(broken | zero)
    (a, exponent1), (b, exponent2) = (
        _to_size_one(np.where(plain[:, None], x, 1.0)) for x in (x1, x2)
    )
    norm1, norm2, dot = (Wide(*two_product(x, y)).total() for x, y in ((a, a), (b, b), (a, b)))
    lengths = norm1.root() * norm2.root()
    e1, e2 = _orthogonal_part(a, b, norm1, dot), _orthogonal_part(b, a, norm2, dot)
    squared_sine = (e1 * e1).total() / norm2
    near = np.square(dot.high) > 0.25 * norm1.high * norm2.high
    cosine_size = (Wide(np.ones(len(a))) - squared_sine.where(near)).root()
    gap = squared_sine / (cosine_size + 1.0)
    sign = np.sign(dot.high)
    cosine = dot / lengths
    near_cosine = cosine_size * sign
    inverse = Wide(np.ones(len(a))) / lengths
    inverse = Wide(inverse.high[:, None], inverse.low[:, None])
    return Geometry(
        cosine=Wide(
            *(np.where(near, p, q) for p, q in zip(parts(near_cosine), parts(cosine), strict=True))
        ).where(plain),
        gap=gap.where(plain & near),
        near=near & plain,
        slope1=(e1 * inverse).where(plain[:, None]),
        slope2=(e2 * inverse).where(plain[:, None]),
        size1=np.sqrt(norm1.high),
        size2=np.sqrt(norm2.high),
        exponent1=exponent1,
        exponent2=exponent2,
        zero=zero,
        broken=broken,
        same=plain & ((x1 == x2).all(-1) | (x1 == -x2).all(-1)),
    )
