// The pair loss and both of its gradients in one pass over the rows. Compiled once for each instruction set.
//
// The gradient is known as soon as the row's cosine is, while the row is still in the nearest cache: reading both
// inputs once and writing both gradients once is all the traffic there is. Nothing from the standard library's
// templates may be used here: the linker would merge their copies across instruction sets.
#include "pairs.hpp"

#include "cosine.hpp"

#ifndef COSPAIR_ISA
#error "compile with -DCOSPAIR_ISA=baseline, v3 or v4"
#endif

namespace cospair {
namespace {

// The gradient of one row, as multiples of vectors that are in cache: out = along * (other or e) + own * row.
struct Step {
  double along, own;
};

enum class Sink { row, sum, none };

template <class T>
struct ToMemory {  // a gradient row of its own
  static constexpr Sink kKind = Sink::row;
  T* row;
  COSPAIR_INLINE void put_singles(std::int64_t j, Singles v) const { store(row + j, v); }
  COSPAIR_INLINE void put_lanes(std::int64_t j, Lanes v) const { store(row + j, v); }
  void put_one(std::int64_t j, double v) const { put(row + j, v); }
};

template <class T>
struct PastCaches {
  static constexpr Sink kKind = Sink::row;
  T* row;
  COSPAIR_INLINE void put_singles(std::int64_t j, Singles v) const { stream(row + j, v); }
  COSPAIR_INLINE void put_lanes(std::int64_t j, Lanes v) const { stream(row + j, v); }
  void put_one(std::int64_t j, double v) const { put(row + j, v); }
};

struct IntoSum {  // the gradient of an input that is one row for all
  static constexpr Sink kKind = Sink::sum;
  double* row;
  COSPAIR_INLINE void put_lanes(std::int64_t j, Lanes v) const { store(row + j, load(row + j) + v); }
  void put_one(std::int64_t j, double v) const { row[j] += v; }
};

struct Nowhere {
  static constexpr Sink kKind = Sink::none;
  COSPAIR_INLINE void put_singles(std::int64_t, Singles) const {}
  COSPAIR_INLINE void put_lanes(std::int64_t, Lanes) const {}
  void put_one(std::int64_t, double) const {}
};

template <class Out>
inline void fill(Out out, double value, std::int64_t d) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) out.put_lanes(j, splat(value));
  for (; j < d; ++j) out.put_one(j, value);
}

template <class T, class Out1, class Out2>
inline void away_gradients(const T* a, const T* b, Step step1, Step step2, Out1 out1, Out2 out2, std::int64_t d) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) {
    const Lanes x = load(a + j), y = load(b + j);
    out1.put_lanes(j, multiply_add(splat(step1.own), x, splat(step1.along) * y));
    out2.put_lanes(j, multiply_add(splat(step2.own), y, splat(step2.along) * x));
  }
  for (; j < d; ++j) {
    const double x = scalar(a[j]), y = scalar(b[j]);
    out1.put_one(j, step1.own * x + step1.along * y);
    out2.put_one(j, step2.own * y + step2.along * x);
  }
}

// A multiple as float, and what its rounding left out.
struct Split {
  Singles high, low;
  explicit Split(double x)
      : high(splat_single(static_cast<float>(x))),
        low(splat_single(static_cast<float>(x - static_cast<double>(static_cast<float>(x))))) {}
};

// own * x + along * y. The multiples keep their 48 bits, so that what is rounded is one product and the result.
COSPAIR_INLINE Singles combine(const Split& own, Singles x, const Split& along, Singles y) {
  return multiply_add(own.high, x, multiply_add(along.high, y, multiply_add(own.low, x, along.low * y)));
}

// The same two forms in float, for rows and multiples of moderate size: half the instructions. The difference of the
// near form must be taken with one rounding.
template <class T, class Out1, class Out2>
inline void away_gradients_single(const T* a, const T* b, Step step1, Step step2, Out1 out1, Out2 out2,
                                  std::int64_t d) {
  const Split own1(step1.own), along1(step1.along), own2(step2.own), along2(step2.along);
  std::int64_t j = 0;
  for (; j + kSingles <= d; j += kSingles) {
    const Singles x = load_singles(a + j), y = load_singles(b + j);
    out1.put_singles(j, combine(own1, x, along1, y));
    out2.put_singles(j, combine(own2, y, along2, x));
  }
  for (; j < d; ++j) {
    const double x = scalar(a[j]), y = scalar(b[j]);
    out1.put_one(j, step1.own * x + step1.along * y);
    out2.put_one(j, step2.own * y + step2.along * x);
  }
}

