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
#error "compile with -DCOSPAIR_ISA=baseline, v3, v4, vnni or amx"
#endif

#if defined(__AMX_INT8__) || defined(__AMXINT8__)  // GCC's name, and Clang's
#include <immintrin.h>
#define COSPAIR_MATRIX_REGISTERS
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
#else
constexpr int kGroup = 2;
#endif
constexpr int kParts = 64 / kRegisterBytes;
constexpr int kPartLanes = kStrip / kParts;

using Part = Vector<std::int32_t, kPartLanes>;
using Integers = Vector<std::int32_t, kStrip>;

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
COSPAIR_INLINE std::uint32_t over(Part sums, const float* step, const float* reach, float near, float threshold) {
  const FloatRegister product = __builtin_convertvector(sums, FloatRegister) * read<FloatRegister>(step);
  const FloatRegister bound = multiply_add(Repeat<FloatRegister>::of(near), read<FloatRegister>(reach), product);
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(bound, _mm512_set1_ps(threshold), _CMP_NLE_UQ);
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(bound, _mm256_set1_ps(threshold), _CMP_NLE_UQ)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_cmpnle_ps(bound, _mm_set1_ps(threshold))));
#else
  std::uint32_t mask = 0;
  for (int l = 0; l < kPartLanes; ++l) mask |= static_cast<std::uint32_t>(!(bound[l] <= threshold)) << l;
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

// What the sums of one row say.
COSPAIR_INLINE void judge(const ScreenTask& t, std::int64_t i, std::int64_t column, const Part (&sums)[kStrips][kParts],
                          const Tile& tile, Survivors& out) {
  const Row row = row_of(t, i);
  std::uint32_t mask = 0;
#pragma GCC unroll 4
  for (int c = 0; c < kStrips; ++c)
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) {
      const int lane = c * static_cast<int>(kStrip) + p * kPartLanes;
      const float *step = t.columns.step + column + lane, *reach = t.columns.reach + column + lane;
      mask |= over(sums[c][p], step, reach, row.near, row.threshold) << lane;
    }
  if (mask) keep(mask, row, i, column, tile, out);
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
      for (int p = 0; p < kParts; ++p) bytes[c][p] = read<Part>(strips[c] + w * 64 + p * kRegisterBytes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const std::int32_t word = word_at(left + (r * words + w) * 4);
#pragma GCC unroll 4
      for (int c = 0; c < kStrips; ++c)
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) sums[r][c][p] = add_products(sums[r][c][p], bytes[c][p], word);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    if (i + r >= tile.row1) return;
    judge(t, i + r, column, sums[r], tile, out);
  }
}

#if defined(COSPAIR_MATRIX_REGISTERS)
// The processor's matrix registers: 16 rows of 64 bytes each, products of 16 rows and 16 columns over 64 features.
class MatrixRegisters {
 public:
  MatrixRegisters() { _tile_loadconfig(&kShape); }
  ~MatrixRegisters() { _tile_release(); }
  MatrixRegisters(const MatrixRegisters&) = delete;
  MatrixRegisters& operator=(const MatrixRegisters&) = delete;

 private:
  // A constant: GCC 12 takes the intrinsic to read its first eight bytes only, and could leave a variable half written.
  struct alignas(64) Shape {
    std::uint8_t palette, start, unused[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
  };
  static constexpr Shape kShape = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
};

constexpr std::int64_t kMatrixWords = 16;
constexpr std::int64_t kMatrixRows = 32;

// Two strips against twice 16 rows: a left operand is 16 rows as they stand, a right one 16 words of a strip.
inline void matrix_group(const ScreenTask& t, std::int64_t i, std::int64_t column, const Tile& tile, Survivors& out) {
  static_assert(kStrip == 16 && kStrips == 2 && kLevel == 127);
  const std::int64_t words = t.rows.words, row = words * 4;
  const std::int8_t* left = t.rows.levels + i * row;
  const std::uint8_t* right = t.columns.strips + column / kStrip * words * 64;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t w = 0; w < words; w += kMatrixWords) {
    _tile_loadd(4, left + w * 4, row);
    _tile_loadd(6, right + w * 64, 64);
    _tile_loadd(7, right + (words + w) * 64, 64);
    _tile_loadd(5, left + 16 * row + w * 4, row);
    _tile_dpbsud(0, 4, 6);
    _tile_dpbsud(1, 4, 7);
    _tile_dpbsud(2, 5, 6);
    _tile_dpbsud(3, 5, 7);
  }
  alignas(64) std::int32_t sums[2][kStrips][16][kStrip];
  _tile_stored(0, sums[0][0], 64);
  _tile_stored(1, sums[0][1], 64);
  _tile_stored(2, sums[1][0], 64);
  _tile_stored(3, sums[1][1], 64);
  for (int r = 0; r < kMatrixRows && i + r < tile.row1; ++r) {
    Part of_row[kStrips][kParts];
    for (int c = 0; c < kStrips; ++c) of_row[c][0] = read<Part>(sums[r / 16][c][r % 16]) + t.rows.offset[i + r];
    judge(t, i + r, column, of_row, tile, out);
  }
}
#endif

