// Eight lanes of double and sixteen of float: how elements of every supported type enter the arithmetic and leave it.
//
// Every sum in the kernels runs in the lanes of double, in the same order on every machine, so that a result does not
// depend on the vector width the build was given. This is the only file that knows instruction sets.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cospair {
namespace {

constexpr int kLanes = 8;
constexpr int kSingles = 16;

typedef double Lanes __attribute__((vector_size(64)));
typedef float Singles __attribute__((vector_size(64)));
typedef std::uint32_t Words16 __attribute__((vector_size(64)));
typedef std::uint16_t Halfwords16 __attribute__((vector_size(32)));
typedef float Floats __attribute__((vector_size(32)));
typedef std::uint32_t Words __attribute__((vector_size(32)));
typedef std::uint16_t Halfwords __attribute__((vector_size(16)));

struct BFloat16 {
  std::uint16_t bits;
};

#if defined(__FLT16_MANT_DIG__)
#define COSPAIR_HALF 1
#if defined(__aarch64__) && !defined(__clang__) && __GNUC__ < 13
using Half = __fp16;  // C++ has no _Float16 there yet
#else
using Half = _Float16;
#endif
#endif

inline Lanes splat(double value) { return Lanes{} + value; }

// Lanes added by halves, always in this order: ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
inline double total(Lanes v) {
  typedef double Four __attribute__((vector_size(32)));
  typedef double Two __attribute__((vector_size(16)));
  Four four[2];
  std::memcpy(four, &v, sizeof v);
  const Four sum = four[0] + four[1];
  Two two[2];
  std::memcpy(two, &sum, sizeof sum);
  const Two last = two[0] + two[1];
  return last[0] + last[1];
}

// One rounding, whatever the machine: the error-free transformations rest on it.
inline Lanes fused(Lanes a, Lanes b, Lanes c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  __m256d x[2], y[2], z[2];
  std::memcpy(x, &a, sizeof a);
  std::memcpy(y, &b, sizeof b);
  std::memcpy(z, &c, sizeof c);
  for (int h = 0; h < 2; ++h) z[h] = _mm256_fmadd_pd(x[h], y[h], z[h]);
  std::memcpy(&c, z, sizeof c);
  return c;
#else
  Lanes out;
  for (int l = 0; l < kLanes; ++l) out[l] = __builtin_fma(a[l], b[l], c[l]);
  return out;
#endif
}

// a * b + c where one rounding or two give the same or do not matter; fast everywhere.
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
#if defined(__FMA__)
  return fused(a, b, c);
#else
  return a * b + c;
#endif
}

inline Singles splat_single(float value) { return Singles{} + value; }

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFusesSingles = true;
#else
constexpr bool kFusesSingles = false;
#endif

inline Singles multiply_add(Singles a, Singles b, Singles c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  __m256 x[2], y[2], z[2];
  std::memcpy(x, &a, sizeof a);
  std::memcpy(y, &b, sizeof b);
  std::memcpy(z, &c, sizeof c);
  for (int h = 0; h < 2; ++h) z[h] = _mm256_fmadd_ps(x[h], y[h], z[h]);
  std::memcpy(&c, z, sizeof c);
  return c;
#elif defined(__aarch64__)
  Singles out;
  for (int l = 0; l < kSingles; ++l) out[l] = __builtin_fmaf(a[l], b[l], c[l]);
  return out;
#else
  return a * b + c;
#endif
}

// ---- into lanes ------------------------------------------------------------------------------------------------

inline Lanes load(const double* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline Lanes load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Lanes);
}

inline Lanes load(const BFloat16* p) {
  Halfwords v;
  std::memcpy(&v, p, sizeof v);
  Words wide = __builtin_convertvector(v, Words) << 16;
  Floats f;
  std::memcpy(&f, &wide, sizeof f);
  return __builtin_convertvector(f, Lanes);
}

