// The kernels of a sweep that decide pairs; one copy for each instruction set.
#pragma once

#include "screen.hpp"
#include "sides.hpp"

namespace cospair {

// Sums of one class on one side, of unit rows as seen from an anchor, d_i = u_i - anchor.
struct ClassSums {
  double weight = 0;           // of the rows that are not zero
  double spread = 0;           // sum of w |d|^2
  double zero = 0, zero2 = 0;  // of zero rows: sum of w, of w^2
};

#define COSPAIR_SWEEP_KERNELS                                                                                        \
  void settle_survivors(const HingeTask&, const Tile&, Survivors&, HingeSum&);                                       \
  void pull_columns(const HingeTask&, const Tile&, const Survivors&);                                                \
  void settle_dense(const HingeTask&, const Tile&, std::int64_t begin, std::int64_t end, double band, void* cosines, \
                    HingeSum&);                                                                                      \
  void unit_rows(const Side&, std::int64_t begin, std::int64_t end, void* out);                                      \
  void squared_lengths(const Side&, std::int64_t begin, std::int64_t end, double* out);                              \
  void class_sums(const Side&, std::int64_t begin, std::int64_t end, const double* anchor, double* sum,              \
                  double* distances, double* scratch, ClassSums&);                                                   \
  double squared_gap(const Side&, std::int64_t i, const Side&, std::int64_t j);                                      \
  void finish_rows(const Side&, std::int64_t begin, std::int64_t end, const double* anchor, const double* sum,       \
                   double weight, double genuine, double impostor, void* pull, double* scratch);                     \
  void make_unit_row(const Side&, std::int64_t position, double* out);

#define COSPAIR_SCREEN_KERNELS                                                                        \
  void make_levels(const Side&, std::int64_t begin, std::int64_t end, float* scratch, const Levels&); \
  void screen(const ScreenTask&, const Tile&, Survivors&);

namespace baseline {
COSPAIR_SWEEP_KERNELS
COSPAIR_SCREEN_KERNELS
}  // namespace baseline
namespace v3 {
COSPAIR_SWEEP_KERNELS
COSPAIR_SCREEN_KERNELS
}  // namespace v3
namespace v4 {
COSPAIR_SWEEP_KERNELS
COSPAIR_SCREEN_KERNELS
}  // namespace v4
namespace vnni {
COSPAIR_SCREEN_KERNELS
}  // namespace vnni
namespace amx {
COSPAIR_SCREEN_KERNELS
}  // namespace amx

}  // namespace cospair