// To the nearest integer, for |x| < 2^22: the sum has no place for a fraction.
COSPAIR_INLINE Singles rounded(Singles x) {
  const Singles large = splat_single(0x1.8p23f);
  return (x + large) - large;
}

COSPAIR_INLINE Part to_integers(FloatRegister v) { return __builtin_convertvector(v, Part); }
template <class Half>
COSPAIR_INLINE auto to_integers(Twin<Half> v) -> Twin<decltype(to_integers(v.low))> {
  return {to_integers(v.low), to_integers(v.high)};
}

COSPAIR_INLINE void store_bytes(char* p, Part v) {
  const auto bytes = __builtin_convertvector(v, Vector<std::int8_t, kPartLanes>);
  std::memcpy(p, &bytes, sizeof bytes);
}
template <class Half>
COSPAIR_INLINE void store_bytes(char* p, Twin<Half> v) {
  store_bytes(p, v.low);
  store_bytes(p + kCount<Half>, v.high);
}

// `count` levels of position p, from feature j on.
COSPAIR_INLINE void put_levels(Integers levels, std::int64_t p, std::int64_t j, std::int64_t count, const Levels& out) {
  char q[kSingles];
  if (out.levels) {
    store_bytes(q, levels);
    std::int8_t* const to = out.levels + p * out.words * 4 + j;
    if (count == kSingles)
      std::memcpy(to, q, kSingles);
    else
      std::memcpy(to, q, static_cast<std::size_t>(count));
  }
  if (!out.strips) return;
  store_bytes(q, levels + Repeat<Integers>::of(kOffset));
  std::uint8_t* strip = out.strips + ((p / kStrip * out.words + j / 4) * kStrip + p % kStrip) * 4;
  for (std::int64_t w = 0; w < count / 4; ++w) std::memcpy(strip + w * kStrip * 4, q + 4 * w, 4);
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
      const Singles u = load_singles(scratch + j);
      sizes = at_least(at_least(sizes, u), -u);
    }
    float lanes[kSingles], largest = 0;
    store(lanes, sizes);
    for (const float size : lanes) largest = size > largest ? size : largest;
    const float step = largest > 0 ? largest / kLevel : 1.0f;
    const Singles by = splat_single(step), inverse = splat_single(1.0f / step);
    Singles squares = {};
    Integers sum = {};
    for (std::int64_t j = 0; j < whole; j += kSingles) {
      const Singles u = load_singles(scratch + j);
      const Singles q = rounded(u * inverse);
      const Singles residual = u - q * by;
      squares = squares + residual * residual;
      const Integers integers = to_integers(q);
      sum = sum + integers;
      put_levels(integers, p, j, padded - j < kSingles ? padded - j : kSingles, out);
    }
    float square = 0;
    std::int32_t total = 0, sums[kSingles];
    store(lanes, squares);
    std::memcpy(sums, &sum, sizeof sums);
    for (int l = 0; l < kSingles; ++l) square += lanes[l], total += sums[l];
    out.step[p] = step;
    out.reach[p] = 1.0f + (__builtin_sqrtf(square) * kMeasured + kRounded);
    out.offset[p] = -kOffset * total;
  }
}

// Fills the survivors of a tile; marks it dense where there are too many.
template <int rows, class Group>
inline void screen_by(const ScreenTask& t, const Tile& tile, Survivors& out, Group group) {
  const HingeTask& h = *t.hinges;
  for (std::int64_t i = tile.row0; i < tile.row1; i += rows) {
    std::int64_t column = tile.column0;
    // symmetric: a row's impostors begin where its class ends
    if (h.symmetric && h.rows.last[i] > column) column = h.rows.last[i] / (kStrip * kStrips) * (kStrip * kStrips);
    for (; column < tile.column1; column += kStrip * kStrips) {
      if (out.count + rows * kStrip * kStrips > out.capacity) {
        out.dense = true;
        return;
      }
      group(t, i, column, tile, out);
    }
  }
}

void screen(const ScreenTask& t, const Tile& tile, Survivors& out) {
#if defined(COSPAIR_MATRIX_REGISTERS)
  if (t.rows.words % kMatrixWords == 0) {
    const MatrixRegisters registers;
    return screen_by<kMatrixRows>(t, tile, out, matrix_group);
  }
#endif
  screen_by<kGroup>(t, tile, out, group<kGroup>);
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
