// The axis that scores are counted along, and what one thread has counted.
//
// A score's key is its cosine, cut to [-1, 1], times `scale`, rounded to a whole number: with 1e12 the score to twelve
// decimals. All that follows compares keys, so nothing is left to rounding. Cells of equal width lie along the axis;
// one that no edge cuts is settled by its number alone, of the others each pair is set aside and searched for.
#pragma once

#include <cstdint>

#include "products.hpp"

namespace cospair {

constexpr std::uint32_t kCut = 0x80000000u;  // of a cell's count: an edge cuts it, or its pairs are wanted
constexpr std::int64_t kEdgePadding = 8;     // infinities behind the last edge

struct Axis {
  double scale, low, step;  // a key's cell is (key - low) * step, cut to the cells there are
  std::int32_t cells;
  std::int64_t edges;          // a key lies at one of them, or between two
  const double* edge;          // [edges + kEdgePadding], ascending
  const std::uint32_t* start;  // [cells + 1] edges in lower cells; kCut: the cell's pairs are wanted
  double sign;                 // -1: the lowest keys are the extreme ones
};

struct Counts {
  std::uint32_t* cells;    // [axis.cells], less kCut
  std::uint32_t* between;  // [axis.edges + 1] of pairs in cells that are cut, by the edges below; those at an edge
  std::uint32_t* at;       // [axis.edges + 1] apart, few as a rule: what is written often stays small
  // of the block at hand
  double highest;  // sign * key
  std::int32_t asides, wanted;
  alignas(64) double keys[kBlockCells];
  alignas(64) std::int32_t cell[kBlockCells];
  std::uint16_t aside[kBlockCells + 8];
  std::uint16_t want[kBlockCells];
};

#define COSPAIR_COUNTING_KERNELS \
  void count_block(const Axis&, const double* cosines, const std::uint16_t* places, std::int64_t count, Counts&);

namespace baseline {
COSPAIR_COUNTING_KERNELS
}
namespace v3 {
COSPAIR_COUNTING_KERNELS
}
namespace v4 {
COSPAIR_COUNTING_KERNELS
}

}  // namespace cospair
