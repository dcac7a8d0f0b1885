// Every pair of a small batch, in double from the rows as they came. Compiled once for each instruction set.
//
// A pair's cosine and what it pulls are kept in one n x n square, the cosine of i < j at (i, j) and the pull at (j, i):
// what both kinds are divided by is known only when all pairs are.
#include "small.hpp"

#include "lanes.hpp"
#include "sides.hpp"
#include "unit_rows.hpp"

#ifndef COSPAIR_ISA
#error "compile with -DCOSPAIR_ISA=baseline, v3 or v4"
#endif

namespace cospair {
namespace {

constexpr double kLeast = 0x1p-180, kMost = 0x1p180;  // squared lengths
constexpr double kNear = 0.99;  // a genuine pair's 1 - s is taken from the difference of its rows above this cosine

struct Held {
  double *rows, *sum, *square, *inverse;
  std::int64_t n, pitch, span;
  Held(const SmallTask& t, double* scratch) : n(t.n), pitch(t.pitch()), span(t.span()) {
    rows = scratch;
    sum = rows + n * pitch;
    square = sum + pitch;
    inverse = square + n * span;
  }
  const double* row(std::int64_t i) const { return rows + i * pitch; }
  double& at(std::int64_t i, std::int64_t j) { return square[i * span + j]; }
};

template <class T>
inline void widen(const T* row, std::int64_t d, std::int64_t pitch, double* out) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) store(out + j, load(row + j));
  for (; j < d; ++j) out[j] = scalar(row[j]);
  for (; j < pitch; ++j) out[j] = 0;
}

inline double squared_length(const double* x, std::int64_t pitch) {
  Lanes sum = {};
  for (std::int64_t k = 0; k < pitch; k += kLanes) sum = multiply_add(load(x + k), load(x + k), sum);
  return total(sum);
}

