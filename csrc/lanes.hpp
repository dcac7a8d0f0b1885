// How elements of every supported type enter the vectors and leave them.
#pragma once

#include "vectors.hpp"

namespace cospair {
namespace {

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

template <class To, class From>
COSPAIR_INLINE To same_bits(From from) {
  static_assert(sizeof(To) == sizeof from);
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <class V, class T>
COSPAIR_INLINE V read(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// A register of double from as many float, and back. (Built-in conversions of GCC 12 go by halves. All lanes by a
// mask: of the plain form with AVX-512, GCC 12 warns in its own header.)
using HalfFloats = Vector<float, kRegisterDoubles>;

COSPAIR_INLINE Register widened(HalfFloats v) {
#if defined(__AVX512F__)
  return _mm512_maskz_cvtps_pd(0xff, v);
#elif defined(__AVX2__)
  return _mm256_cvtps_pd(v);
#else
  return __builtin_convertvector(v, Register);
#endif
}

COSPAIR_INLINE HalfFloats narrowed(Register v) {
#if defined(__AVX512F__)
  return _mm512_maskz_cvtpd_ps(0xff, v);
#elif defined(__AVX2__)
  return _mm256_cvtpd_ps(v);
#else
  return __builtin_convertvector(v, HalfFloats);
#endif
}

// ---- into registers ----------------------------------------------------------------------------------------------

template <int n>
COSPAIR_INLINE Vector<float, n> floats_of(const BFloat16* p) {
  const auto halfwords = read<Vector<std::uint16_t, n>>(p);
  return same_bits<Vector<float, n>>(__builtin_convertvector(halfwords, Vector<std::uint32_t, n>) << 16);
}

COSPAIR_INLINE void take(Register& v, const double* p) { v = read<Register>(p); }
COSPAIR_INLINE void take(Register& v, const float* p) { v = widened(read<HalfFloats>(p)); }
COSPAIR_INLINE void take(Register& v, const BFloat16* p) { v = widened(floats_of<kRegisterDoubles>(p)); }
COSPAIR_INLINE void take(FloatRegister& v, const float* p) { v = read<FloatRegister>(p); }
COSPAIR_INLINE void take(FloatRegister& v, const BFloat16* p) { v = floats_of<kRegisterFloats>(p); }

#if defined(COSPAIR_HALF)
COSPAIR_INLINE void take(Register& v, const Half* p) {
#if defined(__AVX512F__)
  v = widened(static_cast<HalfFloats>(_mm256_cvtph_ps(read<__m128i>(p))));
#elif defined(__AVX2__) && defined(__F16C__)
  v = widened(static_cast<HalfFloats>(_mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))));
#else
  Register all = {};
  for (int l = 0; l < kRegisterDoubles; ++l) all[l] = static_cast<double>(static_cast<float>(p[l]));
  v = all;
#endif
}
COSPAIR_INLINE void take(FloatRegister& v, const Half* p) {
#if defined(__AVX512F__)
  v = static_cast<FloatRegister>(_mm512_maskz_cvtph_ps(0xffff, read<__m256i>(p)));
#elif defined(__AVX2__) && defined(__F16C__)
  v = _mm256_cvtph_ps(read<__m128i>(p));
#else
  FloatRegister all = {};
  for (int l = 0; l < kRegisterFloats; ++l) all[l] = static_cast<float>(p[l]);
  v = all;
#endif
}
#endif

template <class V, class T>
COSPAIR_INLINE void take(Twin<V>& v, const T* p) {
  take(v.low, p);
  take(v.high, p + kCount<V>);
}

template <class T>
COSPAIR_INLINE Lanes load(const T* p) {
  Lanes v;
  take(v, p);
  return v;
}

template <class T>
COSPAIR_INLINE Singles load_singles(const T* p) {
  Singles v;
  take(v, p);
  return v;
}

inline double scalar(double x) { return x; }
inline double scalar(float x) { return x; }
inline double scalar(BFloat16 x) { return same_bits<float>(static_cast<std::uint32_t>(x.bits) << 16); }

// ---- for sums over a row, where the order of the elements is free -----------------------------------------------

// A 32-bit word holds two bfloat16: its upper half is one as it stands, its lower half one step to the left.
COSPAIR_INLINE void take_two(Register& first, Register& second, const BFloat16* p) {
  using Words = Vector<std::uint32_t, kRegisterDoubles>;
  const Words both = read<Words>(p);
  first = widened(same_bits<HalfFloats>(both << 16));
  second = widened(same_bits<HalfFloats>(both & 0xffff0000u));
}

template <class V>
COSPAIR_INLINE void take_two(Twin<V>& first, Twin<V>& second, const BFloat16* p) {
  take_two(first.low, second.low, p);
  take_two(first.high, second.high, p + 2 * kCount<V>);
}

// Sixteen elements as two vectors: eight and eight, of bfloat16 every other one.
template <class T>
COSPAIR_INLINE void load_two(const T* p, Lanes& first, Lanes& second) {
  first = load(p);
  second = load(p + kLanes);
}
COSPAIR_INLINE void load_two(const BFloat16* p, Lanes& first, Lanes& second) { take_two(first, second, p); }

// ---- out of registers --------------------------------------------------------------------------------------------

// Of words below 2^16.
template <int n>
COSPAIR_INLINE Vector<std::uint16_t, n> halfwords_of(Vector<std::uint32_t, n> words) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (n == 8) {
    const __m256i packed = _mm256_packus_epi32((__m256i)words, (__m256i)words);  // in either half of the register
    return (Vector<std::uint16_t, 8>)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0b1000));
  }
