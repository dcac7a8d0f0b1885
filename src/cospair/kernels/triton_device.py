"""The GPU kernel's device code: what Triton compiles. `triton_gpu.py` decides and launches.

This file imports Triton, so nothing imports it before a loss is computed on a GPU.

Tiles are [R, BLOCK] of float64, what belongs to a row is [R]. A side is a pointer, the stride of
its rows and the two powers of two that scale each; a place is row indices and which of them
exist. DOUBLE says that the inputs are float64: sums are then high + low, for both are needed.
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

# no machine code of their own for values that happen to be 1 or divisible by 16
_UNSPECIALISED = (
    "target", "weight", "upstream", "losses", "loss", "partials", "counter", "n", "stride1",
    "stride2", "target_stride", "weight_stride", "upstream_stride", "share_bits", "margin_bits",
    "positive_margin_bits",
)  # fmt: skip


@triton.jit
def _mask(column, live, D: constexpr, BLOCK: constexpr):
    mask = live[:, None]
    if D % BLOCK != 0:
        mask = mask & (column < D)[None, :]
    return mask


@triton.jit
def _tile(side, place, column, D: constexpr, BLOCK: constexpr, SCALE: constexpr):
    x, stride, lift, power = side
    row, live = place
    at = x + row[:, None] * stride + column[None, :]
    tile = tl.load(at, mask=_mask(column, live, D, BLOCK), other=0.0).to(tl.float64)
    if SCALE:
        tile = (tile * lift[:, None]) * power[:, None]
    return tile


@triton.jit
def _to_size_1(side, place, tile, D: constexpr, R: constexpr, BLOCK: constexpr, CHUNK: constexpr):
    """The side with its powers of two, for one alone cannot lift a denormal row, and the tile."""
    x, stride, _lift, _power = side
    if D <= BLOCK:
        largest = tl.max(tl.abs(tile), 1)
    else:
        largest = tl.zeros([R], tl.float64)
        for start in range(0, D, CHUNK):
            part = _tile(side, place, start + tl.arange(0, CHUNK), D, CHUNK, False)
            largest = tl.maximum(largest, tl.max(tl.abs(part), 1))
    lift = tl.where(largest < 2.0**-900, 2.0**100, 1.0).to(tl.float64)
    exponent = ((largest * lift).to(tl.int64, bitcast=True) >> 52) & 0x7FF
    power = (2046 - tl.minimum(tl.maximum(exponent, 1), 2045)) << 52
    power = power.to(tl.float64, bitcast=True)
    if D <= BLOCK:
        tile = (tile * lift[:, None]) * power[:, None]
    return (x, stride, lift, power), tile


@triton.jit
def _dot(x, y, D: constexpr, DOUBLE: constexpr):
    """Sum of products as high + low."""
    product = x * y
    if DOUBLE:
        # Elements are below 4. So the high parts are multiples of one unit, fewer than 2^53 of
        # which make up any sum of them: it is exact in any order.
        top = (product + 64.0 * D) - 64.0 * D
        low = tl.sum((product - top) + tl.fma(x, y, -product), 1)
        high = tl.sum(top, 1)
    else:
        high = tl.sum(product, 1)
        low = tl.zeros_like(high)
    return high, low


@triton.jit
def _dots(a, b, D: constexpr, DOUBLE: constexpr):
    norm1, low1 = _dot(a, a, D, DOUBLE)
    norm2, low2 = _dot(b, b, D, DOUBLE)
    dot, low = _dot(a, b, D, DOUBLE)
    return norm1, low1, norm2, low2, dot, low


@triton.jit
def _wide_dots(
    side1, side2, place, D: constexpr, R: constexpr, CHUNK: constexpr, DOUBLE: constexpr
):
    norm1 = tl.zeros([R], tl.float64)
    low1, norm2, low2, dot, low = norm1, norm1, norm1, norm1, norm1
    for start in range(0, D, CHUNK):
        a = _tile(side1, place, start + tl.arange(0, CHUNK), D, CHUNK, DOUBLE)
        b = _tile(side2, place, start + tl.arange(0, CHUNK), D, CHUNK, DOUBLE)
        part1, rest1, part2, rest2, part, rest = _dots(a, b, D, DOUBLE)
        norm1, norm2, dot = norm1 + part1, norm2 + part2, dot + part
        low1, low2, low = low1 + rest1, low2 + rest2, low + rest
    return norm1, low1, norm2, low2, dot, low


@triton.jit
def _two_sum(x, y):
    total = x + y
    z = total - x
    return total, (x - (total - z)) + (y - z)


@triton.jit
def _cosine(norm1, low1, norm2, low2, dot, low, DOUBLE: constexpr):
    """One over the product of the lengths, and the cosine as s + rest."""
    product = norm1 * norm2
    lengths = tl.sqrt(product)
    inverse = 1.0 / lengths
    s = dot / lengths  # not times the inverse: a cosine that is the margin must come out as it
    rest = tl.zeros_like(s)
    if DOUBLE:
        square, back = lengths * lengths, s * lengths
        more = tl.fma(norm1, norm2, -product) + (norm1 * low2 + norm2 * low1)
        more += (product - square) - tl.fma(lengths, lengths, -square)
        left = ((dot - back) - tl.fma(s, lengths, -back)) + low
        rest = (left - s * (0.5 * more * inverse)) * inverse
    return inverse, s, rest


@triton.jit
def _ratio(longer, longer_low, shorter, shorter_low, DOUBLE: constexpr):
    """Shorter length over the longer, and its relative error where there are figures to tell it."""
    ratio = tl.sqrt(shorter / longer)
    delta = tl.zeros_like(ratio)
    if DOUBLE:
        square = ratio * ratio
        back = square * longer
        left = ((back - shorter) + tl.fma(square, longer, -back)) - shorter_low
        left += square * longer_low + tl.fma(ratio, ratio, -square) * longer
        delta = left / (2.0 * shorter)
    return ratio, delta


@triton.jit
def _difference(a, b, factors):
    """factor2 b - factor1 a, where one of them is 1, as if rounded once."""
    factor1, factor2 = factors
    product = factor2[:, None] * b
    error = tl.fma(factor2[:, None], b, -product)
    return tl.fma(-factor1[:, None], a, product) + error


@triton.jit
def _distance(
    side1, side2, place, factors, D: constexpr, R: constexpr, CHUNK: constexpr, DOUBLE: constexpr
):
    """Squared length of the difference."""
    distance = tl.zeros([R], tl.float64)
    for start in range(0, D, CHUNK):
        a = _tile(side1, place, start + tl.arange(0, CHUNK), D, CHUNK, DOUBLE)
        b = _tile(side2, place, start + tl.arange(0, CHUNK), D, CHUNK, DOUBLE)
        e = _difference(a, b, factors)
        distance += tl.sum(e * e, 1)
    return distance


@triton.jit
def _gap(distance, shorter, ratio, delta, DOUBLE: constexpr):
    """1 - |s| from the squared distance, and whether all of it is the rounding of the ratio."""
    twice = distance / shorter - delta * delta
    gap = tl.where(twice > 0, 0.5 * twice / (1.0 + delta), 0.0)
    parallel = gap < 0
    if not DOUBLE:
        rounded = (ratio.to(tl.int64, bitcast=True) & 0xFFFFFFFFFFFFF) != 0
        parallel = rounded & (gap < 2.0**-102)
    return tl.where(parallel, 0.0, gap), parallel


@triton.jit
def _hinge(s, rest, anchor, target, margin, positive_margin, BOOL: constexpr):
    """What the pair costs, the sign with which its cosine enters, and whether its target is one."""
    if BOOL:
        genuine = target != 0
        valid = genuine | (target == 0)
    else:
        genuine = target == 1
        valid = genuine | (target == -1)
    direction = tl.where(genuine, -1.0, 1.0).to(tl.float64)
    high, error = _two_sum(anchor, -tl.where(genuine, positive_margin, margin))
    high, more = _two_sum(high, s)
    hinge = direction * (high + ((error + more) + rest))
    return tl.where(hinge > 0, hinge, 0.0), direction, valid


@triton.jit
def _unscaled(g, side, DOUBLE: constexpr):
    """The gradient of a row from that of the row scaled."""
    _x, _stride, lift, power = side
    if DOUBLE:
        g = (g * power[:, None]) * lift[:, None]
    return g


@triton.jit
def _clear(out, D: constexpr, CHUNK: constexpr):
    """Start this program's sum of a shared row's gradient."""
    for start in range(0, D, CHUNK):
        column = start + tl.arange(0, CHUNK)
        at = out + tl.program_id(0).to(tl.int64) * D + column
        tl.store(at, tl.zeros([CHUNK], tl.float64), mask=column < D)
    tl.debug_barrier()


@triton.jit
def _add_to(out, part, column, D: constexpr):
    """Add to this program's sum of a shared row's gradient."""
    at = out + tl.program_id(0).to(tl.int64) * D + column
    tl.store(at, tl.load(at, mask=column < D, other=0.0) + part, mask=column < D)
    tl.debug_barrier()  # another thread may be the one to read this element next


@triton.jit
def _put(
    out, g, side, place, column,
    D: constexpr, BLOCK: constexpr, SHARED: constexpr, DOUBLE: constexpr,
):  # fmt: skip
    """A tile of one side's gradient to memory; of a shared row, into the program's sum there."""
    row, live = place
    g = _unscaled(g, side, DOUBLE)
    if SHARED:
        _add_to(out, tl.sum(g, 0), column, D)
    else:
        if out.dtype.element_ty.primitive_bitwidth == 16:
            g = g.to(tl.float32)
        at = out + row[:, None] * D + column[None, :]
        tl.store(at, g.to(out.dtype.element_ty), mask=_mask(column, live, D, BLOCK))


@triton.jit
def _write(
    out, total, row, other, side, place, own, along,
    D: constexpr, BLOCK: constexpr, SHARED: constexpr, DOUBLE: constexpr,
):  # fmt: skip
    """One side's gradient of rows in registers; of a shared row, into the sum there."""
    if out is not None:
        g = tl.fma(own[:, None], row, along[:, None] * other)
        if SHARED:
            total += _unscaled(g, side, DOUBLE)
        else:
            _put(out, g, side, place, tl.arange(0, BLOCK), D, BLOCK, False, DOUBLE)
    return total


