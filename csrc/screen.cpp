// The screen: which impostor pairs could have a cosine above the margin, by products in eight bits. Compiled once for
// each instruction set.
//
// The bound. A unit row is u = a + r with a = step * q, q integers, and |r| <= e known for each row. For two rows
//     <u, v> = <a_u, a_v> + <a_u, r_v> + <r_u, v>  <=  step_u step_v <q_u, q_v> + (1 + e_u) e_v + e_u,
// since |a_u| <= 1 + e_u and |v| = 1: a pair whose right side is at or under the margin costs nothing. With
// reach = 1 + e the condition to survive is
//     step_u step_v <q_u, q_v> + reach_u reach_v  >  1 + margin,
// divided by step_u: one product of vectors, one fused product and one comparison for sixteen pairs.
//
// Its roundings. <q_u, q_v> is exact in 32 bits: with the offset that a sum starts from and gives back, no partial sum
// exceeds (255 + 128) * 127 * d < 2^31 for d <= kMostScreened. Turned into float32 it is off by 2^-24 of itself, and so
// is every other operand and operation, relatively, of terms that are at most 4.02 in size: |r| <= |u|, rounding being
// to nearest, so that reach <= 2.003 and step_u step_v |<q_u, q_v>| = |<a_u, a_v>| <= 4. Two roundings of that term,
// four of the product of reaches, four of the threshold and one of the sum are together less than 12 * 2^-24 * 4.02 <
// kSlack, which the threshold gives away.
//
// e itself is summed in float32 from the residuals of a unit row in float32. That row is within 2^-21 of the exact one,
// a residual within 2^-24 (|q * step| + |r|) of its own: together less than kRounded. The sum of at most 32,768 squares
// in 16 lanes is within 2^-12 of itself, which the root halves: less than kMeasured. What is lost to underflow, or to
// denormals that are flushed, is under 2^-55.
#include "screen.hpp"

#include "unit_rows.hpp"

#ifndef COSPAIR_ISA
#error "compile with -DCOSPAIR_ISA=baseline, v3, v4 or vnni"
#endif

namespace cospair {
namespace {

constexpr float kSlack = 1e-5f;
constexpr float kMeasured = 1.001f;
constexpr float kRounded = 1e-6f;

// The widest levels whose products add up without saturating, and the offset that makes them unsigned.
#if defined(__AVX2__) && !defined(__AVX512VNNI__)
constexpr int kLevel = 90;  // vpmaddubsw adds two products in 16 bits: 2 * 180 * 90 < 2^15
#else
constexpr int kLevel = 127;  // they are added in 32
#endif
constexpr int kOffset = kLevel == 127 ? 128 : kLevel;

// Sums are kept in whole registers: of a wider vector that is one of many, compilers keep memory.
#if defined(__AVX512F__)
constexpr int kGroup = 12;  // rows a pass: with two strips their sums fill 24 of 32 registers
constexpr int kRegister = 64;
#elif defined(__AVX2__)
constexpr int kGroup = 2;
constexpr int kRegister = 32;
#else
constexpr int kGroup = 2;
constexpr int kRegister = 16;
#endif
constexpr int kParts = 64 / kRegister;

typedef std::int32_t Sums __attribute__((vector_size(64)));
typedef std::int32_t Part __attribute__((vector_size(kRegister)));

// sums[l] += <four unsigned bytes of lane l, the four signed bytes of `word`>
inline Part add_products(Part sums, Part bytes, std::int32_t word) {
#if defined(__AVX512VNNI__)
  return (Part)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)bytes, _mm512_set1_epi32(word));
#elif defined(__AVX512BW__)
  const __m512i pairs = _mm512_maddubs_epi16((__m512i)bytes, _mm512_set1_epi32(word));
  return sums + (Part)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif defined(__AVX2__)
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)bytes, _mm256_set1_epi32(word));
  return sums + (Part)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#elif defined(__SSE2__)
  const __m128i words = _mm_set1_epi32(word), quarter = (__m128i)bytes;
  const __m128i even = _mm_srai_epi16(_mm_slli_epi16(words, 8), 8), odd = _mm_srai_epi16(words, 8);
  return sums + (Part)_mm_add_epi32(_mm_madd_epi16(_mm_and_si128(quarter, _mm_set1_epi16(0xff)), even),
                                    _mm_madd_epi16(_mm_srli_epi16(quarter, 8), odd));
