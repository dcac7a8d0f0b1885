// Scores of a block of pairs, at and between edges. Compiled once for each instruction set.
#include "counting.hpp"

#include "lanes.hpp"

#ifndef COSPAIR_ISA
#error "compile with -DCOSPAIR_ISA=baseline, v3 or v4"
#endif

namespace cospair {
namespace {

constexpr double kWhole = 0x1.8p52;  // adding it and taking it away rounds to a whole number, halves to even

// Keys and cells of so many cosines, in whole vectors: what lies behind the last of them is computed too.
inline void place_on(const Axis& axis, const double* cosines, std::int64_t count, Counts& out) {
  const Lanes one = splat(1.0), scale = splat(axis.scale), low = splat(axis.low), step = splat(axis.step);
  const Lanes last = splat(axis.cells - 1), sign = splat(axis.sign);
  Lanes highest = splat(-2 * axis.scale);
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const Lanes s = at_least(at_most(load(cosines + i), one), -one);
    const Lanes key = (s * scale + splat(kWhole)) - splat(kWhole);
    highest = at_least(highest, key * sign);
    store(out.keys + i, key);
    store(out.cell + i, at_most(at_least((key - low) * step, Lanes{}), last));
  }
  double lanes[kLanes];
  store(lanes, highest);
  out.highest = lanes[0];
  for (const double lane : lanes) out.highest = lane > out.highest ? lane : out.highest;
}

// Counts cells, and lists the pairs of those that are cut.
inline std::int32_t count_cells(std::int64_t count, Counts& out) {
  std::uint32_t* __restrict cells = out.cells;
  std::uint16_t* __restrict aside = out.aside;
  const std::int32_t* __restrict cell = out.cell;
  std::int32_t listed = 0;
#pragma GCC unroll 4
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t before = cells[cell[i]];
    cells[cell[i]] = before + 1;
    aside[listed] = static_cast<std::uint16_t>(i);
    listed += static_cast<std::int32_t>(before >> 31);
  }
  return listed;
}

// The number of edges that are less than a key, which lies in a cell whose edges are [from, to).
inline std::int64_t edges_below(const double* edge, std::int64_t from, std::int64_t to, double key) {
  std::int64_t left = to - from;
  while (left > kEdgePadding) {
    const std::int64_t half = left / 2;
    from += edge[from + half - 1] < key ? half : 0;
    left -= half;
  }
  return from + less_than(edge + from, key);
}

}  // namespace

namespace COSPAIR_ISA {

// The first `count` cosines of a block, or those at some places; out.want lists which of them are wanted.
void count_block(const Axis& axis, const double* cosines, const std::uint16_t* places, std::int64_t count,
                 Counts& out) {
  if (places) {
    for (std::int64_t i = 0; i < count; ++i) out.keys[i] = cosines[places[i]];
    for (std::int64_t i = count; i % kLanes; ++i) out.keys[i] = out.keys[0];
    cosines = out.keys;
  }
  place_on(axis, cosines, count, out);
  const std::int32_t listed = count_cells(count, out);
  std::int32_t wanted = 0;
  out.asides = listed;
  for (std::int32_t a = 0; a < listed; ++a) {
    const std::uint32_t start = axis.start[out.cell[out.aside[a]]] & ~kCut;
    __builtin_prefetch(axis.edge + start);
    __builtin_prefetch(out.between + start, 1);
  }
  for (std::int32_t a = 0; a < listed; ++a) {
    const std::int32_t i = out.aside[a], cell = out.cell[i];
    const std::uint32_t start = axis.start[cell], end = axis.start[cell + 1];
    const std::int64_t below = edges_below(axis.edge, start & ~kCut, end & ~kCut, out.keys[i]);
    ++(axis.edge[below] == out.keys[i] ? out.at : out.between)[below];
    out.want[wanted] = static_cast<std::uint16_t>(i);
    wanted += static_cast<std::int32_t>(start >> 31);
  }
  out.wanted = wanted;
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
