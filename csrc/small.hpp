// The loss over all pairs of a batch of some hundred rows, and its gradient, in one call: every pair is evaluated,
// without order, tiles or screen, which would cost more than they spare.
#pragma once

#include <cstdint>

#include "inline.hpp"
#include "pairs.hpp"

namespace cospair {

enum class Reduction { sum, mean, balanced, active };

struct SmallTask {
  const void* x;  // [n, d], rows `stride` elements apart
  Element element;
  std::int64_t n, d, stride;
  const std::int64_t* labels;  // [n]
  double margin, positive_margin;
  bool squared;
  Reduction reduction;
  void* gradient;  // [n, d] float (double for f64), or null

  COSPAIR_INLINE std::int64_t pitch() const { return (d + 7) / 8 * 8; }
  // Of the n x n square: an odd number of cache lines, so that a column's elements do not drive each other out.
  COSPAIR_INLINE std::int64_t span() const { return ((n / 8 + 1) | 1) * 8; }
  COSPAIR_INLINE std::int64_t scratch() const { return (n + 1) * pitch() + n * span() + n; }  // doubles
};

struct SmallSum {
  double loss = 0;
  std::int64_t active_impostor = 0, active_genuine = 0;
};

// False, with nothing written, where a row's length is not within 2^+-90: zero rows, huge ones, and what is not finite.
#define COSPAIR_SMALL_KERNEL bool small_batch(const SmallTask&, double* scratch, SmallSum&);

namespace baseline {
COSPAIR_SMALL_KERNEL
}
namespace v3 {
COSPAIR_SMALL_KERNEL
}
namespace v4 {
COSPAIR_SMALL_KERNEL
}

}  // namespace cospair
