// Every cosine is one chain of products over the features, in their order: the same bits wherever a pair lies, however
// many threads share the work, and on every machine that fuses products. Compiled once for each instruction set.
#include "products.hpp"

#include "unit_rows.hpp"

#ifndef COSPAIR_ISA
#error "compile with -DCOSPAIR_ISA=baseline, v3 or v4"
#endif

namespace cospair {
namespace {

// Sums that are held at once.
#if defined(__AVX512F__)
constexpr int kHeldRows = 8, kHeldRegisters = 3;  // 24 of 32 registers
#elif defined(__AVX2__)
constexpr int kHeldRows = 4, kHeldRegisters = 3;  // 12 of 16
#elif defined(__aarch64__)
constexpr int kHeldRows = 4, kHeldRegisters = 6;  // 24 of 32
#else
constexpr int kHeldRows = 4, kHeldRegisters = 2;  // 8 of 16
#endif

constexpr std::int64_t kDepth = 256;  // features of a panel that the first cache holds

// kHeldRows rows by kHeldRegisters registers of columns, over some features; `resume` goes on where out stopped.
inline void block(const double* rows, const double* panel, std::int64_t depth, bool resume, double* out) {
  Register sums[kHeldRows][kHeldRegisters];
#pragma GCC unroll 8
  for (int r = 0; r < kHeldRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kHeldRegisters; ++c)
      sums[r][c] = resume ? read<Register>(out + r * kPanel + c * kRegisterDoubles) : Register{};
  for (std::int64_t k = 0; k < depth; ++k) {
    Register columns[kHeldRegisters];
#pragma GCC unroll 8
    for (int c = 0; c < kHeldRegisters; ++c) columns[c] = read<Register>(panel + k * kPanel + c * kRegisterDoubles);
#pragma GCC unroll 8
    for (int r = 0; r < kHeldRows; ++r) {
      const Register row = Repeat<Register>::of(rows[k * kGroup + r]);
#pragma GCC unroll 8
      for (int c = 0; c < kHeldRegisters; ++c) sums[r][c] = multiply_add(row, columns[c], sums[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kHeldRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kHeldRegisters; ++c) store(out + r * kPanel + c * kRegisterDoubles, sums[r][c]);
}

}  // namespace

namespace COSPAIR_ISA {

// Unit rows at positions [begin, end), `width` of them side by side: [groups, d, width], zeros behind the last.
void pack(const Side& side, std::int64_t begin, std::int64_t end, std::int64_t width, double* out) {
  with_element(side.element, [&](auto type) {
    for (; begin < end; begin += width, out += width * side.d)
      for (std::int64_t r = 0; r < width; ++r) {
        if (begin + r >= end) {
          for (std::int64_t k = 0; k < side.d; ++k) out[k * width + r] = 0;
          continue;
        }
        const auto* row = row_at<decltype(type)>(side, begin + r);
        const double inverse = side.inverse_of(begin + r);
        for (std::int64_t k = 0; k < side.d; ++k) out[k * width + r] = scalar(row[k]) * inverse;
      }
  });
}

// Products [8 groups, 24] of packed groups of rows with a packed panel.
void products(const double* rows, std::int64_t groups, const double* panel, std::int64_t d, double* out) {
  constexpr std::int64_t columns = kHeldRegisters * kRegisterDoubles;
  static_assert(kPanel % columns == 0 && kGroup % kHeldRows == 0);
  for (std::int64_t from = 0; from < d; from += kDepth) {
    const std::int64_t depth = d - from < kDepth ? d - from : kDepth;
    for (std::int64_t g = 0; g < groups; ++g)
      for (std::int64_t r = 0; r < kGroup; r += kHeldRows)
        for (std::int64_t c = 0; c < kPanel; c += columns)
          block(rows + (g * d + from) * kGroup + r, panel + from * kPanel + c, depth, from > 0,
                out + (g * kGroup + r) * kPanel + c);
  }
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
