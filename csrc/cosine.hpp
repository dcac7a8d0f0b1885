// The cosine of one pair of rows, exact enough that the loss near its hinge keeps its figures.
//
// A cosine near +-1 cannot be held as one number: 1 - s would keep only what s has behind its leading nines. It is
// held as anchor + rest, with anchor in {-1, 0, +1}. Away from +-1 the anchor is 0 and rest = dot / (|a| |b|). Near
// it, with P the longer and Q the shorter row, sigma = sign(s), lambda = |Q| / |P| and e = Q - sigma lambda P
// (one rounding an element, so exact where the rows agree),
//     |e|^2 = 2 |Q|^2 (1 - sigma s),    so    gap = 1 - sigma s = |e|^2 / (2 |Q|^2),    s = sigma (1 - gap).
// (Of double rows, whose cosine is held in 64 bits where there are any, the gap is read off s while it is not small.)
// Equal rows have lambda = 1 and e = 0. Where lambda carries a relative error delta,
//     |e|^2 = |Q|^2 (2 (1 + delta) gap + delta^2),    and    e + sigma delta lambda* P    is the true difference;
// for double, whose results have no bits to spare, delta is known from the wide squared lengths and taken out. For
// narrower rows a gap of delta^2 is all that is left of parallel rows of different lengths: it counts as none.
//
// Gradients of s, from Q/|Q| = e/|Q| + sigma P/|P|:
//     away:  ds/da = b / (|a||b|) - s a / |a|^2
//     near:  ds/dP = e / (|P||Q|) + sigma (gap + delta) P / |P|^2,    ds/dQ = sigma ((gap - delta) Q - e) / |Q|^2
#pragma once

#include "lanes.hpp"

namespace cospair {
namespace {

// Scalars of a row are wider than double where the elements are double, and double where it carries figures to spare.
template <class T>
struct WideOf {
  using type = double;
};
template <>
struct WideOf<double> {
  using type = long double;
};
template <class T>
using Wide = typename WideOf<T>::type;

template <class T>
struct Cosine {
  Wide<T> rest;  // s = anchor + rest
  double anchor;
  double norm1, norm2;  // squared lengths
  double lengths;       // |a| |b|
  double gap;           // 1 - |s|, where near
  double factor;        // sigma lambda, where near
  double delta;         // relative error of lambda
  bool near;
  bool first_longer;  // |a| >= |b|, told by the wide squared lengths: exchanging the rows exchanges it
  bool zero;          // a zero row: s = 0 by convention, gradient 0
  bool parallel;      // the rows differ by no more than the rounding of lambda
  bool broken;        // NaN or infinity came in
  double cosine() const { return static_cast<double>(anchor + rest); }
};

template <class T>
struct Moments {
  Wide<T> norm1, norm2, dot;
};

// Where sums of squares and of products are kept.
template <class V>
struct Sums {
  V &norm1, &norm2, &dot;
  COSPAIR_INLINE void add(V x, V y) const {
    norm1 = multiply_add(x, x, norm1);
    norm2 = multiply_add(y, y, norm2);
    dot = multiply_add(x, y, dot);
  }
};
template <class Half>
COSPAIR_INLINE Sums<Half> lower(Sums<Twin<Half>> s) {
  return {s.norm1.low, s.norm2.low, s.dot.low};
}
template <class Half>
COSPAIR_INLINE Sums<Half> upper(Sums<Twin<Half>> s) {
  return {s.norm1.high, s.norm2.high, s.dot.high};
}

// A register of either row at a time. Beside twelve sums there are four registers to spare where they are narrow, and a
// sum that is kept in memory waits for its own store at every step.
template <class T, class V>
COSPAIR_INLINE void add_products(const T* a, const T* b, Sums<V> sums) {
  V x, y;
  take(x, a);
  take(y, b);
  sums.add(x, y);
}
template <class T, class Half>
COSPAIR_INLINE void add_products(const T* a, const T* b, Sums<Twin<Half>> sums) {
  add_products(a, b, lower(sums));
  add_products(a + kCount<Half>, b + kCount<Half>, upper(sums));
}

// Twice as many elements: in halves, or every other one of bfloat16.
template <class T, class V>
COSPAIR_INLINE void add_products(const T* a, const T* b, Sums<V> first, Sums<V> second) {
  add_products(a, b, first);
  add_products(a + kCount<V>, b + kCount<V>, second);
}
template <class V>
COSPAIR_INLINE void add_products(const BFloat16* a, const BFloat16* b, Sums<V> first, Sums<V> second) {
  V x[2], y[2];
  take_two(x[0], x[1], a);
  take_two(y[0], y[1], b);
  first.add(x[0], y[0]);
  second.add(x[1], y[1]);
}
template <class Half>
COSPAIR_INLINE void add_products(const BFloat16* a, const BFloat16* b, Sums<Twin<Half>> first,
                                 Sums<Twin<Half>> second) {
  add_products(a, b, lower(first), lower(second));
  add_products(a + 2 * kCount<Half>, b + 2 * kCount<Half>, upper(first), upper(second));
}

struct PlainMoments {
  double norm1, norm2, dot;
};

template <class T>
inline PlainMoments plain_moments(const T* a, const T* b, std::int64_t d) {
  Lanes n1[2] = {}, n2[2] = {}, dot[2] = {};
  std::int64_t j = 0;
  for (; j + 2 * kLanes <= d; j += 2 * kLanes)
    add_products(a + j, b + j, Sums<Lanes>{n1[0], n2[0], dot[0]}, Sums<Lanes>{n1[1], n2[1], dot[1]});
  double s1 = total(n1[0] + n1[1]), s2 = total(n2[0] + n2[1]), s12 = total(dot[0] + dot[1]);
  for (; j < d; ++j) {
    const double x = scalar(a[j]), y = scalar(b[j]);
    s1 += x * x;
    s2 += y * y;
    s12 += x * y;
  }
  return {s1, s2, s12};
}

// float32 and narrower: products are exact in double, sums carry 29 bits more than the input.
template <class T>
inline Moments<T> moments(const T* a, const T* b, std::int64_t d) {
  const PlainMoments m = plain_moments(a, b, d);
  return {m.norm1, m.norm2, m.dot};
}

// A sum and what its roundings lost (Ogita, Rump, Oishi 2005, algorithm Dot2), in lanes.
struct Compensated {
  Lanes high = {}, low = {};
  COSPAIR_INLINE void add_product(Lanes x, Lanes y) {
    const Lanes p = x * y;
    const Lanes product_error = fused(x, y, -p);
    const Lanes t = high + p;
    const Lanes z = t - high;
    low = low + (((high - (t - z)) + (p - z)) + product_error);
    high = t;
  }
  inline long double value() const {
    long double sum = 0;
    double lanes[2 * kLanes];
    store(lanes, high);
    store(lanes + kLanes, low);
    for (const double lane : lanes) sum += lane;
    return sum;
  }
};

// The last elements of a row, with zeros behind them.
COSPAIR_INLINE Lanes load_rest(const double* p, std::int64_t count) {
  double rest[kLanes] = {};
  for (int l = 0; l < count; ++l) rest[l] = p[l];
  return load(rest);
}

// The product of two squared lengths must stay in double's range too, where long double is no wider.
inline bool in_range(double norm) { return norm > 0x1p-500 && norm < 0x1p500; }

// Sums of products in lanes, of which no part exceeds a known bound. They start at a bias of more than that: it keeps
// them between the same two powers of two, so that the step from a sum to the next is exact, and what a step lost is
// one more fused product. Four operations instead of Dot2's ten.
class BiasedSum {
 public:
  Lanes high, low = {};
  explicit BiasedSum(double bound) {
    int exponent;
    (void)__builtin_frexp(bound, &exponent);
    bias_ = __builtin_ldexp(1.5, exponent + 2);  // twice the bound or more from either power of two
    high = splat(bias_);
  }
  inline long double value() const {  // less the bias the sums are whole multiples of their unit, and so is their sum
    return static_cast<long double>(total(high - splat(bias_))) + static_cast<long double>(total(low));
  }