template <class T, class OutP, class OutQ>
inline void near_gradients_single(const T* p, const T* q, double factor, Step step_p, Step step_q, OutP out_p,
                                  OutQ out_q, std::int64_t d) {
  const Split minus(-factor), along_p(step_p.along), along_q(step_q.along);
  const Singles own_p = splat_single(static_cast<float>(step_p.own)),
                own_q = splat_single(static_cast<float>(step_q.own));
  std::int64_t j = 0;
  for (; j + kSingles <= d; j += kSingles) {
    const Singles x = load_singles(p + j), y = load_singles(q + j);
    const Singles e = multiply_add(minus.low, x, multiply_add(minus.high, x, y));
    out_p.put_singles(j, multiply_add(along_p.high, e, multiply_add(along_p.low, e, own_p * x)));
    out_q.put_singles(j, multiply_add(along_q.high, e, multiply_add(along_q.low, e, own_q * y)));
  }
  for (; j < d; ++j) {
    const double x = scalar(p[j]), y = scalar(q[j]);
    const double e = __builtin_fma(-factor, x, y);
    out_p.put_one(j, step_p.own * x + step_p.along * e);
    out_q.put_one(j, step_q.own * y + step_q.along * e);
  }
}

// No product of such sizes leaves the range of float, and what underflows is below every result's rounding.
inline bool moderate(double norm) { return norm > 0x1p-60 && norm < 0x1p60; }

template <class T, class OutP, class OutQ>
inline void near_gradients(const T* p, const T* q, double factor, Step step_p, Step step_q, OutP out_p, OutQ out_q,
                           std::int64_t d) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) {
    const Lanes x = load(p + j), y = load(q + j);
    const Lanes e = fused(splat(-factor), x, y);
    out_p.put_lanes(j, multiply_add(splat(step_p.own), x, splat(step_p.along) * e));
    out_q.put_lanes(j, multiply_add(splat(step_q.own), y, splat(step_q.along) * e));
  }
  for (; j < d; ++j) {
    const double x = scalar(p[j]), y = scalar(q[j]);
    const double e = __builtin_fma(-factor, x, y);
    out_p.put_one(j, step_p.own * x + step_p.along * e);
    out_q.put_one(j, step_q.own * y + step_q.along * e);
  }
}

// Where the rows are nearly parallel the two terms of the away form cancel, and float has no bits to spare for it.
template <class T, class Out1, class Out2>
inline void gradients_single(const Cosine<T>& c, const T* a, const T* b, double k, Out1 out1, Out2 out2,
                             std::int64_t d) {
  const double s = c.cosine(), along = k / c.lengths, size = s < 0 ? -s : s;
  if (size <= 0.5)
    return away_gradients_single(a, b, Step{along, -k * s / c.norm1}, Step{along, -k * s / c.norm2}, out1, out2, d);
  const double sign = s < 0 ? -1 : 1, toward = k * sign, gap = 1 - size;
  if (c.first_longer)
    near_gradients_single(a, b, sign * c.norm2 / c.lengths, Step{along, toward * gap / c.norm1},
                          Step{-toward / c.norm2, toward * gap / c.norm2}, out1, out2, d);
  else
    near_gradients_single(b, a, sign * c.norm1 / c.lengths, Step{along, toward * gap / c.norm2},
                          Step{-toward / c.norm1, toward * gap / c.norm1}, out2, out1, d);
}

// Both gradients of k * s.
template <class T, class Out1, class Out2>
inline void gradients(const Cosine<T>& c, const T* a, const T* b, double k, Out1 out1, Out2 out2, std::int64_t d) {
  if (c.broken) {
    fill(out1, __builtin_nan(""), d);
    fill(out2, __builtin_nan(""), d);
    return;
  }
  if (c.zero || c.parallel || k == 0) {
    fill(out1, 0.0, d);
    fill(out2, 0.0, d);
    return;
  }
  constexpr bool mixed =
      (Out1::kKind == Sink::sum && Out2::kKind == Sink::row) || (Out2::kKind == Sink::sum && Out1::kKind == Sink::row);
  if constexpr (sizeof(T) < sizeof(double) && mixed) {  // each as it would be alone: a sum in double, a row in float
    gradients(c, a, b, k, out1, Nowhere{}, d);
    gradients(c, a, b, k, Nowhere{}, out2, d);
    return;
  }
  if constexpr (sizeof(T) < sizeof(double) && Out1::kKind != Sink::sum && Out2::kKind != Sink::sum)
    if (kFuses && !c.near && moderate(c.norm1) && moderate(c.norm2) && moderate(k * k))
      return gradients_single(c, a, b, k, out1, out2, d);
  if (!c.near) {
    const double s = c.cosine();
    away_gradients(a, b, Step{k / c.lengths, -k * s / c.norm1}, Step{k / c.lengths, -k * s / c.norm2}, out1, out2, d);
    return;
  }
  const double toward = k * c.anchor;
  if (c.first_longer) {
    near_gradients(a, b, c.factor, Step{k / c.lengths, toward * (c.gap + c.delta) / c.norm1},
                   Step{-toward / c.norm2, toward * (c.gap - c.delta) / c.norm2}, out1, out2, d);
  } else {
    near_gradients(b, a, c.factor, Step{k / c.lengths, toward * (c.gap + c.delta) / c.norm2},
                   Step{-toward / c.norm1, toward * (c.gap - c.delta) / c.norm1}, out2, out1, d);
  }
}