inline Singles load_singles(const float* p) {
  Singles v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline Singles load_singles(const BFloat16* p) {
  Halfwords16 v;
  std::memcpy(&v, p, sizeof v);
  const Words16 wide = __builtin_convertvector(v, Words16) << 16;
  Singles f;
  std::memcpy(&f, &wide, sizeof f);
  return f;
}

inline double scalar(double x) { return x; }
inline double scalar(float x) { return x; }
inline double scalar(BFloat16 x) {
  const std::uint32_t wide = static_cast<std::uint32_t>(x.bits) << 16;
  float f;
  std::memcpy(&f, &wide, sizeof f);
  return f;
}

// ---- out of lanes ----------------------------------------------------------------------------------------------

inline Words round_to_bfloat16(Floats f) {
  Words bits;
  std::memcpy(&bits, &f, sizeof bits);
  const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words quiet = (bits >> 16) | 0x40u;
  return f == f ? rounded : quiet;
}

inline void store(double* p, Lanes v) { std::memcpy(p, &v, sizeof v); }

inline void store(float* p, Lanes v) {
  const Floats f = __builtin_convertvector(v, Floats);
  std::memcpy(p, &f, sizeof f);
}

inline void store(BFloat16* p, Lanes v) {
  const Halfwords h = __builtin_convertvector(round_to_bfloat16(__builtin_convertvector(v, Floats)), Halfwords);
  std::memcpy(p, &h, sizeof h);
}

inline void store(float* p, Singles v) { std::memcpy(p, &v, sizeof v); }

inline void store(BFloat16* p, Singles v) {  // no NaN comes here
  Words16 bits;
  std::memcpy(&bits, &v, sizeof bits);
  const Halfwords16 h = __builtin_convertvector((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, Halfwords16);
  std::memcpy(p, &h, sizeof h);
}

inline void put(double* p, double x) { *p = x; }
inline void put(float* p, double x) { *p = static_cast<float>(x); }
inline void put(BFloat16* p, double x) {
  Floats f{};
  f[0] = static_cast<float>(x);
  p->bits = static_cast<std::uint16_t>(round_to_bfloat16(f)[0]);
}

#if defined(COSPAIR_HALF)
inline Lanes load(const Half* p) {
#if defined(__F16C__)
  return __builtin_convertvector(
      static_cast<Floats>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))), Lanes);
#else
  Lanes v;
  for (int l = 0; l < kLanes; ++l) v[l] = static_cast<double>(static_cast<float>(p[l]));
  return v;
#endif
}

inline Singles load_singles(const Half* p) {
#if defined(__AVX512F__)
  // all lanes by a mask: of the plain form, GCC 12 warns in its own header
  return static_cast<Singles>(_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#else
  Singles v;
  for (int l = 0; l < kSingles; ++l) v[l] = static_cast<float>(p[l]);
  return v;
#endif
}

inline void store(Half* p, Singles v) {
#if defined(__AVX512F__)
  const __m256i h = _mm512_maskz_cvtps_ph(0xffff, v, _MM_FROUND_TO_NEAREST_INT);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), h);
#else
  for (int l = 0; l < kSingles; ++l) p[l] = static_cast<Half>(v[l]);
#endif
}

inline double scalar(Half x) { return static_cast<double>(static_cast<float>(x)); }

inline void store(Half* p, Lanes v) {
#if defined(__F16C__)
  const Floats f = __builtin_convertvector(v, Floats);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int l = 0; l < kLanes; ++l) p[l] = static_cast<Half>(static_cast<float>(v[l]));
#endif
}

inline void put(Half* p, double x) { *p = static_cast<Half>(static_cast<float>(x)); }
#endif

// ---- for sums over a row, where the order of the elements is free -----------------------------------------------

// Sixteen elements as two vectors.
template <class T>
inline void load_two(const T* p, Lanes& first, Lanes& second) {
  first = load(p);
  second = load(p + kLanes);
}

