// Vectors of eight double and of sixteen float, made of whole registers.
//
// Every sum in the kernels runs in the lanes of such a vector, in the same order on every machine, so that a result
// does not depend on the register width the build was given. A built-in vector that is wider than a register would be
// kept in memory and passed by copies (GCC 12: up to eighteen times slower); a wide vector is two halves here, down to
// registers.
#pragma once

#include <cstdint>
#include <cstring>

#include "inline.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cospair {
namespace {

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif

template <class Half>
struct Twin {
  Half low, high;
};

template <class E, int n, bool fits = n * sizeof(E) <= kRegisterBytes>
struct VectorOf {
  typedef E type __attribute__((vector_size(n * sizeof(E))));
};
template <class E, int n>
struct VectorOf<E, n, false> {
  using type = Twin<typename VectorOf<E, n / 2>::type>;
};
template <class E, int n>
using Vector = typename VectorOf<E, n>::type;

constexpr int kLanes = 8;
constexpr int kSingles = 16;
using Lanes = Vector<double, kLanes>;
using Singles = Vector<float, kSingles>;

constexpr int kRegisterDoubles = kRegisterBytes / 8;
constexpr int kRegisterFloats = kRegisterBytes / 4;
using Register = Vector<double, kRegisterDoubles>;
using FloatRegister = Vector<float, kRegisterFloats>;

template <class V>
constexpr int kCount = sizeof(V) / sizeof(V{}[0]);
template <class Half>
constexpr int kCount<Twin<Half>> = 2 * kCount<Half>;

// ---- one number in every lane ------------------------------------------------------------------------------------

template <class V>
struct Repeat {
  template <class E>
  static COSPAIR_INLINE V of(E x) {
    return x - V{};  // x + 0 would be computed: it turns -0 into 0
  }
};
template <class Half>
struct Repeat<Twin<Half>> {
  template <class E>
  static COSPAIR_INLINE Twin<Half> of(E x) {
    return {Repeat<Half>::of(x), Repeat<Half>::of(x)};
  }
};

COSPAIR_INLINE Lanes splat(double value) { return Repeat<Lanes>::of(value); }
COSPAIR_INLINE Singles splat_single(float value) { return Repeat<Singles>::of(value); }

// ---- lane by lane ------------------------------------------------------------------------------------------------

#define COSPAIR_LANEWISE(OPERATOR)                                                                          \
  template <class Half>                                                                                     \
  COSPAIR_INLINE auto operator OPERATOR(Twin<Half> a, Twin<Half> b)->Twin<decltype(a.low OPERATOR b.low)> { \
    return {a.low OPERATOR b.low, a.high OPERATOR b.high};                                                  \
  }
COSPAIR_LANEWISE(+)
COSPAIR_LANEWISE(-)
COSPAIR_LANEWISE(*)
COSPAIR_LANEWISE(&)
COSPAIR_LANEWISE(|)
COSPAIR_LANEWISE(<)
COSPAIR_LANEWISE(<=)
COSPAIR_LANEWISE(>=)
#undef COSPAIR_LANEWISE

template <class Half>
COSPAIR_INLINE Twin<Half> operator-(Twin<Half> v) {
  return {-v.low, -v.high};
}

// Lanes of a where the mask is set, else of b.
template <class Mask, class V>
COSPAIR_INLINE V select(Mask mask, V a, V b) {
  return mask ? a : b;
}
template <class Mask, class Half>
COSPAIR_INLINE Twin<Half> select(Twin<Mask> mask, Twin<Half> a, Twin<Half> b) {
  return {select(mask.low, a.low, b.low), select(mask.high, a.high, b.high)};
}

// NaN stays NaN.
template <class V>
COSPAIR_INLINE V at_most(V v, V bound) {
  return select(bound < v, bound, v);
}
template <class V>
COSPAIR_INLINE V at_least(V v, V bound) {
  return select(v < bound, bound, v);
}

// Whether any lane of a mask is set.
template <class Mask>
COSPAIR_INLINE bool any(Mask mask) {
#if defined(__AVX2__)
  if constexpr (sizeof mask == 32) return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#endif
  std::int64_t words[sizeof mask / 8], all = 0;
  std::memcpy(words, &mask, sizeof mask);
  for (const std::int64_t word : words) all |= word;
  return all != 0;
}
template <class Half>
COSPAIR_INLINE bool any(Twin<Half> mask) {
  return any(mask.low | mask.high);
}

// ---- fused products ----------------------------------------------------------------------------------------------

// One rounding, whatever the machine: the error-free transformations rest on it.
COSPAIR_INLINE Register fused(Register a, Register b, Register c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#else
  for (int l = 0; l < kRegisterDoubles; ++l) c[l] = __builtin_fma(a[l], b[l], c[l]);
  return c;
#endif
}

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFuses = true;
#else
constexpr bool kFuses = false;
#endif

// a * b + c where one rounding or two give the same or do not matter; fast everywhere.
COSPAIR_INLINE Register multiply_add(Register a, Register b, Register c) {
  if constexpr (kFuses) return fused(a, b, c);
  return a * b + c;
}

COSPAIR_INLINE FloatRegister multiply_add(FloatRegister a, FloatRegister b, FloatRegister c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__FMA__) || defined(__aarch64__)
  for (int l = 0; l < kRegisterFloats; ++l) c[l] = __builtin_fmaf(a[l], b[l], c[l]);
  return c;
#else
  return a * b + c;
#endif
}

template <class Half>
COSPAIR_INLINE Twin<Half> fused(Twin<Half> a, Twin<Half> b, Twin<Half> c) {
  return {fused(a.low, b.low, c.low), fused(a.high, b.high, c.high)};
}
template <class Half>
COSPAIR_INLINE Twin<Half> multiply_add(Twin<Half> a, Twin<Half> b, Twin<Half> c) {
  return {multiply_add(a.low, b.low, c.low), multiply_add(a.high, b.high, c.high)};
}

// ---- across lanes ------------------------------------------------------------------------------------------------

// Lanes added by halves, always in this order: ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
COSPAIR_INLINE double total(Vector<double, 2> v) { return v[0] + v[1]; }
template <class V>
COSPAIR_INLINE double total(V v) {
  Vector<double, kCount<V> / 2> halves[2];
  std::memcpy(halves, &v, sizeof v);
  return total(halves[0] + halves[1]);
}
template <class Half>
COSPAIR_INLINE double total(Twin<Half> v) {
  return total(v.low + v.high);
}

// How many of eight ascending numbers are less than x.
inline int less_than(const double* ascending, double x) {
#if defined(__AVX512F__)
  return __builtin_popcount(_mm512_cmp_pd_mask(_mm512_loadu_pd(ascending), _mm512_set1_pd(x), _CMP_LT_OQ));
#elif defined(__AVX2__)
  const __m256d bound = _mm256_set1_pd(x);
  const int low = _mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(ascending), bound, _CMP_LT_OQ));
  const int high = _mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(ascending + 4), bound, _CMP_LT_OQ));
  return __builtin_popcount(static_cast<unsigned>(low | high << 4));
#else
  int count = 0;
  for (int l = 0; l < kLanes; ++l) count += ascending[l] < x;
  return count;
#endif
}

}  // namespace
}  // namespace cospair
