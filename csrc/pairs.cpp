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

template <class T>
struct ToMemory {  // a gradient row of its own
  T* row;
  void put_lanes(std::int64_t j, Lanes v) const { store(row + j, v); }
  void put_one(std::int64_t j, double v) const { put(row + j, v); }
};

template <class T>
struct PastCaches {
  T* row;
  void put_lanes(std::int64_t j, Lanes v) const { stream(row + j, v); }
  void put_one(std::int64_t j, double v) const { put(row + j, v); }
};

struct IntoSum {  // the gradient of an input that is one row for all
  double* row;
  void put_lanes(std::int64_t j, Lanes v) const { store(row + j, load(row + j) + v); }
  void put_one(std::int64_t j, double v) const { row[j] += v; }
};

struct Nowhere {
  void put_lanes(std::int64_t, Lanes) const {}
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

// Both gradients of k * s.
template <class T, class Out1, class Out2>
inline void gradients(const Cosine& c, const T* a, const T* b, double k, Out1 out1, Out2 out2, std::int64_t d) {
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
  if (!c.near) {
    const double s = c.cosine();
    away_gradients(a, b, Step{k / c.lengths, -k * s / c.norm1}, Step{k / c.lengths, -k * s / c.norm2}, out1, out2, d);
    return;
  }
  const double toward = k * c.anchor;
  if (c.norm1 >= c.norm2) {
    near_gradients(a, b, c.factor, Step{k / c.lengths, toward * (c.gap + c.delta) / c.norm1},
                   Step{-toward / c.norm2, toward * (c.gap - c.delta) / c.norm2}, out1, out2, d);
  } else {
    near_gradients(b, a, c.factor, Step{k / c.lengths, toward * (c.gap + c.delta) / c.norm2},
                   Step{-toward / c.norm1, toward * (c.gap - c.delta) / c.norm1}, out2, out1, d);
  }
}

// double rows whose squares leave the range: a copy with the largest element in [0.5, 1), by a power of two.
inline int rescue(const double* row, double* copy, std::int64_t d) {
  double largest = 0;
  for (std::int64_t j = 0; j < d; ++j) {
    const double size = __builtin_fabs(row[j]);
    largest = size > largest ? size : largest;
  }
  int exponent = 0;
  if (largest > 0 && finite(largest)) (void)__builtin_frexp(largest, &exponent);
  for (std::int64_t j = 0; j < d; ++j) copy[j] = __builtin_ldexp(row[j], -exponent);
  return exponent;
}

// The product of two squared lengths must stay in double's range too, where long double is no wider.
inline bool in_range(double norm) { return norm > 0x1p-500 && norm < 0x1p500; }

// Gradients of rescued rows: in the copies' scale first, back to the rows' own as they are stored.
template <class Out1, class Out2>
void rescued_gradients(const Cosine& c, double* scratch, const int (&exponents)[2], double k, Out1 out1, Out2 out2,
                       std::int64_t d) {
  double *g1 = scratch + 2 * d, *g2 = scratch + 3 * d;
  gradients(c, scratch, scratch + d, k, ToMemory<double>{g1}, ToMemory<double>{g2}, d);
  for (std::int64_t j = 0; j < d; ++j) {
    out1.put_one(j, __builtin_ldexp(g1[j], -exponents[0]));
    out2.put_one(j, __builtin_ldexp(g2[j], -exponents[1]));
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

// The sinks of the gradients are chosen once for a run of rows, not for every element.
template <class T, class Make1, class Make2>
void run(const PairTask& t, std::int64_t begin, std::int64_t end, double* scratch, Make1 make1, Make2 make2,
         PairSum& sum) {
  const T* x1 = static_cast<const T*>(t.x1);
  const T* x2 = static_cast<const T*>(t.x2);
  T* losses = static_cast<T*>(t.losses);
  for (std::int64_t i = begin; i < end; ++i) {
    const T* a = x1 + i * t.stride1;
    const T* b = x2 + i * t.stride2;
    int exponents[2] = {};
    bool rescued = false;
    Cosine c = cosine(a, b, t.d);
    if constexpr (sizeof(T) == sizeof(double)) {
      if (!in_range(c.norm1) || !in_range(c.norm2)) {
        rescued = true;
        exponents[0] = rescue(a, scratch, t.d);
        exponents[1] = rescue(b, scratch + t.d, t.d);
        c = cosine(scratch, scratch + t.d, t.d);
      }
    }
    const double y = target_at(t, i);
    const bool genuine = y == 1;
    if (!genuine && y != -1 && sum.invalid < 0) sum.invalid = i;
    const long double hinge = genuine ? (static_cast<long double>(t.positive_margin) - c.anchor) - c.rest
                                      : (static_cast<long double>(c.anchor) - t.margin) + c.rest;
    const bool active = hinge > 0;
    const double weight = t.weight ? t.weight[i] : 1.0;
    const double loss = c.broken || (!genuine && y != -1) ? __builtin_nan("")
                        : active                          ? weight * static_cast<double>(hinge)
                                                          : 0.0;
    add(sum, loss);
    if (losses) put(losses + i, loss);
    const double k = active ? (genuine ? -weight : weight) * t.scale : 0.0;
    if (rescued)
      rescued_gradients(c, scratch, exponents, k, make1(i), make2(i), t.d);
    else
      gradients(c, a, b, k, make1(i), make2(i), t.d);
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