// double rows whose squares leave the range: a copy with the largest element in [0.5, 1), by a power of two.
inline int rescue(const double* row, double* copy, std::int64_t d) {
  const int exponent = row_exponent(row, d);
  for (std::int64_t j = 0; j < d; ++j) copy[j] = __builtin_ldexp(row[j], -exponent);
  return exponent;
}

template <class Out>
inline void put_back(Out out, std::int64_t j, double x, int exponent) {
  out.put_one(j, Out::kKind == Sink::sum && is_deferred(exponent) ? x : __builtin_ldexp(x, -exponent));
}

// Gradients of rescued rows: in the copies' scale first, back to the rows' own as they are stored.
template <class Out1, class Out2>
void rescued_gradients(const Cosine<double>& c, double* scratch, const int (&exponents)[2], double k, Out1 out1,
                       Out2 out2, std::int64_t d) {
  double *g1 = scratch + 2 * d, *g2 = scratch + 3 * d;
  gradients(c, scratch, scratch + d, k, ToMemory<double>{g1}, ToMemory<double>{g2}, d);
  for (std::int64_t j = 0; j < d; ++j) {
    put_back(out1, j, g1[j], exponents[0]);
    put_back(out2, j, g2[j], exponents[1]);
  }
}

inline double target_at(const PairTask& t, std::int64_t i) {
  const std::int64_t at = i * t.target_stride;
  switch (t.target_kind) {
    case TargetKind::i64: {
      const std::int64_t y = static_cast<const std::int64_t*>(t.target)[at];
      return y == 1 ? 1 : y == -1 ? -1 : 0;
    }
    case TargetKind::i32:
      return static_cast<const std::int32_t*>(t.target)[at];
    case TargetKind::f32:
      return static_cast<double>(static_cast<const float*>(t.target)[at]);
    case TargetKind::f64:
      return static_cast<const double*>(t.target)[at];
    case TargetKind::boolean:
      return static_cast<const std::uint8_t*>(t.target)[at] ? 1 : -1;
  }
  return 0;
}

inline void add(PairSum& sum, double x) {  // Neumaier: the sum of a million losses is as exact as one
  const double t = sum.high + x;
  sum.low += __builtin_fabs(sum.high) >= __builtin_fabs(x) ? (sum.high - t) + x : (x - t) + sum.high;
  sum.high = t;
}

// What a row's first reading leaves for its gradient.
template <class T>
struct Settled {
  Cosine<T> cosine;
  double factor;  // of the gradient of s
  bool rescued;
};

template <class T>
inline void take_cosine(const T* a, const T* b, double* scratch, std::int64_t d, Settled<T>& row) {
  cosine(a, b, d, row.cosine);
  row.rescued = false;
  if constexpr (sizeof(T) == sizeof(double)) {
    if (in_range(row.cosine.norm1) && in_range(row.cosine.norm2)) return;
    row.rescued = true;
    rescue(a, scratch, d);
    rescue(b, scratch + d, d);
    cosine(scratch, scratch + d, d, row.cosine);
  }
}

// Written without branches on the target or the hinge, which no processor can foresee.
template <class T>
inline void settle(const PairTask& t, std::int64_t i, const T* a, const T* b, double* scratch, Settled<T>& row,
                   PairSum& sum) {
  take_cosine(a, b, scratch, t.d, row);
  Cosine<T>& c = row.cosine;
  const double y = target_at(t, i);
  if (y != 1 && y != -1) [[unlikely]] {
    if (sum.invalid < 0) sum.invalid = i;
    c.broken = true;
  }
  const double bound = y == 1 ? t.positive_margin : t.margin;
  const Wide<T> over = (static_cast<Wide<T>>(c.anchor) - bound) + c.rest;  // s - bound
  const double hinge = -y * static_cast<double>(over);
  const double weight = t.weight ? t.weight[i] : 1.0;
  const double loss = c.broken ? __builtin_nan("") : hinge > 0 ? weight * hinge : 0.0;
  add(sum, loss);
  if (t.losses) put(static_cast<T*>(t.losses) + i, loss);
  row.factor = hinge > 0 ? -y * weight * t.scale : 0.0;
}

// Rows are settled in blocks that stay in the nearest cache, so that the gradients of one row do not wait for the
// square roots and quotients of that row.
constexpr std::int64_t kBlockRows = 16;
constexpr std::int64_t kBlockBytes = std::int64_t{1} << 15;