// Products of `left` rows with `right` rows, which lie one behind the other, into the square.
template <int left, int right>
COSPAIR_INLINE void dots(Held& h, std::int64_t i, std::int64_t j) {
  const double *x = h.row(i), *y = h.row(j);
  Lanes sums[left][right] = {};
  for (std::int64_t k = 0; k < h.pitch; k += kLanes) {
    Lanes a[left];
#pragma GCC unroll 4
    for (int r = 0; r < left; ++r) a[r] = load(x + r * h.pitch + k);
#pragma GCC unroll 4
    for (int c = 0; c < right; ++c) {
      const Lanes b = load(y + c * h.pitch + k);
#pragma GCC unroll 4
      for (int r = 0; r < left; ++r) sums[r][c] = multiply_add(a[r], b, sums[r][c]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < left; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < right; ++c) h.at(i + r, j + c) = total(sums[r][c]);
}

// Those of two rows with each other and with all rows behind them.
inline void dots_of_two(Held& h, std::int64_t i) {
  dots<1, 1>(h, i, i + 1);
  std::int64_t j = i + 2;
  for (; j + 2 <= h.n; j += 2) dots<2, 2>(h, i, j);
  if (j < h.n) dots<2, 1>(h, i, j);
}

// 1 - s, of which a cosine near 1 would keep little: half the squared distance of the unit rows.
inline double gap(const Held& h, std::int64_t i, std::int64_t j) {
  const double *x = h.row(i), *y = h.row(j);
  const Lanes a = splat(h.inverse[i]), b = splat(h.inverse[j]);
  Lanes sum = {};
  for (std::int64_t k = 0; k < h.pitch; k += kLanes) {
    const Lanes e = load(x + k) * a - load(y + k) * b;
    sum = multiply_add(e, e, sum);
  }
  return 0.5 * total(sum);
}

// Of either kind.
struct Sums {
  double cost[2] = {}, active[2] = {}, pairs[2] = {};
};

// The pairs of a row with those behind it.
inline void settle_row(const SmallTask& t, Held& h, std::int64_t i, Sums& sums) {
  double* s = h.square + i * h.span;
  for (std::int64_t j = i + 1; j < h.n; ++j) {
    const bool same = t.labels[i] == t.labels[j];
    double cosine = s[j] * (h.inverse[i] * h.inverse[j]);
    cosine = cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
    double hinge = same ? t.positive_margin - cosine : cosine - t.margin;
    if (same && cosine > kNear) [[unlikely]] {
      const double rest = gap(h, i, j);
      cosine = 1 - rest;
      hinge = (t.positive_margin - 1) + rest;
    }
    s[j] = cosine;
    const bool active = hinge > kTie;
    const double cost = active ? (t.squared ? hinge * hinge : hinge) : 0, sign = same ? -1 : 1;
    sums.cost[0] += same ? 0 : cost;
    sums.cost[1] += same ? cost : 0;
    sums.active[0] += same ? 0 : active;
    sums.active[1] += same ? active : 0;
    sums.pairs[1] += same;
    h.at(j, i) = active ? sign * (t.squared ? 2 * hinge : 1) : 0;
  }
}

inline double inverse_or_zero(double x) { return x > 0 ? 1 / x : 0; }

// What the sums of impostor and genuine pairs are multiplied by.
inline void shares(const SmallTask& t, const Sums& sums, double (&out)[2]) {
  for (int kind = 0; kind < 2; ++kind) switch (t.reduction) {
      case Reduction::sum:
        out[kind] = 1;
        break;
      case Reduction::mean:
        out[kind] = inverse_or_zero(sums.pairs[0] + sums.pairs[1]);
        break;
      case Reduction::balanced:
        out[kind] = inverse_or_zero(sums.pairs[kind]);
        break;
      case Reduction::active:
        out[kind] = inverse_or_zero(sums.active[kind]);
        break;
    }
}

constexpr int kTogether = 4;  // partners that are added at once

// A row's gradient: the orthogonal part of what its partners' unit rows pull, over its length.
template <class Out>
inline void pull_row(const SmallTask& t, Held& h, std::int64_t i, const double (&share)[2], Out* out) {
  std::int64_t partners[kTogether];
  double by[kTogether], own = 0;
  int waiting = 0;
  for (std::int64_t k = 0; k < h.pitch; ++k) h.sum[k] = 0;
  for (std::int64_t j = 0; j <= h.n; ++j) {
    if (j < h.n) {
      const std::int64_t low = i < j ? i : j, high = i < j ? j : i;
      const double pull = j == i ? 0 : h.at(high, low);
      if (pull == 0) continue;
      const double factor = pull * share[t.labels[i] == t.labels[j]];
      own += factor * h.at(low, high);
      partners[waiting] = j;
      by[waiting++] = factor * h.inverse[j];
      if (waiting < kTogether) continue;
    }
    for (; waiting > 0 && waiting < kTogether; ++waiting) partners[waiting] = i, by[waiting] = 0;
    if (!waiting) break;
    waiting = 0;
    const double *a = h.row(partners[0]), *b = h.row(partners[1]), *c = h.row(partners[2]), *d = h.row(partners[3]);
    const Lanes wa = splat(by[0]), wb = splat(by[1]), wc = splat(by[2]), wd = splat(by[3]);
    for (std::int64_t k = 0; k < h.pitch; k += kLanes) {
      const Lanes first = multiply_add(wa, load(a + k), wb * load(b + k));
      const Lanes second = multiply_add(wc, load(c + k), multiply_add(wd, load(d + k), load(h.sum + k)));
      store(h.sum + k, first + second);
    }
  }
  const double* x = h.row(i);
  const double inverse = h.inverse[i], back = -own * inverse;
  std::int64_t k = 0;
  for (; k + kLanes <= t.d; k += kLanes)
    store(out + k, multiply_add(splat(back), load(x + k), load(h.sum + k)) * splat(inverse));
  for (; k < t.d; ++k) put(out + k, (back * x[k] + h.sum[k]) * inverse);
}

}  // namespace

namespace COSPAIR_ISA {

bool small_batch(const SmallTask& t, double* scratch, SmallSum& out) {
  Held h(t, scratch);
  with_element(t.element, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t i = 0; i < h.n; ++i)
      widen(static_cast<const T*>(t.x) + i * t.stride, t.d, h.pitch, h.rows + i * h.pitch);
  });
  for (std::int64_t i = 0; i < h.n; ++i) {
    const double square = squared_length(h.row(i), h.pitch);
    if (!(square >= kLeast && square <= kMost)) return false;
    h.inverse[i] = 1 / __builtin_sqrt(square);
  }
  Sums sums;
  for (std::int64_t i = 0; i + 1 < h.n; ++i) {
    if (i % 2 == 0) dots_of_two(h, i);
    settle_row(t, h, i, sums);
  }
  sums.pairs[0] = static_cast<double>(h.n * (h.n - 1) / 2) - sums.pairs[1];
  double share[2];
  shares(t, sums, share);
  out.loss = sums.cost[1] * share[1] + sums.cost[0] * share[0];
  out.active_impostor = static_cast<std::int64_t>(sums.active[0]);
  out.active_genuine = static_cast<std::int64_t>(sums.active[1]);
  if (!t.gradient) return true;
  for (std::int64_t i = 0; i < h.n; ++i) {
    if (t.element == Element::f64)
      pull_row(t, h, i, share, static_cast<double*>(t.gradient) + i * t.d);
    else
      pull_row(t, h, i, share, static_cast<float*>(t.gradient) + i * t.d);
  }
  return true;
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