 private:
  double bias_;
};

COSPAIR_INLINE void add_exactly(Register x, Register y, Register& high, Register& low) {
  const Register next = fused(x, y, high);
  low = low + fused(x, y, high - next);
  high = next;
}

COSPAIR_INLINE void add_exactly(Register x, Register y, Sums<Register> high, Sums<Register> low) {
  add_exactly(x, x, high.norm1, low.norm1);
  add_exactly(y, y, high.norm2, low.norm2);
  add_exactly(x, y, high.dot, low.dot);
}
template <class Half>
COSPAIR_INLINE void add_exactly(Twin<Half> x, Twin<Half> y, Sums<Twin<Half>> high, Sums<Twin<Half>> low) {
  add_exactly(x.low, y.low, lower(high), lower(low));
  add_exactly(x.high, y.high, upper(high), upper(low));
}

template <>
inline Moments<double> moments<double>(const double* a, const double* b, std::int64_t d) {
  const PlainMoments m = plain_moments(a, b, d);
  if (!in_range(m.norm1) || !in_range(m.norm2)) return {m.norm1, m.norm2, m.dot};  // enough to tell what they are
  BiasedSum n1(m.norm1), n2(m.norm2), dot(__builtin_sqrt(m.norm1 * m.norm2));
  const Sums<Lanes> high{n1.high, n2.high, dot.high}, low{n1.low, n2.low, dot.low};
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) add_exactly(load(a + j), load(b + j), high, low);
  if (j < d) add_exactly(load_rest(a + j, d - j), load_rest(b + j, d - j), high, low);
  return {n1.value(), n2.value(), dot.value()};
}

// |Q - factor P|^2
template <class T>
inline Wide<T> squared_distance(const T* p, const T* q, double factor, std::int64_t d) {
  const Lanes minus = splat(-factor);
  Lanes sum = {};
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) {
    const Lanes e = fused(minus, load(p + j), load(q + j));
    sum = multiply_add(e, e, sum);
  }
  double rest = 0;
  for (; j < d; ++j) {
    const double e = __builtin_fma(-factor, scalar(p[j]), scalar(q[j]));
    rest += e * e;
  }
  return total(sum) + rest;
}