// Memory works on the next block while the gradients of this one are computed.
template <class T>
inline void prefetch(const T* row, std::int64_t d) {
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t j = 0; j < d; j += line) __builtin_prefetch(row + j, 0, 2);
}

// The sinks of the gradients are chosen once for a run of rows, not for every element.
template <class T, class Make1, class Make2>
void run(const PairTask& t, std::int64_t begin, std::int64_t end, double* scratch, Make1 make1, Make2 make2,
         PairSum& sum) {
  const T* x1 = static_cast<const T*>(t.x1);
  const T* x2 = static_cast<const T*>(t.x2);
  const std::int64_t fitting = kBlockBytes / (2 * t.d * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t block = fitting < 1 ? 1 : fitting < kBlockRows ? fitting : kBlockRows;
  Settled<T> settled[kBlockRows];
  for (std::int64_t first = begin; first < end; first += block) {
    const std::int64_t last = first + block < end ? first + block : end;
    for (std::int64_t i = first; i < last; ++i)
      settle(t, i, x1 + i * t.stride1, x2 + i * t.stride2, scratch, settled[i - first], sum);
    if (!t.gradient1 && !t.gradient2) continue;
    for (std::int64_t i = first; i < last; ++i) {
      const Settled<T>& row = settled[i - first];
      const T* a = x1 + i * t.stride1;
      const T* b = x2 + i * t.stride2;
      if (i + block < end) {
        prefetch(a + block * t.stride1, t.d);
        prefetch(b + block * t.stride2, t.d);
      }
      if constexpr (sizeof(T) == sizeof(double)) {
        if (row.rescued) {  // the copies were the last rescued row's: made again
          int exponents[2] = {rescue(a, scratch, t.d), rescue(b, scratch + t.d, t.d)};
          rescued_gradients(row.cosine, scratch, exponents, row.factor, make1(i), make2(i), t.d);
          continue;
        }
      }
      gradients(row.cosine, a, b, row.factor, make1(i), make2(i), t.d);
    }
  }
}

template <class T, class Make1>
void with_second(const PairTask& t, std::int64_t begin, std::int64_t end, double* scratch, double* sum2, Make1 make1,
                 PairSum& sum) {
  T* g = static_cast<T*>(t.gradient2);
  const std::int64_t d = t.d;
  if (!g) return run<T>(t, begin, end, scratch, make1, [](std::int64_t) { return Nowhere{}; }, sum);
  if (t.shared2) return run<T>(t, begin, end, scratch, make1, [=](std::int64_t) { return IntoSum{sum2}; }, sum);
  if (t.streaming && streamable(g, d * static_cast<std::int64_t>(sizeof(T))))
    return run<T>(t, begin, end, scratch, make1, [=](std::int64_t i) { return PastCaches<T>{g + i * d}; }, sum);
  run<T>(t, begin, end, scratch, make1, [=](std::int64_t i) { return ToMemory<T>{g + i * d}; }, sum);
}

template <class T>
void rows(const PairTask& t, std::int64_t begin, std::int64_t end, double* scratch, double* sum1, double* sum2,
          PairSum& sum) {
  T* g = static_cast<T*>(t.gradient1);
  const std::int64_t d = t.d;
  if (!g)
    with_second<T>(t, begin, end, scratch, sum2, [](std::int64_t) { return Nowhere{}; }, sum);
  else if (t.shared1)
    with_second<T>(t, begin, end, scratch, sum2, [=](std::int64_t) { return IntoSum{sum1}; }, sum);
  else if (t.streaming && streamable(g, d * static_cast<std::int64_t>(sizeof(T))))
    with_second<T>(t, begin, end, scratch, sum2, [=](std::int64_t i) { return PastCaches<T>{g + i * d}; }, sum);
  else
    with_second<T>(t, begin, end, scratch, sum2, [=](std::int64_t i) { return ToMemory<T>{g + i * d}; }, sum);
  if (t.streaming) streamed();
}

}  // namespace

namespace COSPAIR_ISA {

void pair_rows(const PairTask& t, std::int64_t begin, std::int64_t end, double* scratch, double* sum1, double* sum2,
               PairSum& sum) {
  switch (t.element) {
    case Element::f32:
      return rows<float>(t, begin, end, scratch, sum1, sum2, sum);
    case Element::f64:
      return rows<double>(t, begin, end, scratch, sum1, sum2, sum);
    case Element::bf16:
      return rows<BFloat16>(t, begin, end, scratch, sum1, sum2, sum);
    case Element::f16:
#if defined(COSPAIR_HALF)
      return rows<Half>(t, begin, end, scratch, sum1, sum2, sum);
#else
      return;
#endif
  }
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