#else
  for (int b = 0; b < 4; ++b)
    sums += ((bytes >> (8 * b)) & 0xff) * static_cast<std::int32_t>(static_cast<std::int8_t>(word >> (8 * b)));
  return sums;
#endif
}

inline std::int32_t word_at(const std::int8_t* p) {
  std::int32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// Bit l is set where lane l of sum * step + near * reach exceeds the threshold.
inline std::uint32_t over(Sums sums, Singles step, Singles reach, float near, float threshold) {
  const Singles bound = multiply_add(splat_single(near), reach, __builtin_convertvector(sums, Singles) * step);
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(bound, splat_single(threshold), _CMP_NLE_UQ);
#elif defined(__AVX__)
  __m256 half[2];
  std::memcpy(half, &bound, sizeof bound);
  const __m256 limit = _mm256_set1_ps(threshold);
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(half[0], limit, _CMP_NLE_UQ))) |
         static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(half[1], limit, _CMP_NLE_UQ))) << 8;
#else
  std::uint32_t mask = 0;
  for (int l = 0; l < kSingles; ++l) mask |= static_cast<std::uint32_t>(!(bound[l] <= threshold)) << l;
  return mask;
#endif
}

// One row of the left side against the strips that were summed.
struct Row {
  float near, threshold;
  std::int64_t first, last;  // columns that are no impostors
};

inline Row row_of(const ScreenTask& t, std::int64_t i) {
  const HingeTask& h = *t.hinges;
  const float inverse = 1.0f / t.rows.step[i];
  const float limit = static_cast<float>(1.0 + h.margin) - kSlack;
  return {t.rows.reach[i] * inverse, limit * inverse, h.symmetric ? 0 : h.rows.first[i], h.rows.last[i]};
}

inline void keep(std::uint32_t mask, const Row& row, std::int64_t i, std::int64_t column, const Tile& tile,
                 Survivors& out) {
  for (; mask; mask &= mask - 1) {
    const std::int64_t j = column + __builtin_ctz(mask);
    if (j >= tile.column1 || (j >= row.first && j < row.last)) continue;
    out.pairs[out.count++] = {static_cast<std::uint16_t>(i - tile.row0), static_cast<std::uint16_t>(j - tile.column0)};
  }
}

inline Part load_part(const std::uint8_t* p) {
  Part v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// `rows` rows from i on against the strips from `column` on.
template <int rows>
inline void group(const ScreenTask& t, std::int64_t i, std::int64_t column, const Tile& tile, Survivors& out) {
  const std::int64_t words = t.rows.words;
  const std::uint8_t* strips[kStrips];
  for (int c = 0; c < kStrips; ++c) strips[c] = t.columns.strips + (column / kStrip + c) * words * 64;
  const std::int8_t* left = t.rows.levels + i * words * 4;
  Part sums[rows][kStrips][kParts];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < kStrips; ++c)
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) sums[r][c][p] = Part{} + t.rows.offset[i + r];
  for (std::int64_t w = 0; w < words; ++w) {
    Part bytes[kStrips][kParts];
#pragma GCC unroll 4
    for (int c = 0; c < kStrips; ++c)
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) bytes[c][p] = load_part(strips[c] + w * 64 + p * kRegister);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const std::int32_t word = word_at(left + (r * words + w) * 4);
#pragma GCC unroll 4
      for (int c = 0; c < kStrips; ++c)
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) sums[r][c][p] = add_products(sums[r][c][p], bytes[c][p], word);
    }
  }
  Sums whole[rows][kStrips];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < kStrips; ++c)
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p)
        std::memcpy(reinterpret_cast<char*>(&whole[r][c]) + p * kRegister, &sums[r][c][p], kRegister);
  const Singles step0 = load_singles(t.columns.step + column), step1 = load_singles(t.columns.step + column + kStrip);
  const Singles reach0 = load_singles(t.columns.reach + column);
  const Singles reach1 = load_singles(t.columns.reach + column + kStrip);
  for (int r = 0; r < rows && i + r < tile.row1; ++r) {
    const Row row = row_of(t, i + r);
    const std::uint32_t mask = over(whole[r][0], step0, reach0, row.near, row.threshold) |
                               over(whole[r][1], step1, reach1, row.near, row.threshold) << kStrip;
    if (mask) keep(mask, row, i + r, column, tile, out);
  }
}