@triton.jit
def _write_again(
    gradient1, gradient2, side1, side2, place, steps, factors, close,
    D: constexpr, CHUNK: constexpr, SHARED1: constexpr, SHARED2: constexpr, DOUBLE: constexpr,
    CLOSE: constexpr,
):  # fmt: skip
    """Both gradients of rows that are read once more for it."""
    own1, along1, own2, along2 = steps
    for start in range(0, D, CHUNK):
        column = start + tl.arange(0, CHUNK)
        a = _tile(side1, place, column, D, CHUNK, DOUBLE)
        b = _tile(side2, place, column, D, CHUNK, DOUBLE)
        other1, other2 = b, a
        if CLOSE:
            e = _difference(a, b, factors)
            other1, other2 = tl.where(close[:, None], e, b), tl.where(close[:, None], e, a)
        if gradient1 is not None:
            g = tl.fma(own1[:, None], a, along1[:, None] * other1)
            _put(gradient1, g, side1, place, column, D, CHUNK, SHARED1, DOUBLE)
        if gradient2 is not None:
            g = tl.fma(own2[:, None], b, along2[:, None] * other2)
            _put(gradient2, g, side2, place, column, D, CHUNK, SHARED2, DOUBLE)


@triton.jit
def _near(
    side1, side2, place, sums, s, rest, away,
    D: constexpr, R: constexpr, CHUNK: constexpr, DOUBLE: constexpr,
):  # fmt: skip
    """Cosines near +-1 as anchor + s + rest, and how their gradients are put together."""
    norm1, low1, norm2, low2, inverse, close = sums
    own1, along1, own2, along2 = away
    sign = tl.where(s < 0, -1.0, 1.0).to(tl.float64)
    first = norm1 >= norm2
    longer, longer_low = tl.where(first, norm1, norm2), tl.where(first, low1, low2)
    shorter, shorter_low = tl.where(first, norm2, norm1), tl.where(first, low2, low1)
    ratio, delta = _ratio(longer, longer_low, shorter, shorter_low, DOUBLE)
    factors = (tl.where(first, sign * ratio, 1.0), tl.where(first, 1.0, sign * ratio))
    distance = _distance(side1, side2, place, factors, D, R, CHUNK, DOUBLE)
    gap, parallel = _gap(distance, shorter, ratio, delta, DOUBLE)
    some = tl.where(parallel, 0.0, 1.0).to(tl.float64)
    unit1, unit2 = some * sign * inverse * norm2, some * sign * inverse * norm1
    swing = tl.where(first, delta, -delta)
    parts = (
        tl.where(close, unit1 * (gap + swing), own1),
        tl.where(close, tl.where(first, some, unit1), along1),
        tl.where(close, unit2 * (gap - swing), own2),
        tl.where(close, tl.where(first, -unit2, -some), along2),
    )
    anchor = tl.where(close, sign, 0.0)
    return anchor, tl.where(close, -sign * gap, s), tl.where(close, 0.0, rest), factors, parts


