// Rows in eight bits, and which pairs of a tile could cost.
#pragma once

#include <cstdint>

#include "sides.hpp"

namespace cospair {

// Longer rows could overflow the 32-bit sums; they are not screened.
constexpr std::int64_t kMostScreened = 32768;
constexpr std::int64_t kStrip = 16;    // columns that are swept together in one vector
constexpr std::int64_t kStrips = 2;    // strips a pass
constexpr std::int64_t kPadding = 32;  // rows behind the last that a group may read

// A side in eight bits. `levels` holds what a row is as a left operand, row after row, signed; `strips` what it is as
// a right one: strips of 16 positions, four features of each in turn, offset to be unsigned.
struct Levels {
  std::int64_t k, words;  // positions; 32-bit words a row
  std::int8_t* levels;    // [k + kPadding, 4 * words], or null
  std::uint8_t* strips;   // [strips rounded up to an even number, words, 16, 4], or null
  float* step;            // a row is step * levels + residual
  float* reach;           // 1 + at least |residual|
  std::int32_t* offset;   // minus the offset times the sum of the levels
};

struct ScreenTask {
  const HingeTask* hinges;
  Levels rows, columns;
};

}  // namespace cospair
