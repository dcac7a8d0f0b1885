// Counts of every pair over random sides, on every build, against sums over all pairs in plain double loops.
//
// Rows hold small multiples of a power of two, so that every product is exact and every build must agree to the pair.
#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "../tally.hpp"
#include "guarded.hpp"

namespace cospair {
namespace {

constexpr double kScale = 0x1p20;

struct Rows {
  Side side{};
  Buffer x, inverse, order, first, last, codes;
  std::vector<std::int64_t> labels;  // of positions
  double at(std::int64_t position, std::int64_t j) const {
    return static_cast<const double*>(x->data())[side.order[position] * side.stride + j];
  }
  void check() const { check_guards(x, inverse, order, first, last, codes); }
};

template <class T>
T* values(Buffer& to, std::int64_t count) {
  to = buffer(static_cast<std::size_t>(count) * sizeof(T));
  return static_cast<T*>(to->data());
}

Rows random_rows(Dice& dice, std::int64_t k, std::int64_t d, std::int64_t classes) {
  Rows out;
  Side& s = out.side;
  s.element = Element::f64;
  s.n = s.k = k, s.d = d, s.stride = d + dice.below(3);
  double* x = values<double>(out.x, (k - 1) * s.stride + d);
  const double unit = std::exp2(-3 - std::ceil(std::log2(static_cast<double>(d))));
  for (std::int64_t i = 0; i < k; ++i) {
    const bool copy = i && dice.one_in(5), zero = dice.one_in(9);
    for (std::int64_t j = 0; j < d; ++j)
      x[i * s.stride + j] = zero   ? 0.0
                            : copy ? x[(i - 1) * s.stride + j]
                                   : unit * static_cast<double>(dice.below(17) - 8);
  }
  double* inverse = values<double>(out.inverse, k);
  std::int64_t* order = values<std::int64_t>(out.order, k);
  std::int64_t* codes = values<std::int64_t>(out.codes, k);
  for (std::int64_t i = 0; i < k; ++i)
    inverse[i] = 1.0, order[i] = k - 1 - i, out.labels.push_back(dice.below(classes));
  std::sort(out.labels.begin(), out.labels.end());
  for (std::int64_t i = 0; i < k; ++i) codes[i] = out.labels[static_cast<std::size_t>(i)];
  s.x = x, s.inverse = inverse, s.order = order;
  return out;
}

void span(Rows& own, const Rows& other) {
  std::int64_t* first = values<std::int64_t>(own.first, own.side.k);
  std::int64_t* last = values<std::int64_t>(own.last, own.side.k);
  for (std::int64_t p = 0; p < own.side.k; ++p) {
    const auto [from, to] =
        std::equal_range(other.labels.begin(), other.labels.end(), own.labels[static_cast<std::size_t>(p)]);
    first[p] = from - other.labels.begin(), last[p] = to - other.labels.begin();
  }
  own.side.first = first, own.side.last = last;
}

struct Expected {
  std::vector<std::int64_t> counts, cells, marginals;
  std::vector<double> window;
  std::vector<Scored> pairs;
};

struct Asked {
  HingeTask task{};
  Axis axis{};
  Wanted wanted;
  std::vector<double> edges;
  std::vector<std::int32_t> bins;
};

Expected all_pairs(const Rows& rows, const Rows& columns, const Asked& a) {
  Expected out;
  out.counts.resize(2 * a.edges.size() + 1);
  out.cells.resize(static_cast<std::size_t>(a.axis.cells));
  out.marginals.resize(static_cast<std::size_t>(a.wanted.codes * a.wanted.bins));
  for (std::int64_t i = 0; i < rows.side.k; ++i)
    for (std::int64_t j = a.task.symmetric ? i + 1 : 0; j < columns.side.k; ++j) {
      const std::int64_t one = rows.labels[static_cast<std::size_t>(i)],
                         two = columns.labels[static_cast<std::size_t>(j)];
      if ((one == two) != a.task.genuine) continue;
      double sum = 0;
      for (std::int64_t at = 0; at < rows.side.d; ++at) sum += rows.at(i, at) * columns.at(j, at);
      const double key = std::nearbyint(std::clamp(sum, -1.0, 1.0) * kScale);
      const auto below = std::lower_bound(a.edges.begin(), a.edges.end(), key) - a.edges.begin();
      const auto up_to = std::upper_bound(a.edges.begin(), a.edges.end(), key) - a.edges.begin();
      ++out.counts[static_cast<std::size_t>(below + up_to)];
      const double cell = std::clamp(std::floor((key - a.axis.low) * a.axis.step), 0.0, a.axis.cells - 1.0);
      ++out.cells[static_cast<std::size_t>(cell)];
      if (key >= a.wanted.from[0] && key < a.wanted.to[0]) out.window.push_back(key);
      for (const std::int64_t code : {one, two})
        ++out.marginals[static_cast<std::size_t>(code * a.wanted.bins + a.bins[static_cast<std::size_t>(cell)])];
      std::int64_t first = rows.side.order[i], second = columns.side.order[j];
      if (a.task.symmetric && first > second) std::swap(first, second);
      out.pairs.push_back({key, first, second});
    }
  std::sort(out.window.begin(), out.window.end());
  std::sort(out.pairs.begin(), out.pairs.end(), [&](const Scored& p, const Scored& q) {
    if (p.key != q.key) return a.axis.sign * p.key > a.axis.sign * q.key;
    return p.first != q.first ? p.first < q.first : p.second < q.second;
  });
  if (static_cast<std::int64_t>(out.pairs.size()) > a.wanted.extremes)
    out.pairs.resize(static_cast<std::size_t>(a.wanted.extremes));
  return out;
}

Asked random_request(Dice& dice, const Rows& rows, const Rows& columns, bool symmetric, std::int64_t classes) {
  Asked a;
  a.task.rows = rows.side, a.task.columns = columns.side;
  a.task.symmetric = symmetric, a.task.genuine = dice.one_in(2);
  const std::int64_t edges = 1 + dice.below(dice.one_in(3) ? 400 : 5);
  for (std::int64_t e = 0; e < edges; ++e) a.edges.push_back(std::nearbyint(dice.uniform() * kScale / 2));
  std::sort(a.edges.begin(), a.edges.end());
  a.edges.erase(std::unique(a.edges.begin(), a.edges.end()), a.edges.end());
  a.axis.scale = kScale;
  a.axis.cells = static_cast<std::int32_t>(2 + dice.below(dice.one_in(2) ? 5 : 3000));
  a.axis.step = std::exp2(static_cast<double>(-8 - dice.below(6)));
  a.axis.low = std::nearbyint(dice.uniform() * 1000) / a.axis.step;
  a.axis.edges = static_cast<std::int64_t>(a.edges.size());
  a.axis.edge = a.edges.data();
  a.axis.sign = dice.one_in(2) ? -1.0 : 1.0;
  a.wanted.from = {dice.uniform() * kScale / 4}, a.wanted.to = {kScale};
  a.wanted.capacity = rows.side.k * columns.side.k;
  a.wanted.extremes = dice.below(9);
  for (std::int32_t c = 0; c < a.axis.cells; ++c) a.bins.push_back(static_cast<std::int32_t>(c * 3ll / a.axis.cells));
  a.wanted.bins = 3, a.wanted.bin = a.bins.data(), a.wanted.codes = classes;
  a.wanted.row_code = static_cast<const std::int64_t*>(rows.codes->data());
  a.wanted.column_code = static_cast<const std::int64_t*>(columns.codes->data());
  return a;
}

void compare(const Asked& a, const Expected& wanted, const Kernels& build, int threads) {
  const Panels panels(a.task.columns, build, threads);
  Tally tally(a.task, panels, a.axis, a.wanted, build, threads);
  for (std::int64_t part = 0; part < tally.parts(); ++part) tally.part(part);
  if (tally.counts() != wanted.counts) fail("counts at edges are not those of all pairs");
  if (tally.cells() != wanted.cells) fail("counts in cells are not those of all pairs");
  if (tally.marginals() != wanted.marginals) fail("counts by code are not those of all pairs");
  std::vector<double> window(static_cast<std::size_t>(tally.held(0)));
  tally.window(0, window.data());
  std::sort(window.begin(), window.end());
  if (window != wanted.window) fail("a window does not hold its keys");
  const std::vector<Scored> extremes = tally.extremes();
  if (extremes.size() != wanted.pairs.size()) fail("extreme pairs are missing");
  for (std::size_t i = 0; i < extremes.size(); ++i)
    if (extremes[i].key != wanted.pairs[i].key || extremes[i].first != wanted.pairs[i].first ||
        extremes[i].second != wanted.pairs[i].second)
      fail("extreme pairs are not those of all pairs");
}

void run_tally(Dice& dice, bool every_build) {
  constexpr std::int64_t counts[] = {1, 2, 7, 8, 9, 23, 24, 25, 63, 64, 65, 70, 129};
  constexpr std::int64_t widths[] = {1, 2, 3, 8, 17, 64, 255, 256, 257};
  const std::int64_t classes = std::int64_t{1} << dice.below(7), d = widths[dice.below(9)];
  const bool symmetric = dice.one_in(2);
  Rows rows = random_rows(dice, counts[dice.below(13)], d, classes), others;
  if (!symmetric) others = random_rows(dice, counts[dice.below(13)], d, classes);
  span(rows, symmetric ? rows : others);
  if (!symmetric) span(others, rows);
  const Rows& columns = symmetric ? rows : others;
  const Asked asked = random_request(dice, rows, columns, symmetric, classes);
  const Expected wanted = all_pairs(rows, columns, asked);
  const Kernels* found[kMostBuilds];
  for (int i = 0, count = every_build ? builds(found) : (found[0] = &kernels(), 1); i < count; ++i)
    for (const int threads : {1, 3}) compare(asked, wanted, *found[i], threads);
  rows.check();
  if (!symmetric) others.check();
}

}  // namespace

void run_tallies(std::int64_t rounds, std::uint64_t seed) {
  Dice dice{seed * 2 + 1};
  for (std::int64_t i = 0; i < rounds; ++i) run_tally(dice, true);
  std::printf("%lld tallies on every build, 1 and 3 threads: no complaint\n", static_cast<long long>(rounds));
}

void run_tallies_concurrently(std::int64_t rounds) {
  std::vector<std::thread> callers;
  for (const std::uint64_t seed : {3, 5, 7})
    callers.emplace_back([seed, rounds] {
      Dice dice{seed};
      for (std::int64_t i = 0; i < rounds; ++i) run_tally(dice, false);
    });
  for (std::thread& caller : callers) caller.join();
  std::printf("%lld tallies from each of 3 callers: no complaint\n", static_cast<long long>(rounds));
}

}  // namespace cospair