@triton.jit
def _finish(
    gradient1, gradient2, losses, lost, total1, total2, a, b, side1, side2, place, sums, s, rest,
    faults, pair, D: constexpr, R: constexpr, BLOCK: constexpr, CHUNK: constexpr,
    SHARED1: constexpr, SHARED2: constexpr, DOUBLE: constexpr, BOOL: constexpr, CLOSE: constexpr,
):  # fmt: skip
    """Losses and gradients of a block of rows; CLOSE: some of their cosines are near +-1.

    Those are few, and are read once more: so the others have the registers to themselves.
    """
    row, live = place
    norm1, _low1, norm2, _low2, inverse, close = sums
    broken, zero = faults
    target, weight, pull, margin, positive_margin = pair
    anchor, factors, one = tl.zeros_like(s), None, tl.full([R], 1.0, tl.float64)
    parts = (-s * inverse * norm2, one, -s * inverse * norm1, one)
    if CLOSE:
        anchor, s, rest, factors, parts = _near(
            side1, side2, place, sums, s, rest, parts, D, R, CHUNK, DOUBLE
        )

    cost, direction, valid = _hinge(s, rest, anchor, target, margin, positive_margin, BOOL)
    loss = tl.where(broken | ~valid, float("nan"), weight * cost)
    if losses is not None:
        if losses.dtype.element_ty.primitive_bitwidth == 16:
            loss = loss.to(tl.float32)
        tl.store(losses + row, loss.to(losses.dtype.element_ty), mask=live)
    else:
        lost += tl.where(live, loss, 0.0)

    step = tl.where((cost > 0) & ~zero, direction * pull, 0.0)
    step = tl.where(broken | ~valid, float("nan"), step) * inverse
    own1, along1, own2, along2 = parts
    steps = (step * own1, step * along1, step * own2, step * along2)
    if CLOSE or D > BLOCK:
        if gradient1 is not None or gradient2 is not None:
            _write_again(
                gradient1, gradient2, side1, side2, place, steps, factors, close,
                D, CHUNK, SHARED1, SHARED2, DOUBLE, CLOSE,
            )  # fmt: skip
    else:
        total1 = _write(
            gradient1, total1, a, b, side1, place, steps[0], steps[1], D, BLOCK, SHARED1, DOUBLE
        )
        total2 = _write(
            gradient2, total2, b, a, side2, place, steps[2], steps[3], D, BLOCK, SHARED2, DOUBLE
        )
    return lost, total1, total2


