"""The GPU sweep's device code: rows packed, tiles screened, pairs found.

`triton_pull_device` settles the pairs left in doubt and adds up what the active ones pull;
`triton_sweep` launches both. They import Triton, so nothing imports them before a sweep on a GPU.

A tile is T x T pairs of sorted positions, a panel at most PANEL x PANEL tiles. What is said of a
tile lies at its place in the panel: whether it holds an active pair or a doubtful one, and a bit a
pair for either. Packed rows are padded with zeros to whole tiles and DP columns. SIGN is 1 for
impostors and -1 for genuine pairs; DOUBLE says that the rows are float64.

The screen. A unit row is u = g q + r with integers q, a grain g and |r| <= e. So
    <u_i, u_j> = g_i g_j <q_i, q_j> + <u_i, r_j> + <r_i, u_j> - <r_i, r_j>,
    |<u_i, u_j> - g_i g_j <q_i, q_j>| <= e_i + e_j + e_i e_j.
The product of the codes is exact, three roundings of float32 are within _ROUNDINGS. A tile none of
whose pairs can pay by this bound holds no active pair, and its float product is not computed.

The band. Faces are float16 terms of the unit rows times 2^12; their products are exact in float32.
    Two terms leave at most 2^-22 of an element, and the product of two second terms, which is left
    out, is as small: 3 * 2^-22 of the cosine by Cauchy and Schwarz. (Elements under 2^-15 of their
    row's length may lose 2^-37 of it: while D < 2^16 that is under 2^-28.)
    Tensor cores add 16 products to an accumulator at a time and may cut each of the 17 addends at
    2^-23 of the largest, and then their sum (Fasi, Higham, Mikaitis, Pranesh 2021, "Numerical
    behavior of NVIDIA tensor cores"). Every K columns have an accumulator of their own. It stays
    under the product of the lengths of both rows in these columns, and these add up to at most 1:
    K / 16 * 18 * 2^-23, and 2^-10 of it more for the products of a first and a second term.
    The sum over the blocks of K is float32's, D / K * 2^-24; factors, margin and hinge, 2^-21.
Together, for K = 64, under 1.0e-5 + D 2^-30; `band` is 2^-16 + D 2^-29. Pairs nearer to their hinge
are settled by a float64 cosine of the rows as they came.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

if TYPE_CHECKING:
    constexpr = Any
    i64 = Any
else:
    constexpr, i64 = tl.constexpr, tl.int64

_ROUNDINGS = tl.constexpr(2.0**-20)
_TIE = tl.constexpr(1e-14)
_GROUP = tl.constexpr(
    16
)  # rows of tiles walked together, so that their columns are read from cache
# no machine code of their own for values that happen to be 1 or divisible by 16
_SIZES = ("k", "k1", "k2", "stride", "top", "left", "high", "wide")


@triton.jit
def _put_terms(out, at, step, value, TERMS: constexpr):
    """A float64 tile as a sum of narrower ones: each takes what those before it left."""
    for term in tl.static_range(TERMS):
        part = value.to(out.dtype.element_ty)
        if out.dtype.element_ty.primitive_bitwidth == 16:
            part = value.to(tl.float32).to(out.dtype.element_ty)
        tl.store(out + term * step + at, part)
        value -= part.to(tl.float64)


@partial(triton.jit, do_not_specialize=_SIZES)
def pack(
    x, order, inverse_lengths, weight, faces, pulls, codes, factors, grains, errors,
    k: i64, stride: i64, SCALE: constexpr, D: constexpr, DP: constexpr, R: constexpr,
    CHUNK: constexpr, EXACT: constexpr, FACES: constexpr, PULLS: constexpr,
):  # fmt: skip
    """R rows in sorted order as faces, codes, and pulls: unit rows times weights, to be summed up.

    EXACT: a face has the row's own digits, times a power of two.
    """
    position = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    live = position < k
    row = tl.load(order + position, mask=live, other=0)
    inverse = tl.load(inverse_lengths + row, mask=live, other=0.0)
    power = inverse * SCALE
    if EXACT:
        bits = inverse.to(tl.int64, bitcast=True)
        power = (bits & (0x7FF << 52)).to(tl.float64, bitcast=True) * SCALE
    pull = inverse * SCALE
    if weight is not None:
        pull *= tl.load(weight + position)
    source = x + row[:, None] * stride.to(tl.int64)
    step = tl.num_programs(0).to(tl.int64) * R * DP

    largest = tl.zeros([R], tl.float64)
    for start in range(0, DP, CHUNK):
        column = start + tl.arange(0, CHUNK)
        mask = live[:, None] & (column < D)[None, :]
        value = tl.load(source + column[None, :], mask=mask, other=0.0).to(tl.float64)
        largest = tl.maximum(largest, tl.max(tl.abs(value), 1))
    grain = (largest * inverse / 127.0).to(tl.float32)
    wide_grain = grain.to(tl.float64)
    finer = tl.where(grain > 0, 1.0 / tl.where(grain > 0, wide_grain, 1.0), 0.0)

    left = tl.zeros([R], tl.float64)
    for start in range(0, DP, CHUNK):
        column = start + tl.arange(0, CHUNK)
        mask = live[:, None] & (column < D)[None, :]
        value = tl.load(source + column[None, :], mask=mask, other=0.0).to(tl.float64)
        at = position[:, None] * DP + column[None, :]
        _put_terms(faces, at, step, value * power[:, None], FACES)
        if pulls is not None:
            _put_terms(pulls, at, step, value * pull[:, None], PULLS)
        unit = value * inverse[:, None]
        code = tl.floor(unit * finer[:, None] + 0.5)
        tl.store(codes + at, code.to(tl.int8))
        rest = unit - code * wide_grain[:, None]
        left += tl.sum(rest * rest, 1)
    factor = tl.where(power > 0, inverse / tl.where(power > 0, power, 1.0), 0.0)
    tl.store(factors + position, factor.to(factors.dtype.element_ty))
    tl.store(grains + position, grain)
    tl.store(errors + position, (tl.sqrt(left) * (1 + 2.0**-20)).to(tl.float32))


@triton.jit
def _places(index, top, left, high, wide, T: constexpr, PANEL: constexpr):
    """Where a tile lies in its panel, and the sorted positions of its rows and columns."""
    group = index // (_GROUP * wide)
    deep = tl.minimum(high - group * _GROUP, _GROUP)
    inside = index - group * _GROUP * wide
    r, c = group * _GROUP + inside % deep, inside // deep
    rows = (top + r * T).to(tl.int32) + tl.arange(0, T)
    columns = (left + c * T).to(tl.int32) + tl.arange(0, T)
    return r * PANEL + c, rows, columns


@triton.jit
def _spans(first, last, rows, k1):
    live = rows < k1
    first = tl.load(first + rows, mask=live, other=0).to(tl.int32)
    return live, first, tl.load(last + rows, mask=live, other=0).to(tl.int32)


@triton.jit
def _of_kind(spans, rows, columns, k2, SIGN: constexpr, SYMMETRIC: constexpr):
    """The pairs of a tile that exist and are of the kind swept."""
    live, first, last = spans
    kind = (columns[None, :] >= first[:, None]) & (columns[None, :] < last[:, None])
    if SIGN > 0:
        kind = ~kind
    kind &= live[:, None] & (columns < k2)[None, :]
    if SYMMETRIC:
        kind &= columns[None, :] > rows[:, None]
    return kind


@triton.jit
def _number_of_kind(spans, rows, columns, k2, SIGN: constexpr, SYMMETRIC: constexpr):
    """How many pairs of a tile exist and are of the kind swept, without looking at each."""
    live, first, last = spans
    left, right = tl.min(columns, 0), tl.minimum(tl.max(columns, 0) + 1, k2)
    begin = tl.zeros_like(rows) + left
    if SYMMETRIC:
        begin = tl.maximum(begin, rows + 1)
    number = tl.maximum(tl.minimum(last, right) - tl.maximum(first, begin), 0)
    if SIGN > 0:
        number = tl.maximum(right - begin, 0) - number
    return tl.sum(tl.where(live, number, 0), 0)


@triton.jit
def _near_hinge(
    side1, side2, rows, columns, edge, DP: constexpr, T: constexpr, KS: constexpr, SIGN: constexpr
):
    """The pairs of a tile that the screen lets pass."""
    codes1, grains1, errors1 = side1
    codes2, grains2, errors2 = side2
    product = tl.zeros([T, T], tl.int32)
    for start in range(0, DP, KS):
        column = start + tl.arange(0, KS)
        a = tl.load(codes1 + rows.to(tl.int64)[:, None] * DP + column[None, :])
        b = tl.load(codes2 + columns.to(tl.int64)[:, None] * DP + column[None, :])
        product = tl.dot(a, tl.trans(b), product, out_dtype=tl.int32)
    s = product.to(tl.float32) * tl.load(grains1 + rows)[:, None]
    error1, error2 = tl.load(errors1 + rows)[:, None], tl.load(errors2 + columns)[None, :]
    hinge = SIGN * (s * tl.load(grains2 + columns)[None, :] - edge)
    return hinge + (error1 + error2 + error1 * error2 + _ROUNDINGS) > 0


@triton.jit
def add(sums, which: constexpr, x, OF: constexpr):
    """Add to one of this program's own sums; the host adds up the programs'."""
    at = sums + tl.program_id(0) * OF + which
    tl.store(at, tl.load(at) + x)


@partial(triton.jit, do_not_specialize=_SIZES)
def screen(
    codes1, grains1, errors1, first1, last1, codes2, grains2, errors2, margins, active_tiles,
    counts, k1: i64, k2: i64, top: i64, left: i64, high: i64, wide: i64,
    DP: constexpr, T: constexpr, KS: constexpr, PANEL: constexpr, SIGN: constexpr,
    SYMMETRIC: constexpr,
):  # fmt: skip
    """Which tiles of a panel may hold an active pair.

    A program whose screening fails more often than it spares a product, by two, gives it up.
    """
    edge = tl.load(margins).to(tl.float32)
    k1, k2, high, wide = k1.to(tl.int32), k2.to(tl.int32), high.to(tl.int32), wide.to(tl.int32)
    side1, side2 = (codes1, grains1, errors1), (codes2, grains2, errors2)
    tiles, screened, pairs, evaluated, spared, failed = 0, 0, 0, 0, 0, 0
    for index in range(tl.program_id(0), high * wide, tl.num_programs(0)):
        at, rows, columns = _places(index, top, left, high, wide, T, PANEL)
        spans = _spans(first1, last1, rows, k1)
        worth = 0
        number = _number_of_kind(spans, rows, columns, k2, SIGN, SYMMETRIC)
        if number > 0:
            worth = 1
            if (failed < spared + 2) & (DP <= 2**17):  # past it the codes' sums overflow
                near = _near_hinge(side1, side2, rows, columns, edge, DP, T, KS, SIGN)
                near &= _of_kind(spans, rows, columns, k2, SIGN, SYMMETRIC)
                worth = tl.max(tl.max(near.to(tl.int32), 1), 0)
                spared += 1 - worth
                failed += worth
            tiles += 1
            screened += 1 - worth
            pairs += number
            evaluated += number * worth
        tl.store(active_tiles + at, worth)
    if counts is not None:
        add(counts, 0, tiles, 5)
        add(counts, 1, screened, 5)
        add(counts, 2, pairs, 5)
        add(counts, 3, evaluated, 5)


@triton.jit
def _cosines(
    side1, side2, rows, columns,
    DP: constexpr, T: constexpr, K: constexpr, FACES: constexpr, DOUBLE: constexpr,
):  # fmt: skip
    """Cosines of a tile, [T, T] of float32 (float64 for float64 rows)."""
    faces1, step1, factors1 = side1
    faces2, step2, factors2 = side2
    wide: constexpr = tl.float64 if DOUBLE else tl.float32
    total = tl.zeros([T, T], wide)
    at1 = faces1 + rows.to(tl.int64)[:, None] * DP
    at2 = faces2 + columns.to(tl.int64)[:, None] * DP
    for start in range(0, DP, K):
        column = (start + tl.arange(0, K))[None, :]
        a, b = tl.load(at1 + column), tl.trans(tl.load(at2 + column))
        part = tl.zeros([T, T], wide)
        if FACES == 2:
            low_a, low_b = tl.load(at1 + step1 + column), tl.trans(tl.load(at2 + step2 + column))
            part = tl.dot(low_a, b, part, out_dtype=wide)
            part = tl.dot(a, low_b, part, out_dtype=wide)
        # Meant for float8, max_num_imprecise_acc also keeps `total` out of the tensor cores.
        total += tl.dot(a, b, part, max_num_imprecise_acc=K, out_dtype=wide)
    return total * (tl.load(factors1 + rows)[:, None] * tl.load(factors2 + columns)[None, :])


@triton.jit
def _bits(truths, T: constexpr):
    """A tile of truths as words of 32 along its rows."""
    bits = tl.reshape(truths.to(tl.int32), [T, T // 32, 32])
    return tl.sum(bits << tl.arange(0, 32)[None, None, :], 2)


@triton.jit
def word_at(words, tile, T: constexpr):
    """Where the words of a tile lie."""
    row, word = tl.arange(0, T), tl.arange(0, T // 32)
    return words + tile * (T * T // 32) + row[:, None] * (T // 32) + word[None, :]


@triton.jit
def truths(words, ROWS: constexpr, COLUMNS: constexpr, T: constexpr):
    """Part of a tile's bits as 0 and 1, from where its words begin."""
    row, word = tl.arange(0, ROWS), tl.arange(0, COLUMNS // 32)
    words = tl.load(words + row[:, None] * (T // 32) + word[None, :])
    bits = (words[:, :, None] >> tl.arange(0, 32)[None, None, :]) & 1
    return tl.reshape(bits, [ROWS, COLUMNS])


@triton.jit
def _weigh(words, weight1, weight2, T: constexpr):
    """The sum of the weights of a tile's active pairs, from their bits: in float64, by columns."""
    place, total = tl.arange(0, 32), tl.zeros([T], tl.float64)
    for word in range(T // 32):
        active = truths(words + word, T, 32, T).to(tl.float64)
        total += tl.sum(active * tl.load(weight2 + word * 32 + place)[None, :], 1)
    return tl.sum(total * weight1, 0)


@partial(triton.jit, do_not_specialize=_SIZES)
def sweep(
    faces1, factors1, first1, last1, weight1, faces2, factors2, weight2,
    margins, bits, doubts, active_tiles, doubtful_tiles, sums, counts,
    k1: i64, k2: i64, step1: i64, step2: i64, top: i64, left: i64, high: i64, wide: i64,
    D: constexpr, DP: constexpr, T: constexpr, K: constexpr, PANEL: constexpr,
    FACES: constexpr, SIGN: constexpr, SYMMETRIC: constexpr, DOUBLE: constexpr,
):  # fmt: skip
    """The tiles that passed the screen: their sums, which pairs are active and which in doubt."""
    side1, side2 = (faces1, step1, factors1), (faces2, step2, factors2)
    margin = tl.load(margins)
    edge = margin if DOUBLE else margin.to(tl.float32)
    band = _TIE if DOUBLE else 2.0**-16 + D * 2.0**-29
    k1, k2, high, wide = k1.to(tl.int32), k2.to(tl.int32), high.to(tl.int32), wide.to(tl.int32)
    total, weighed, paying = margin * 0.0, margin * 0.0, 0
    for index in range(tl.program_id(0), high * wide, tl.num_programs(0)):
        at, rows, columns = _places(index, top, left, high, wide, T, PANEL)
        some_active, some_doubtful = 0, 0
        if tl.load(active_tiles + at) > 0:
            over = SIGN * (_cosines(side1, side2, rows, columns, DP, T, K, FACES, DOUBLE) - edge)
            spans = _spans(first1, last1, rows, k1)
            kind = _of_kind(spans, rows, columns, k2, SIGN, SYMMETRIC)
            active = kind & (over > band)
            number = tl.sum(tl.sum(active.to(tl.int32), 1), 0)
            some_active = tl.minimum(number, 1)
            if not DOUBLE:
                doubtful = kind & (tl.abs(over) <= band)
                some_doubtful = tl.max(tl.max(doubtful.to(tl.int32), 1), 0)
                if some_doubtful > 0:
                    tl.store(word_at(doubts, at, T), _bits(doubtful, T))
            if some_active + some_doubtful > 0:
                tl.store(word_at(bits, at, T), _bits(active, T))
                cost = tl.where(active, over, 0.0)
                weigh = number.to(tl.float64)
                if weight1 is not None:
                    cost *= tl.load(weight2 + columns).to(over.dtype)[None, :]
                line = tl.sum(cost, 1).to(tl.float64)
                if weight1 is not None:
                    line *= tl.load(weight1 + rows)
                    tl.debug_barrier()  # the bits are read by other threads than wrote them
                    words = bits + at * (T * T // 32)
                    across = weight2 + tl.min(columns, 0)
                    weigh = _weigh(words, tl.load(weight1 + rows), across, T)
                total += tl.sum(line, 0)
                weighed += weigh
                paying += number
        tl.store(active_tiles + at, some_active)
        if not DOUBLE:
            tl.store(doubtful_tiles + at, some_doubtful)
    add(sums, 0, total, 2)
    add(sums, 1, weighed, 2)
    if counts is not None:
        add(counts, 4, paying, 5)
