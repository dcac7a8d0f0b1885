// What pairs cost and how they pull: pair by pair, or a tile of cosines at once. Compiled once for each instruction
// set.
//
// A pair's cosine is <x, y> / (|x| |y|) in double, from the rows as they came: on which side of its hinge a pair stands
// is decided to some roundings of a double. Of a tile whose cosines came from a matrix product, the pairs within that
// product's error bound of the hinge are decided so too.
#include "hinges.hpp"

#include <type_traits>

#include "unit_rows.hpp"

#ifndef COSPAIR_ISA
#error "compile with -DCOSPAIR_ISA=baseline, v3 or v4"
#endif

namespace cospair {
namespace {

template <class T>
inline double dot(const T* a, const T* b, std::int64_t d) {
  Lanes sums[2] = {};
  std::int64_t j = 0;
  for (; j + 2 * kLanes <= d; j += 2 * kLanes) {
    Lanes x[2], y[2];
    load_two(a + j, x[0], x[1]);
    load_two(b + j, y[0], y[1]);
    for (int u = 0; u < 2; ++u) sums[u] = multiply_add(x[u], y[u], sums[u]);
  }
  double sum = total(sums[0] + sums[1]);
  for (; j < d; ++j) sum += scalar(a[j]) * scalar(b[j]);
  return sum;
}

template <class T>
inline double cosine(const HingeTask& t, std::int64_t i, std::int64_t j) {
  const double s =
      dot(row_at<T>(t.rows, i), row_at<T>(t.columns, j), t.rows.d) * (t.rows.inverse_of(i) * t.columns.inverse_of(j));
  return s > 1 ? 1 : s < -1 ? -1 : s;
}

// pull += factor * row
template <class T>
inline void add_scaled(float* pull, const T* row, double factor, std::int64_t d) {
  const Singles by = splat_single(static_cast<float>(factor));
  std::int64_t j = 0;
  for (; j + kSingles <= d; j += kSingles)
    store(pull + j, multiply_add(load_singles(row + j), by, load_singles(pull + j)));
  for (; j < d; ++j) pull[j] += static_cast<float>(scalar(row[j])) * static_cast<float>(factor);
}

inline void add_scaled(double* pull, const double* row, double factor, std::int64_t d) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) store(pull + j, multiply_add(load(row + j), splat(factor), load(pull + j)));
  for (; j < d; ++j) pull[j] += row[j] * factor;
}

template <class T>
struct PullOf {
  using type = float;
};
template <>
struct PullOf<double> {
  using type = double;
};
template <class T>
using Pull = typename PullOf<T>::type;

template <class T>
inline Pull<T>* pull_row(void* pull, const Side& side, std::int64_t position) {
  return static_cast<Pull<T>*>(pull) + side.order[position] * side.d;
}

template <class T>
inline void fetch(const T* row, std::int64_t d) {
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t j = 0; j < d; j += line) __builtin_prefetch(row + j, 0, 2);
}

// Decides the pairs of a tile, adds what they pull to the rows, and keeps those that cost.
template <class T>
void settle(const HingeTask& t, const Tile& tile, Survivors& found, HingeSum& sum) {
  const std::int64_t d = t.rows.d;
  std::int32_t kept = 0;
  for (std::int32_t at = 0; at < found.count; ++at) {
    const PairInTile pair = found.pairs[at];
    const std::int64_t i = tile.row0 + pair.row, j = tile.column0 + pair.column;
    if (at + 1 < found.count) fetch(row_at<T>(t.columns, tile.column0 + found.pairs[at + 1].column), d);
    const double hinge = t.hinge(cosine<T>(t, i, j));
    if (!(hinge > kTie)) continue;
    const double weight = t.rows.weight_of(i) * t.columns.weight_of(j);
    sum.total += weight * t.cost(hinge);
    sum.active += weight;
    found.pairs[kept++] = pair;
    if (t.pull_rows)
      add_scaled(pull_row<T>(t.pull_rows, t.rows, i), row_at<T>(t.columns, j),
                 t.force(hinge) * weight * t.columns.inverse_of(j), d);
  }
  sum.evaluated += found.count;
  sum.active_pairs += kept;
  found.count = kept;
}

template <class T>
void pull(const HingeTask& t, const Tile& tile, const Survivors& found) {
  for (std::int32_t at = 0; at < found.count; ++at) {
    const std::int64_t i = tile.row0 + found.pairs[at].row, j = tile.column0 + found.pairs[at].column;
    const double weight = t.rows.weight_of(i) * t.columns.weight_of(j);
    // survivors are few: a cosine taken again is cheaper than memory for all of them
    const double force = t.squared ? t.force(t.hinge(cosine<T>(t, i, j))) : t.sign();
    add_scaled(pull_row<T>(t.pull_columns, t.columns, j), row_at<T>(t.rows, i), force * weight * t.rows.inverse_of(i),
               t.rows.d);
  }
}

// One pair of a dense tile, decided in double.
template <class T>
inline void decide(const HingeTask& t, std::int64_t i, std::int64_t j, Pull<T>& place, HingeSum& sum) {
  const double hinge = t.hinge(cosine<T>(t, i, j));
  const double weight = t.rows.weight_of(i) * t.columns.weight_of(j);
  const bool active = hinge > kTie;
  place = active ? static_cast<Pull<T>>(t.force(hinge) * weight) : 0;
  if (!active) return;
  sum.total += weight * t.cost(hinge);
  sum.active += weight;
  ++sum.active_pairs;
}