// To the nearest integer, for |x| < 2^22: the sum has no place for a fraction.
inline Singles rounded(Singles x) {
  const Singles large = splat_single(0x1.8p23f);
  return (x + large) - large;
}

// `count` levels of position p, from feature j on.
inline void put_levels(Sums integers, std::int64_t p, std::int64_t j, std::int64_t count, const Levels& out) {
  typedef std::int8_t Small __attribute__((vector_size(16)));
  if (out.levels) {
    const Small q = __builtin_convertvector(integers, Small);
    std::int8_t* const to = out.levels + p * out.words * 4 + j;
    if (count == kSingles)
      std::memcpy(to, &q, sizeof q);
    else
      std::memcpy(to, &q, static_cast<std::size_t>(count));
  }
  if (!out.strips) return;
  const Small q = __builtin_convertvector(integers + kOffset, Small);
  std::uint8_t* strip = out.strips + ((p / kStrip * out.words + j / 4) * kStrip + p % kStrip) * 4;
  for (std::int64_t w = 0; w < count / 4; ++w)
    std::memcpy(strip + w * kStrip * 4, reinterpret_cast<const char*>(&q) + 4 * w, 4);
}

}  // namespace

namespace COSPAIR_ISA {

// Positions [begin, end) of a side; scratch holds d floats, rounded up to whole vectors.
void make_levels(const Side& side, std::int64_t begin, std::int64_t end, float* scratch, const Levels& out) {
  const std::int64_t whole = (side.d + kSingles - 1) / kSingles * kSingles, padded = 4 * out.words;
  for (std::int64_t j = side.d; j < whole; ++j) scratch[j] = 0;
  for (std::int64_t p = begin; p < end; ++p) {
    unit_row(side, p, scratch);
    Singles sizes = {};
    for (std::int64_t j = 0; j < whole; j += kSingles) {
      const Singles u = load_singles(scratch + j), size = u < 0 ? -u : u;
      sizes = size > sizes ? size : sizes;
    }
    float largest = 0;
    for (int l = 0; l < kSingles; ++l) largest = sizes[l] > largest ? sizes[l] : largest;
    const float step = largest > 0 ? largest / kLevel : 1.0f;
    Singles squares = {};
    Sums sum = {};
    for (std::int64_t j = 0; j < whole; j += kSingles) {
      const Singles u = load_singles(scratch + j);
      const Singles q = rounded(u * (1.0f / step));
      const Singles residual = u - q * step;
      squares += residual * residual;
      const Sums integers = __builtin_convertvector(q, Sums);
      sum += integers;
      put_levels(integers, p, j, padded - j < kSingles ? padded - j : kSingles, out);
    }
    float square = 0;
    std::int32_t total = 0;
    for (int l = 0; l < kSingles; ++l) square += squares[l], total += sum[l];
    out.step[p] = step;
    out.reach[p] = 1.0f + (__builtin_sqrtf(square) * kMeasured + kRounded);
    out.offset[p] = -kOffset * total;
  }
}

// Fills the survivors of a tile; marks it dense where there are too many.
void screen(const ScreenTask& t, const Tile& tile, Survivors& out) {
  const HingeTask& h = *t.hinges;
  for (std::int64_t i = tile.row0; i < tile.row1; i += kGroup) {
    std::int64_t column = tile.column0;
    // symmetric: a row's impostors begin where its class ends
    if (h.symmetric && h.rows.last[i] > column) column = h.rows.last[i] / (kStrip * kStrips) * (kStrip * kStrips);
    for (; column < tile.column1; column += kStrip * kStrips) {
      if (out.count + kGroup * kStrip * kStrips > out.capacity) {
        out.dense = true;
        return;
      }
      group<kGroup>(t, i, column, tile, out);
    }
  }
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
