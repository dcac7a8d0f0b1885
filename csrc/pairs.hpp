// What a batch of pairs is, in plain arrays: the contract between the binding and the kernels.
#pragma once

#include <cstdint>

namespace cospair {

enum class Element : int { f32 = 0, f64 = 1, f16 = 2, bf16 = 3 };
enum class TargetKind : int { i64 = 0, i32 = 1, f32 = 2, f64 = 3, boolean = 4 };

struct PairTask {
  Element element;
  const void* x1;  // [n, d], rows stride1 elements apart
  const void* x2;  // [n, d], rows stride2 elements apart
  std::int64_t stride1, stride2;
  bool shared1, shared2;  // one row for all n: its gradient is their sum, [d]
  const void* target;     // [n], target_stride elements apart
  TargetKind target_kind;
  std::int64_t target_stride;
  const double* weight;  // [n] or null = 1
  std::int64_t n, d;
  double margin, positive_margin;
  double scale;     // multiplies every gradient (with the row's weight)
  void* losses;     // [n] of the element type, or null
  void* gradient1;  // [n, d] contiguous of the element type, [d] where shared, or null
  void* gradient2;
  bool streaming;  // gradients too large for the caches: store past them
};

namespace {  // a copy for each instruction set

// The power of two that brings a row's largest element into [0.5, 1).
inline int row_exponent(const double* row, std::int64_t d) {
  double largest = 0;
  for (std::int64_t j = 0; j < d; ++j) {
    const double size = __builtin_fabs(row[j]);
    largest = size > largest ? size : largest;
  }
  int exponent = 0;
  if (largest > 0 && largest - largest == 0) (void)__builtin_frexp(largest, &exponent);
  return exponent;
}

// A shared row so far from 1 is brought to 1 for every pair, and its gradient is summed there: before the sum is
// scaled back, infinities of both signs could meet.
inline bool is_deferred(int exponent) { return exponent > 300 || exponent < -300; }

}  // namespace

// What a run of rows leaves behind. The sum is kept as a rounded value and what the rounding lost.
struct PairSum {
  double high = 0.0, low = 0.0;
  std::int64_t invalid = -1;  // first row whose target is neither +1 nor -1
};

// Rows [begin, end) of a task. scratch holds 4 * d doubles for f64; sum1 and sum2 [d] collect the gradient of a shared
// input.
using PairRows = void (*)(const PairTask&, std::int64_t begin, std::int64_t end, double* scratch, double* sum1,
                          double* sum2, PairSum& sum);

namespace baseline {
void pair_rows(const PairTask&, std::int64_t, std::int64_t, double*, double*, double*, PairSum&);
}
namespace v3 {
void pair_rows(const PairTask&, std::int64_t, std::int64_t, double*, double*, double*, PairSum&);
}
namespace v4 {
void pair_rows(const PairTask&, std::int64_t, std::int64_t, double*, double*, double*, PairSum&);
}

}  // namespace cospair