// Adds (q - factor p)^2. Each difference is taken as two numbers: its square has no bits to spare either.
COSPAIR_INLINE void add_squared_difference(Compensated& sum, Lanes minus, Lanes p, Lanes q) {
  const Lanes product = minus * p;
  const Lanes t = q + product;
  const Lanes z = t - q;
  const Lanes lost = ((q - (t - z)) + (product - z)) + fused(minus, p, -product);
  const Lanes e = t + lost;
  const Lanes y = e - t;
  const Lanes low = (t - (e - y)) + (lost - y);
  sum.add_product(e, e);
  sum.low = sum.low + splat(2.0) * e * low;
}

template <>
inline Wide<double> squared_distance<double>(const double* p, const double* q, double factor, std::int64_t d) {
  const Lanes minus = splat(-factor);
  Compensated sum;
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) add_squared_difference(sum, minus, load(p + j), load(q + j));
  if (j < d) add_squared_difference(sum, minus, load_rest(p + j, d - j), load_rest(q + j, d - j));
  return sum.value();
}

template <class Scalar>
inline bool finite(Scalar x) {
  return x - x == 0;
}

// How near +-1 the cosine is taken from the difference of the rows: where double has no bits to spare, early.
template <class T>
constexpr double kNear = 0.9999;
template <>
constexpr double kNear<double> = 0.5;

// Whether 1 - |s| keeps a double's figures where it is not small.
template <class T>
constexpr bool kSpareBits = sizeof(T) == sizeof(double) && __LDBL_MANT_DIG__ >= 64;

template <class T>
inline void settle_near(Cosine<T>& c, const Moments<T>& m, const T* a, const T* b, std::int64_t d) {
  c.anchor = c.rest > 0 ? 1 : -1;
  const bool first_longer = c.first_longer;
  double lambda;
  if constexpr (sizeof(T) == sizeof(double)) {
    const long double wide = __builtin_sqrtl(first_longer ? m.norm2 / m.norm1 : m.norm1 / m.norm2);
    lambda = static_cast<double>(wide);
    c.delta = static_cast<double>((lambda - wide) / wide);
  } else {
    lambda = __builtin_sqrt(first_longer ? c.norm2 / c.norm1 : c.norm1 / c.norm2);
  }
  c.factor = c.anchor * lambda;
  const Wide<T> read = 1 - (c.rest > 0 ? c.rest : -c.rest);
  if (kSpareBits<T> && read > 0x1p-8) {
    c.gap = static_cast<double>(read);
    c.rest = -c.anchor * read;
    return;
  }
  const Wide<T> e2 = first_longer ? squared_distance(a, b, c.factor, d) : squared_distance(b, a, c.factor, d);
  const Wide<T> twice = e2 / (first_longer ? m.norm2 : m.norm1) - c.delta * c.delta;
  Wide<T> gap = twice > 0 ? twice / (2 * (1 + static_cast<Wide<T>>(c.delta))) : 0;
  if constexpr (sizeof(T) < sizeof(double)) {
    int exponent;
    const bool exact = __builtin_frexp(lambda, &exponent) == 0.5;
    c.parallel = !exact && gap < 0x1p-102;
    if (c.parallel) gap = 0;
  }
  c.gap = static_cast<double>(gap);
  c.rest = -c.anchor * gap;
}

inline double root(double x) { return __builtin_sqrt(x); }
inline long double root(long double x) { return __builtin_sqrtl(x); }

// Written where it will be read: a copy by vector loads would wait for the scalar stores before it.
template <class T>
inline void cosine(const T* a, const T* b, std::int64_t d, Cosine<T>& c) {
  const Moments<T> m = moments(a, b, d);
  c.anchor = c.gap = c.factor = c.delta = 0;
  c.near = c.parallel = false;
  c.first_longer = m.norm1 >= m.norm2;
  c.norm1 = static_cast<double>(m.norm1);
  c.norm2 = static_cast<double>(m.norm2);
  c.broken = !finite(m.norm1 + m.norm2 + m.dot);
  c.zero = !c.broken && (m.norm1 == 0 || m.norm2 == 0);
  c.rest = 0;
  c.lengths = 0;
  if (c.broken || c.zero) return;
  // double's own range is enough for the product of two squared lengths of float32 rows and of rescued double rows
  const Wide<T> lengths = root(m.norm1 * m.norm2);
  c.lengths = static_cast<double>(lengths);
  const Wide<T> s = m.dot / lengths;
  c.rest = s > 1 ? 1 : s < -1 ? -1 : s;
  c.near = c.rest > kNear<T> || c.rest < -kNear<T>;
  if (c.near) settle_near(c, m, a, b, d);
}

}  // namespace
}  // namespace cospair