@triton.jit
def _total(loss, partials, counter, lost, n, FOLD: constexpr, MEAN: constexpr):
    """The loss from every program's part, by the last of them to come here, in their order."""
    programs = tl.num_programs(0)
    tl.store(partials + tl.program_id(0), lost)
    tl.debug_barrier()
    if tl.atomic_add(counter, 1, sem="acq_rel") == programs - 1:
        total = tl.zeros([FOLD], tl.float64)
        for start in range(0, programs, FOLD):
            at = start + tl.arange(0, FOLD)
            # past the first cache, which may hold what another program has since written
            total += tl.load(partials + at, mask=at < programs, other=0.0, cache_modifier=".cg")
        result = tl.sum(total, 0)
        if MEAN:
            result = result / n
        if loss.dtype.element_ty.primitive_bitwidth == 16:
            result = result.to(tl.float32)
        tl.store(loss, result.to(loss.dtype.element_ty))
        tl.store(counter, 0)


@partial(triton.jit, do_not_specialize=_UNSPECIALISED)
def pairs(
    x1, x2, gradient1, gradient2, target, weight, upstream, losses, loss, partials, counter,
    n: i64, stride1: i64, stride2: i64, target_stride: i64, weight_stride: i64,
    upstream_stride: i64, share_bits: i64, margin_bits: i64, positive_margin_bits: i64,
    D: constexpr, R: constexpr, BLOCK: constexpr, CHUNK: constexpr, UNIT: constexpr,
    FOLD: constexpr, SHARED1: constexpr, SHARED2: constexpr, MEAN: constexpr,
    UNLESS_ONE: constexpr, DOUBLE: constexpr, BOOL: constexpr,
):  # fmt: skip
    """Blocks of R pairs; a pointer that is None is not there or not wanted."""
    if UNLESS_ONE:
        settled = tl.load(upstream).to(tl.float64) == 1.0
        if settled:
            return
    share = share_bits.to(tl.int64).to(tl.float64, bitcast=True)
    margin = margin_bits.to(tl.int64).to(tl.float64, bitcast=True)
    positive_margin = positive_margin_bits.to(tl.int64).to(tl.float64, bitcast=True)
    program = tl.program_id(0)
    column = tl.arange(0, BLOCK)
    one = tl.full([R], 1.0, tl.float64)
    lost = tl.zeros([R], tl.float64)
    total1, total2 = tl.zeros([1, 1], tl.float64), tl.zeros([1, 1], tl.float64)
    if SHARED1:
        _clear(gradient1, D, CHUNK)
        if D <= BLOCK:
            total1 = tl.zeros([R, BLOCK], tl.float64)
    if SHARED2:
        _clear(gradient2, D, CHUNK)
        if D <= BLOCK:
            total2 = tl.zeros([R, BLOCK], tl.float64)

    blocks = tl.cdiv(n.to(tl.int64), R).to(tl.int32)
    for block in range(program, blocks, tl.num_programs(0)):
        row = tl.full([R], block, tl.int64) * R + tl.arange(0, R)
        live = row < n
        place = (row, live)
        side1 = (x1, stride1.to(tl.int64) * UNIT, one, one)
        side2 = (x2, stride2.to(tl.int64) * UNIT, one, one)
        a, b = one, one
        if D <= BLOCK:
            a = _tile(side1, place, column, D, BLOCK, False)
            b = _tile(side2, place, column, D, BLOCK, False)
        kind = tl.load(target + row * target_stride, mask=live, other=1)
        weigh = one
        if weight is not None:
            weigh = tl.load(weight + row * weight_stride, mask=live, other=0.0).to(tl.float64)
        pull = weigh * share
        if upstream is not None:
            at = upstream + row * upstream_stride
            pull *= tl.load(at, mask=live, other=0.0).to(tl.float64)
        if DOUBLE:
            side1, a = _to_size_1(side1, place, a, D, R, BLOCK, CHUNK)
            side2, b = _to_size_1(side2, place, b, D, R, BLOCK, CHUNK)
        if D <= BLOCK:
            norm1, low1, norm2, low2, dot, low = _dots(a, b, D, DOUBLE)
        else:
            norm1, low1, norm2, low2, dot, low = _wide_dots(
                side1, side2, place, D, R, CHUNK, DOUBLE
            )
        if DOUBLE:
            norm1, low1 = _two_sum(norm1, low1)
            norm2, low2 = _two_sum(norm2, low2)
            dot, low = _two_sum(dot, low)

        broken = ((norm1 + norm2) - (norm1 + norm2)) != 0  # NaN or infinity came in
        zero = (norm1 == 0) | (norm2 == 0)
        sound = ~(broken | zero)
        norm1, norm2 = tl.where(sound, norm1, 1.0), tl.where(sound, norm2, 1.0)
        dot = tl.where(sound, dot, 0.0)
        inverse, s, rest = _cosine(norm1, low1, norm2, low2, dot, low, DOUBLE)
        close = tl.abs(s) > (0.9 if DOUBLE else 0.9999)
        sums = (norm1, low1, norm2, low2, inverse, close)
        faults = (broken, zero)
        pair = (kind, weigh, pull, margin, positive_margin)
        if tl.max(close.to(tl.int32), 0) > 0:
            lost, total1, total2 = _finish(
                gradient1, gradient2, losses, lost, total1, total2, a, b, side1, side2, place, sums,
                s, rest, faults, pair, D, R, BLOCK, CHUNK, SHARED1, SHARED2, DOUBLE, BOOL, True,
            )  # fmt: skip
        else:
            lost, total1, total2 = _finish(
                gradient1, gradient2, losses, lost, total1, total2, a, b, side1, side2, place, sums,
                s, rest, faults, pair, D, R, BLOCK, CHUNK, SHARED1, SHARED2, DOUBLE, BOOL, False,
            )  # fmt: skip

    if SHARED1 and D <= BLOCK:
        _add_to(gradient1, tl.sum(total1, 0), column, D)
    if SHARED2 and D <= BLOCK:
        _add_to(gradient2, tl.sum(total2, 0), column, D)
    if loss is not None:
        _total(loss, partials, counter, tl.sum(lost, 0), n, FOLD, MEAN)