#endif
  return __builtin_convertvector(words, Vector<std::uint16_t, n>);
}

// Rounded to nearest, halves to even; NaN is kept apart, or else said not to come.
template <int n, bool nan_comes>
COSPAIR_INLINE Vector<std::uint16_t, n> bfloat16_of(Vector<float, n> f) {
  using Words = Vector<std::uint32_t, n>;
  const Words bits = same_bits<Words>(f);
  Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  if constexpr (nan_comes) rounded = f == f ? rounded : (bits >> 16) | 0x40u;
  return halfwords_of<n>(rounded);
}

COSPAIR_INLINE void store(double* p, Register v) { std::memcpy(p, &v, sizeof v); }
COSPAIR_INLINE void store(float* p, Register v) {
  const HalfFloats f = narrowed(v);
  std::memcpy(p, &f, sizeof f);
}
COSPAIR_INLINE void store(BFloat16* p, Register v) {
  const auto h = bfloat16_of<kRegisterDoubles, true>(narrowed(v));
  std::memcpy(p, &h, sizeof h);
}
COSPAIR_INLINE void store(std::int32_t* p, Register v) {  // towards zero
  const auto whole = __builtin_convertvector(v, Vector<std::int32_t, kRegisterDoubles>);
  std::memcpy(p, &whole, sizeof whole);
}
COSPAIR_INLINE void store(float* p, FloatRegister v) { std::memcpy(p, &v, sizeof v); }
COSPAIR_INLINE void store(BFloat16* p, FloatRegister v) {
  const auto h = bfloat16_of<kRegisterFloats, false>(v);
  std::memcpy(p, &h, sizeof h);
}

inline void put(double* p, double x) { *p = x; }
inline void put(float* p, double x) { *p = static_cast<float>(x); }
inline void put(BFloat16* p, double x) {
  const Vector<float, 4> f = {static_cast<float>(x)};
  p->bits = bfloat16_of<4, true>(f)[0];
}

#if defined(COSPAIR_HALF)
COSPAIR_INLINE void store(Half* p, Register v) {
#if defined(__AVX512F__)
  const __m128i h = _mm256_cvtps_ph(narrowed(v), _MM_FROUND_TO_NEAREST_INT);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), h);
#elif defined(__AVX2__) && defined(__F16C__)
  const __m128i h = _mm_cvtps_ph(narrowed(v), _MM_FROUND_TO_NEAREST_INT);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), h);
#else
  for (int l = 0; l < kRegisterDoubles; ++l) p[l] = static_cast<Half>(static_cast<float>(v[l]));
#endif
}
COSPAIR_INLINE void store(Half* p, FloatRegister v) {
#if defined(__AVX512F__)
  const __m256i h = _mm512_maskz_cvtps_ph(0xffff, v, _MM_FROUND_TO_NEAREST_INT);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), h);
#elif defined(__AVX2__) && defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int l = 0; l < kRegisterFloats; ++l) p[l] = static_cast<Half>(v[l]);
#endif
}

inline double scalar(Half x) { return static_cast<double>(static_cast<float>(x)); }
inline void put(Half* p, double x) { *p = static_cast<Half>(static_cast<float>(x)); }
#endif

template <class T, class V>
COSPAIR_INLINE void store(T* p, Twin<V> v) {
  store(p, v.low);
  store(p + kCount<V>, v.high);
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

template <int size>
COSPAIR_INLINE void stream_bytes(void* to, const void* from) {
#if defined(__AVX512F__)
  if constexpr (size == 64) return _mm512_stream_si512(static_cast<__m512i*>(to), read<__m512i>(from));
#endif
#if defined(__AVX__)
  if constexpr (size == 32) return _mm256_stream_si256(static_cast<__m256i*>(to), read<__m256i>(from));
#endif
#if defined(__SSE2__)
  static_assert(size % 16 == 0);
  for (int at = 0; at < size; at += 16)
    _mm_stream_si128(reinterpret_cast<__m128i*>(static_cast<char*>(to) + at),
                     read<__m128i>(static_cast<const char*>(from) + at));
#else
  std::memcpy(to, from, size);
#endif
}

template <class T, class V>
COSPAIR_INLINE void stream(T* p, V v) {
  T out[kCount<V>];
  store(out, v);
  stream_bytes<sizeof out>(p, out);
}

template <class T, class V>
COSPAIR_INLINE void stream(T* p, Twin<V> v) {
  if constexpr (kCount<V> * sizeof(T) >= 16) {
    stream(p, v.low);
    stream(p + kCount<V>, v.high);
  } else {  // no such store is that narrow: both halves at once
    T both[2 * kCount<V>];
    store(both, v);
    stream_bytes<sizeof both>(p, both);
  }
}

inline void streamed() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace cospair