inline Floats as_floats(Words w) {
  Floats f;
  std::memcpy(&f, &w, sizeof f);
  return f;
}

// A 32-bit word holds two bfloat16: its upper half is one as it stands, its lower half one step to the left.
template <>
inline void load_two(const BFloat16* p, Lanes& first, Lanes& second) {
  Words both;
  std::memcpy(&both, p, sizeof both);
  first = __builtin_convertvector(as_floats(both << 16), Lanes);
  second = __builtin_convertvector(as_floats(both & 0xffff0000u), Lanes);
}

// ---- registers ---------------------------------------------------------------------------------------------------
// Products of matrices are made of whole registers. A sum runs over the features in one chain wherever it lies, so its
// bits do not depend on a register's width, only on whether the machine fuses products.

#if defined(__AVX512F__)
typedef double Register __attribute__((vector_size(64)));
constexpr int kHeldRows = 8, kHeldRegisters = 3;  // sums that are held at once: 24 of 32 registers
#elif defined(__FMA__)
typedef double Register __attribute__((vector_size(32)));
constexpr int kHeldRows = 4, kHeldRegisters = 3;  // 12 of 16
#elif defined(__aarch64__)
typedef double Register __attribute__((vector_size(16)));
constexpr int kHeldRows = 4, kHeldRegisters = 6;  // 24 of 32
#else
typedef double Register __attribute__((vector_size(16)));
constexpr int kHeldRows = 4, kHeldRegisters = 2;  // 8 of 16
#endif
constexpr int kRegisterDoubles = sizeof(Register) / sizeof(double);

inline Register load_register(const double* p) {
  Register v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline Register repeated(double x) { return x - Register{}; }  // x + 0 would be computed: it turns -0 into 0

inline void store_register(double* p, Register v) { std::memcpy(p, &v, sizeof v); }

// a * b + c, rounded once where the machine can (of x86, all but the baseline).
inline Register chained(Register a, Register b, Register c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
  for (int l = 0; l < kRegisterDoubles; ++l) c[l] = __builtin_fma(a[l], b[l], c[l]);
  return c;
#else
  return a * b + c;
#endif
}

// How many of eight ascending numbers are less than x.
inline int less_than(const double* ascending, double x) {
#if defined(__AVX512F__)
  return __builtin_popcount(_mm512_cmp_pd_mask(_mm512_loadu_pd(ascending), _mm512_set1_pd(x), _CMP_LT_OQ));
#else
  int count = 0;
  for (int l = 0; l < kLanes; ++l) count += ascending[l] < x;
  return count;
#endif
}

// ---- past the caches -------------------------------------------------------------------------------------------
// Stores that do not read the line first: for gradients larger than the last-level cache. p must be aligned to
// one store (streamable() says whether a whole array is); streamed() orders them before what follows.

inline bool streamable(const void* p, std::int64_t row_bytes) {
#if defined(__SSE2__)
  return reinterpret_cast<std::uintptr_t>(p) % 64 == 0 && row_bytes % 64 == 0;
#else
  (void)p, (void)row_bytes;
  return false;
#endif
}

template <class T, class Vector>
inline void stream(T* p, Vector v) {
#if defined(__SSE2__)
  constexpr unsigned size = sizeof(T) * (sizeof v / sizeof v[0]);
  char out[size];
  store(reinterpret_cast<T*>(out), v);
  char* to = reinterpret_cast<char*>(p);
#if defined(__AVX512F__)
  if constexpr (size == 64) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(out));
    return;
  }
#endif
#if defined(__AVX__)
  if constexpr (size >= 32) {
    for (unsigned at = 0; at < size; at += 32)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at),
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(out + at)));
    return;
  }
#endif
  for (unsigned at = 0; at < size; at += 16)
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + at), _mm_loadu_si128(reinterpret_cast<const __m128i*>(out + at)));
#else
  store(p, v);
#endif
}

inline void streamed() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace cospair
