// Rows of a side brought to length 1.
#pragma once

#include "lanes.hpp"
#include "sides.hpp"

namespace cospair {
namespace {

template <class T>
inline const T* row_at(const Side& side, std::int64_t position) {
  return static_cast<const T*>(side.x) + side.order[position] * side.stride;
}

template <class T>
inline void scaled(const T* row, double factor, std::int64_t d, float* out) {
  const Singles by = splat_single(static_cast<float>(factor));
  std::int64_t j = 0;
  for (; j + kSingles <= d; j += kSingles) store(out + j, load_singles(row + j) * by);
  for (; j < d; ++j) out[j] = static_cast<float>(scalar(row[j])) * static_cast<float>(factor);
}

template <class Out>
inline void scaled_wide(const double* row, double factor, std::int64_t d, Out* out) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) store(out + j, load(row + j) * splat(factor));
  for (; j < d; ++j) put(out + j, row[j] * factor);
}

template <>
inline void scaled(const double* row, double factor, std::int64_t d, float* out) {
  scaled_wide(row, factor, d, out);
}

// Calls work(type) with a value of the element type.
template <class Work>
inline void with_element(Element element, Work work) {
  switch (element) {
    case Element::f32:
      return work(float{});
    case Element::f64:
      return work(double{});
    case Element::bf16:
      return work(BFloat16{});
    case Element::f16:
#if defined(COSPAIR_HALF)
      return work(Half{});
#else
      return;
#endif
  }
}

// The row at a position, within 2^-21 of length 1 (0 for a zero row).
inline void unit_row(const Side& side, std::int64_t position, float* out) {
  with_element(side.element, [&](auto type) {
    scaled(row_at<decltype(type)>(side, position), side.inverse_of(position), side.d, out);
  });
}

inline void unit_row(const Side& side, std::int64_t position, double* out) {
  const double inverse = side.inverse_of(position);
  with_element(side.element, [&](auto type) {
    const auto* row = row_at<decltype(type)>(side, position);
    std::int64_t j = 0;
    for (; j + kLanes <= side.d; j += kLanes) store(out + j, load(row + j) * splat(inverse));
    for (; j < side.d; ++j) out[j] = scalar(row[j]) * inverse;
  });
}

}  // namespace
}  // namespace cospair
