"""The GPU sweep's device code for the pairs found: doubts settled, pulls added up.

A tile, a panel, SIGN and DOUBLE are as in `triton_sweep_device`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

from cospair.kernels import triton_gpu
from cospair.kernels.triton_sweep_device import add, truths, word_at

if TYPE_CHECKING:
    constexpr = Any
    i64 = Any
else:
    constexpr, i64 = tl.constexpr, tl.int64

_TIE = tl.constexpr(1e-14)
# Triton's interpreter would multiply the integers that hold bfloat16
_WIDEN = tl.constexpr(triton_gpu._interpreted())
_SIZES = (
    "k", "stride1", "stride2", "top", "left", "high", "wide", "begin", "others", "across",
    "own_step", "other_step",
)  # fmt: skip


@triton.jit
def _settled(
    side1, side2, row1, left, rank, number, margin,
    D: constexpr, T: constexpr, SLOTS: constexpr, CHUNK: constexpr, SIGN: constexpr,
):  # fmt: skip
    """Cost and weight of one row's pairs in doubt, and which of them pay; rank numbers them."""
    x1, _order1, inverse_lengths1, stride1 = side1
    x2, order2, inverse_lengths2, weight2, stride2 = side2
    total, weighed, pays = margin * 0.0, margin * 0.0, tl.zeros([T], tl.int32)
    for base in range(0, number, SLOTS):
        slot = base + tl.arange(0, SLOTS)
        there = slot < number
        which = rank[None, :] == slot[:, None] + 1
        position = left + tl.sum(tl.where(which, tl.arange(0, T)[None, :], 0), 1)
        row2 = tl.load(order2 + position, mask=there, other=0)
        s = tl.zeros([SLOTS], tl.float64)
        for start in range(0, D, CHUNK):
            column = start + tl.arange(0, CHUNK)
            inside = column < D
            both = there[:, None] & inside[None, :]
            a = tl.load(x1 + row1 * stride1 + column, mask=inside, other=0.0).to(tl.float64)
            at2 = x2 + row2[:, None] * stride2 + column[None, :]
            s += tl.sum(a[None, :] * tl.load(at2, mask=both, other=0.0).to(tl.float64), 1)
        inverse2 = tl.load(inverse_lengths2 + row2, mask=there, other=0.0)
        cost = SIGN * (s * (tl.load(inverse_lengths1 + row1) * inverse2) - margin)
        active = there & (cost > _TIE)
        weigh = active.to(tl.float64)
        if weight2 is not None:
            weigh *= tl.load(weight2 + position, mask=there, other=0.0)
        total += tl.sum(cost * weigh, 0)
        weighed += tl.sum(weigh, 0)
        pays += tl.sum(tl.where(which, active.to(tl.int32)[:, None], 0), 0)
    return total, weighed, pays


