// Eight lanes of double: how elements of every supported type enter the arithmetic and leave it.
//
// Every sum in the kernels runs in these lanes, in the same order on every machine, so that a result does not
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

typedef double Lanes __attribute__((vector_size(64)));
typedef float Floats __attribute__((vector_size(32)));
typedef std::uint32_t Words __attribute__((vector_size(32)));
typedef std::uint16_t Halfwords __attribute__((vector_size(16)));

struct BFloat16 {
  std::uint16_t bits;
};

#if defined(__FLT16_MANT_DIG__)
#define COSPAIR_HALF 1
using Half = _Float16;
#endif

inline Lanes splat(double value) { return Lanes{} + value; }

// Lanes added pairwise, always in this order.
inline double total(Lanes v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

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

template <class T>
inline void stream(T* p, Lanes v) {
#if defined(__SSE2__)
  T out[kLanes];
  store(out, v);
#if defined(__AVX__)
  if constexpr (sizeof out >= 32) {
    for (unsigned at = 0; at < sizeof out; at += 32)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(reinterpret_cast<char*>(p) + at),
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(reinterpret_cast<char*>(out) + at)));
    return;
  }
#endif
  for (unsigned at = 0; at < sizeof out; at += 16)
    _mm_stream_si128(reinterpret_cast<__m128i*>(reinterpret_cast<char*>(p) + at),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(reinterpret_cast<char*>(out) + at)));
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