// One pair of a dense tile by the cosine of the product, where that stands clear of the hinge.
template <class T>
inline void settle_one(const HingeTask& t, std::int64_t i, std::int64_t j, double band, Pull<T>& place, HingeSum& sum) {
  const double hinge = t.hinge(static_cast<double>(place));
  if (hinge <= band && hinge >= -band) return decide<T>(t, i, j, place, sum);
  const double weight = t.rows.weight_of(i) * t.columns.weight_of(j);
  place = hinge > 0 ? static_cast<Pull<T>>(t.force(hinge) * weight) : 0;
  if (!(hinge > 0)) return;
  sum.total += weight * t.cost(hinge);
  sum.active += weight;
  ++sum.active_pairs;
}

// Columns [begin, end) of a tile's row, unweighted, in whole runs of vectors; returns where it stopped.
template <class T, bool squared>
std::int64_t settle_run(const HingeTask& t, std::int64_t i, std::int64_t column0, std::int64_t begin, std::int64_t end,
                        double band, Pull<T>* row, HingeSum& sum) {
  using P = Pull<T>;
  constexpr int lanes = 64 / sizeof(P), run = 4;
  using Values = Vector<P, lanes>;
  using Whole = std::conditional_t<sizeof(P) == 8, std::int64_t, std::int32_t>;
  using Bits = decltype(Values{} < Values{});  // whole numbers, of a type that compilers name differently
  const Values sign = Repeat<Values>::of(static_cast<P>(t.sign())),
               margin = Repeat<Values>::of(static_cast<P>(t.margin));
  const Values clear = Repeat<Values>::of(static_cast<P>(band)), zero = {};
  Values totals = {};
  Bits counts = {};
  for (; begin + run * lanes <= end; begin += run * lanes) {
    Values hinge[run];
    Bits close = {};
    for (int u = 0; u < run; ++u) {
      take(hinge[u], row + begin + u * lanes);
      hinge[u] = (hinge[u] - margin) * sign;
      close = close | ((hinge[u] <= clear) & (hinge[u] >= -clear));
    }
    if (any(close)) {
      for (int l = 0; l < run * lanes; ++l) settle_one<T>(t, i, column0 + begin + l, band, row[begin + l], sum);
      continue;
    }
    for (int u = 0; u < run; ++u) {
      const Bits costs = zero < hinge[u];
      totals = totals + select(costs, squared ? hinge[u] * hinge[u] : hinge[u], zero);
      counts = counts - costs;
      store(row + begin + u * lanes, select(costs, squared ? sign * hinge[u] + sign * hinge[u] : sign, zero));
    }
  }
  P total[lanes];
  Whole count[lanes];
  std::memcpy(total, &totals, sizeof totals);
  std::memcpy(count, &counts, sizeof counts);
  std::int64_t active = 0;
  for (int l = 0; l < lanes; ++l) sum.total += static_cast<double>(total[l]), active += count[l];
  sum.active += static_cast<double>(active);
  sum.active_pairs += active;
  return begin;
}

template <class T>
void settle_row(const HingeTask& t, const Tile& tile, std::int64_t i, double band, Pull<T>* row, HingeSum& sum) {
  const Columns paired(t, i, tile.column0, tile.column1);
  const bool weighted = t.rows.weight || t.columns.weight;
  std::int64_t at = 0;
  for (int part = 0; part < 2; ++part) {
    const std::int64_t begin = paired.begin[part] - tile.column0, end = paired.end[part] - tile.column0;
    if (begin == end) continue;
    for (; at < begin; ++at) row[at] = 0;
    if (!weighted)
      at = t.squared ? settle_run<T, true>(t, i, tile.column0, at, end, band, row, sum)
                     : settle_run<T, false>(t, i, tile.column0, at, end, band, row, sum);
    for (; at < end; ++at) settle_one<T>(t, i, tile.column0 + at, band, row[at], sum);
  }
  for (const std::int64_t width = tile.column1 - tile.column0; at < width; ++at) row[at] = 0;
  sum.evaluated += paired.count();
}

}  // namespace

namespace COSPAIR_ISA {

void settle_survivors(const HingeTask& t, const Tile& tile, Survivors& found, HingeSum& sum) {
  with_element(t.rows.element, [&](auto type) { settle<decltype(type)>(t, tile, found, sum); });
}

void pull_columns(const HingeTask& t, const Tile& tile, const Survivors& found) {
  with_element(t.rows.element, [&](auto type) { pull<decltype(type)>(t, tile, found); });
}

void settle_dense(const HingeTask& t, const Tile& tile, std::int64_t begin, std::int64_t end, double band,
                  void* cosines, HingeSum& sum) {
  with_element(t.rows.element, [&](auto type) {
    using T = decltype(type);
    const std::int64_t width = tile.column1 - tile.column0;
    for (std::int64_t i = begin; i < end; ++i)
      settle_row<T>(t, tile, i, band, static_cast<Pull<T>*>(cosines) + (i - tile.row0) * width, sum);
  });
}

void unit_rows(const Side& side, std::int64_t begin, std::int64_t end, void* out) {
  for (std::int64_t p = begin; p < end; ++p) {
    if (side.element == Element::f64)
      unit_row(side, p, static_cast<double*>(out) + (p - begin) * side.d);
    else
      unit_row(side, p, static_cast<float*>(out) + (p - begin) * side.d);
  }
}

// Squared lengths of rows [begin, end), as they lie.
void squared_lengths(const Side& side, std::int64_t begin, std::int64_t end, double* out) {
  with_element(side.element, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t i = begin; i < end; ++i) {
      const T* row = static_cast<const T*>(side.x) + i * side.stride;
      out[i] = dot(row, row, side.d);
    }
  });
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