@partial(triton.jit, do_not_specialize=_SIZES)
def settle(
    x1, order1, inverse_lengths1, weight1, x2, order2, inverse_lengths2, weight2,
    margins, bits, doubts, active_tiles, doubtful_tiles, sums, counts,
    stride1: i64, stride2: i64, top: i64, left: i64, high: i64, wide: i64,
    D: constexpr, T: constexpr, SLOTS: constexpr, CHUNK: constexpr, PANEL: constexpr,
    SIGN: constexpr,
):  # fmt: skip
    """Decide the pairs in doubt, row by row of a tile, SLOTS of a row at a time."""
    margin = tl.load(margins)
    high, wide = high.to(tl.int32), wide.to(tl.int32)
    side1 = (x1, order1, inverse_lengths1, stride1)
    side2 = (x2, order2, inverse_lengths2, weight2, stride2)
    place, word = tl.arange(0, T), tl.arange(0, T // 32)
    total, weighed, paying = margin * 0.0, margin * 0.0, 0
    for index in range(tl.program_id(0), high * wide, tl.num_programs(0)):
        r, c = index // wide, index % wide
        at = r * PANEL + c
        if tl.load(doubtful_tiles + at) > 0:
            some = tl.max((tl.load(word_at(doubts, at, T)) != 0).to(tl.int32), 1) > 0
            found = tl.load(active_tiles + at)
            i = tl.min(tl.where(some, place, T), 0)
            while i < T:
                line, position = at * (T * T // 32) + i * (T // 32), top + r * T + i
                doubt = (tl.load(doubts + line + place // 32) >> (place % 32)) & 1
                cost, weigh, pays = _settled(
                    side1, side2, tl.load(order1 + position), left + c * T,
                    tl.cumsum(doubt, 0) * doubt, tl.sum(doubt, 0), margin, D, T, SLOTS, CHUNK, SIGN,
                )  # fmt: skip
                if weight1 is not None:
                    weight = tl.load(weight1 + position)
                    cost, weigh = cost * weight, weigh * weight
                total, weighed, paying = total + cost, weighed + weigh, paying + tl.sum(pays, 0)
                found = tl.maximum(found, tl.max(pays, 0))
                more = tl.sum(tl.reshape(pays, [T // 32, 32]) << tl.arange(0, 32)[None, :], 1)
                tl.store(bits + line + word, tl.load(bits + line + word) | more)
                i = tl.min(tl.where(some & (place > i), place, T), 0)
            tl.store(active_tiles + at, found)
    add(sums, 0, total, 2)
    add(sums, 1, weighed, 2)
    if counts is not None:
        add(counts, 4, paying, 5)


@partial(triton.jit, do_not_specialize=_SIZES)
def collect(
    active_tiles, lists, numbers, across: i64, own_step: i64, other_step: i64, PANEL: constexpr
):
    """The places of the active tiles of one row (or column) of tiles, in order, and how many."""
    own, place = tl.program_id(0), tl.arange(0, PANEL)
    at = active_tiles + own * own_step + place * other_step
    active = tl.load(at, mask=place < across, other=0)
    tl.store(lists + own * PANEL + tl.cumsum(active, 0) - 1, place, mask=active > 0)
    tl.store(numbers + own, tl.sum(active, 0))


@partial(triton.jit, do_not_specialize=_SIZES)
def pull(
    bits, lists, numbers, pulls, order, scales, gradient,
    k: i64, begin: i64, others: i64, step: i64,
    D: constexpr, DP: constexpr, T: constexpr, K: constexpr, N: constexpr, PANEL: constexpr,
    PULLS: constexpr, TURNED: constexpr, DOUBLE: constexpr,
):  # fmt: skip
    """Add what the active pairs of a panel pull on T rows, N columns of it.

    A program alone writes its part of the gradient. Every K of the others have an accumulator of
    their own, for tensor cores cut where they add.
    """
    wide: constexpr = tl.float64 if DOUBLE else tl.float32
    own, column = tl.program_id(0), tl.program_id(1) * N + tl.arange(0, N)
    number = tl.load(numbers + own)
    if number == 0:
        return
    total = tl.zeros([T, N], wide)
    for index in range(0, number * (T // K)):
        other, at = tl.load(lists + own * PANEL + index // (T // K)), index % (T // K)
        if TURNED:
            words = bits + (other * PANEL + own) * (T * T // 32) + at * (K * T // 32)
            mask = tl.trans(truths(words, K, T, T))
        else:
            words = bits + (own * PANEL + other) * (T * T // 32) + at * (K // 32)
            mask = truths(words, T, K, T)
        rows = others + other * T + at * K + tl.arange(0, K)
        source = pulls + rows[:, None] * DP + column[None, :]
        part = tl.zeros([T, N], wide)
        for term in tl.static_range(PULLS):
            value = tl.load(source + (PULLS - 1 - term) * step)
            if _WIDEN and value.dtype == tl.bfloat16:
                value = value.to(tl.float32)
            part = tl.dot(mask.to(value.dtype), value, part, out_dtype=wide)
        total += part
    position = begin + own * T + tl.arange(0, T)
    live = position < k
    row = tl.load(order + position, mask=live, other=0)
    scale = tl.load(scales + position, mask=live, other=0.0)
    inside = live[:, None] & (column < D)[None, :]
    at = gradient + row[:, None] * D + column[None, :]
    before = tl.load(at, mask=inside, other=0.0).to(tl.float64)
    after = before + total.to(tl.float64) * scale[:, None]
    tl.store(at, after.to(gradient.dtype.element_ty), mask=inside)
