// Cosines of blocks of unit rows in float64, for what counts every pair.
#pragma once

#include <cstdint>

#include "sides.hpp"

namespace cospair {

constexpr std::int64_t kGroup = 8;   // rows that lie side by side, feature after feature
constexpr std::int64_t kPanel = 24;  // columns that do
constexpr std::int64_t kGroups = 8;  // groups of rows that meet a panel at a time
constexpr std::int64_t kBlockCells = kGroups * kGroup * kPanel;

#define COSPAIR_PRODUCT_KERNELS                                                                  \
  void pack(const Side&, std::int64_t begin, std::int64_t end, std::int64_t width, double* out); \
  void products(const double* rows, std::int64_t groups, const double* panel, std::int64_t d, double* out);

namespace baseline {
COSPAIR_PRODUCT_KERNELS
}
namespace v3 {
COSPAIR_PRODUCT_KERNELS
}
namespace v4 {
COSPAIR_PRODUCT_KERNELS
}

}  // namespace cospair
