// The sweep over random sides, on every build of its kernels, against sums over all pairs in plain double loops.
//
// Sides hold rows that take no part (NaN throughout, as are the gaps between rows), zero rows, copies and rows of
// extreme lengths. The screen is also run by itself, over arrays that are exactly as large as it says and hold garbage
// behind the last row.
#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "../sweep.hpp"
#include "guarded.hpp"

namespace cospair {
namespace {

template <class T>
using Pull = std::conditional_t<sizeof(T) == 8, double, float>;

// ---- sides -------------------------------------------------------------------------------------------------------

template <class V>
struct Values {  // exactly so many values between guards
  Buffer memory;
  std::int64_t count = 0;
  Values() = default;
  explicit Values(std::int64_t n, std::size_t shift = 0)
      : memory(buffer(static_cast<std::size_t>(n) * sizeof(V), shift * sizeof(V))), count(n) {}
  V* data() const { return static_cast<V*>(cospair::data(memory)); }
  V& operator[](std::int64_t i) const { return data()[i]; }
};

template <class T>
struct Given {  // a side, the memory it names, and what it says in doubles
  Side side{};
  Values<T> x;
  Values<double> inverse, weight;
  Values<std::int64_t> order, first, last;
  std::vector<std::int64_t> labels;       // of positions
  std::vector<std::vector<double>> unit;  // of positions
  double weight_of(std::int64_t p) const { return side.weight ? weight[order[p]] : 1.0; }
  void check() const { check_guards(x.memory, inverse.memory, weight.memory, order.memory, first.memory, last.memory); }
};

template <class T>
double random_scale(Dice& dice) {
  if (!dice.one_in(6)) return 1.0;
  const double widest = sizeof(T) == 2 && !std::is_same_v<T, BFloat16> ? 4 : 85;
  return std::exp2(widest * dice.uniform());
}

// Some rows lie near one of three axes of the dice's, some are copies of an earlier row, some are zero.
template <class T>
void fill_rows(Dice& dice, const Values<T>& x, std::int64_t n, std::int64_t d, std::int64_t stride, double near) {
  for (std::int64_t i = 0; i < n; ++i) {
    T* const row = x.data() + i * stride;
    const std::int64_t kind = dice.below(24);
    if (i && kind < 2) {
      const T* const from = x.data() + dice.below(i) * stride;
      for (std::int64_t j = 0; j < d; ++j) put(row + j, (kind ? 0.5 : 1.0) * scalar(from[j]));
      continue;
    }
    const double scale = kind == 2 ? 0.0 : random_scale<T>(dice);
    const std::int64_t axis = dice.below(3);
    for (std::int64_t j = 0; j < d; ++j) {
      const double mean = (j + axis) % 3 ? 1.0 : -1.0;
      const double spread = kind == 3 ? dice.below(2) : kind == 4 ? std::exp2(-j) : 1.0;
      put(row + j, scale * (near * mean + spread * dice.uniform()));
    }
  }
}

template <class T>
void describe(Given<T>& g, Dice& dice) {
  Side& s = g.side;
  for (std::int64_t i = 0; i < s.n; ++i) {
    double square = 0;
    for (std::int64_t j = 0; j < s.d; ++j) square += scalar(g.x[i * s.stride + j]) * scalar(g.x[i * s.stride + j]);
    g.inverse[i] = square > 0x1p-180 && square < 0x1p180 ? 1.0 / std::sqrt(square) : 0.0;
    if (square > 0 && g.inverse[i] == 0)  // lengths that a side may not hold
      for (std::int64_t j = 0; j < s.d; ++j) put(&g.x[i * s.stride + j], 0.0);
  }
  std::vector<std::int64_t> rows(static_cast<std::size_t>(s.n));
  for (std::int64_t i = 0; i < s.n; ++i) rows[static_cast<std::size_t>(i)] = i;
  for (std::int64_t i = s.n - 1; i > 0; --i)
    std::swap(rows[static_cast<std::size_t>(i)], rows[static_cast<std::size_t>(dice.below(i + 1))]);
  for (std::int64_t i = 0; i < s.n; ++i) {
    const std::int64_t row = rows[static_cast<std::size_t>(i)];
    if (i < s.k) {
      g.order[i] = row;
      continue;
    }
    g.inverse[row] = std::nan("");
    if (g.weight.count) g.weight[row] = std::nan("");
    for (std::int64_t j = 0; j < s.d; ++j) put(&g.x[row * s.stride + j], std::nan(""));
  }
  for (std::int64_t p = 0; p < s.k; ++p) {
    const std::int64_t row = g.order[p];
    g.unit.emplace_back();
    for (std::int64_t j = 0; j < s.d; ++j) g.unit.back().push_back(scalar(g.x[row * s.stride + j]) * g.inverse[row]);
  }
}

template <class T>
Given<T> random_side(Dice& dice, std::int64_t k, std::int64_t d, std::int64_t classes, double near) {
  Given<T> g;
  Side& s = g.side;
  s.element = kElement<T>;
  s.k = k, s.d = d;
  s.n = k + (dice.one_in(3) ? dice.below(5) : 0);
  s.stride = dice.one_in(2) ? d : d + 1 + dice.below(9);
  g.x = Values<T>((s.n - 1) * s.stride + d, static_cast<std::size_t>(dice.below(8)));
  for (std::int64_t at = 0; at < g.x.count; ++at) put(&g.x[at], std::nan(""));
  fill_rows(dice, g.x, s.n, d, s.stride, near);
  g.inverse = Values<double>(s.n);
  g.order = Values<std::int64_t>(k), g.first = Values<std::int64_t>(k), g.last = Values<std::int64_t>(k);
  if (dice.one_in(3)) {
    g.weight = Values<double>(s.n);
    for (std::int64_t i = 0; i < s.n; ++i) g.weight[i] = dice.one_in(5) ? 0.0 : 1 + dice.uniform();
  }
  describe(g, dice);
  const std::int64_t shift = dice.one_in(3) ? dice.below(classes) : 0;  // classes that the other side lacks
  for (std::int64_t p = 0; p < k; ++p) g.labels.push_back(shift + dice.below(classes));
  std::sort(g.labels.begin(), g.labels.end());
  s.x = g.x.data(), s.inverse = g.inverse.data(), s.weight = g.weight.data();
  s.order = g.order.data(), s.first = g.first.data(), s.last = g.last.data();
  return g;
}

template <class T>
void span(const Given<T>& own, const Given<T>& other) {
  for (std::int64_t p = 0; p < own.side.k; ++p) {
    const auto [from, to] =
        std::equal_range(other.labels.begin(), other.labels.end(), own.labels[static_cast<std::size_t>(p)]);
    own.first[p] = from - other.labels.begin(), own.last[p] = to - other.labels.begin();
  }
}

// ---- the definition ----------------------------------------------------------------------------------------------

struct Sums {
  double total = 0, active = 0;
  std::int64_t pairs = 0;
  double unsure = 0;  // weight of pairs too near the hinge to say
  std::int64_t unsure_pairs = 0;
  std::vector<double> pull[2];  // of positions
};

template <class T>
double cosine(const Given<T>& a, std::int64_t i, const Given<T>& b, std::int64_t j) {
  const auto &u = a.unit[static_cast<std::size_t>(i)], &v = b.unit[static_cast<std::size_t>(j)];
  double sum = 0;
  for (std::size_t at = 0; at < u.size(); ++at) sum += u[at] * v[at];
  return std::clamp(sum, -1.0, 1.0);
}

template <class T>
Sums all_pairs(const Given<T>& rows, const Given<T>& columns, const HingeTask& t) {
  const std::int64_t d = t.rows.d;
  Sums out;
  out.pull[0].resize(static_cast<std::size_t>(t.rows.k * d)),
      out.pull[1].resize(static_cast<std::size_t>(t.columns.k * d));
  for (std::int64_t i = 0; i < t.rows.k; ++i)
    for (std::int64_t j = t.symmetric ? i + 1 : 0; j < t.columns.k; ++j) {
      if ((rows.labels[static_cast<std::size_t>(i)] == columns.labels[static_cast<std::size_t>(j)]) != t.genuine)
        continue;
      const double weight = rows.weight_of(i) * columns.weight_of(j);
      const double s = cosine(rows, i, columns, j), hinge = t.genuine ? t.margin - s : s - t.margin;
      if (std::fabs(hinge - kTie) < 1e-12) out.unsure += weight, ++out.unsure_pairs;
      if (!(hinge > kTie)) continue;
      out.total += weight * t.cost(hinge), out.active += weight, ++out.pairs;
      const double factor = weight * t.force(hinge);
      for (std::int64_t a = 0; a < d; ++a) {
        out.pull[0][static_cast<std::size_t>(i * d + a)] +=
            factor * columns.unit[static_cast<std::size_t>(j)][static_cast<std::size_t>(a)];
        out.pull[1][static_cast<std::size_t>(j * d + a)] +=
            factor * rows.unit[static_cast<std::size_t>(i)][static_cast<std::size_t>(a)];
      }
    }
  if (t.symmetric)
    for (std::size_t at = 0; at < out.pull[0].size(); ++at) out.pull[0][at] += out.pull[1][at];
  return out;
}

void near(const char* what, double found, double wanted, double tolerance) {
  if (std::fabs(found - wanted) <= tolerance) return;
  std::fprintf(stderr, "found %.17g, wanted %.17g, tolerance %.3g\n", found, wanted, tolerance);
  fail(std::string(what) + " is not that of all pairs");
}

// Sums of float32 products and of as many terms as there are pairs; a stray read or write is off by far more.
template <class T>
constexpr double kRounding = sizeof(T) == 8 ? 1e-12 : 1e-5;

template <class T>
void compare(const HingeSum& found, const Sums& wanted) {
  near("the total", found.total, wanted.total,
       kRounding<T> * (wanted.total + wanted.active) + 1e-11 * (wanted.unsure + 1));
  near("the active weight", found.active, wanted.active, 1e-11 * wanted.active + 2 * wanted.unsure);
  near("the number of active pairs", static_cast<double>(found.active_pairs), static_cast<double>(wanted.pairs),
       static_cast<double>(wanted.unsure_pairs));
}

template <class T>
void compare_pull(const Given<T>& g, const Values<Pull<T>>& found, const std::vector<double>& wanted, const Sums& sums,
                  const char* what) {
  const std::int64_t d = g.side.d;
  double largest = 1;
  for (const double x : wanted) largest = std::max(largest, std::fabs(x));
  std::vector<bool> seen(static_cast<std::size_t>(g.side.n));
  for (std::int64_t p = 0; p < g.side.k; ++p) {
    seen[static_cast<std::size_t>(g.order[p])] = true;
    for (std::int64_t j = 0; j < d; ++j)
      near(what, static_cast<double>(found[g.order[p] * d + j]), wanted[static_cast<std::size_t>(p * d + j)],
           kRounding<T> * largest + 4 * sums.unsure);
  }
  for (std::int64_t i = 0; i < g.side.n; ++i)
    for (std::int64_t j = 0; j < d && !seen[static_cast<std::size_t>(i)]; ++j)
      if (found[i * d + j] != 0) fail("a row that takes no part is pulled at");
}

// ---- a sweep -----------------------------------------------------------------------------------------------------

template <class T>
struct Case {
  Given<T> rows, columns;  // the columns are empty where symmetric
  HingeTask task{};
  const Given<T>& opposite() const { return task.symmetric ? rows : columns; }
};

std::int64_t random_count(Dice& dice, bool large) {
  constexpr std::int64_t small[] = {1, 2, 3, 4, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 48, 64, 65, 90};
  constexpr std::int64_t at_tiles[] = {239, 240, 241, 252, 480, 481, 1023, 1024, 1025, 1056, 1057};
  return large ? at_tiles[dice.below(11)] : small[dice.below(18)];
}

template <class T>
Case<T> random_case(Dice& dice) {
  constexpr std::int64_t widths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 130, 257};
  constexpr double margins[] = {-1.0, -0.3, 0.0, 0.25, 0.5, 0.8, 0.97, 1.0};
  const bool large = dice.one_in(12);
  const std::int64_t d = large && dice.one_in(3) ? 64 * (1 + dice.below(2)) : widths[dice.below(large ? 11 : 20)];
  const std::int64_t k = random_count(dice, large), m = random_count(dice, large && dice.one_in(2));
  const std::int64_t classes = std::int64_t{1} << dice.below(large ? 8 : 5);
  const double near = dice.one_in(2) ? 0.0 : dice.uniform();
  Case<T> c;
  c.task.symmetric = dice.one_in(2);
  c.task.genuine = dice.one_in(3);
  c.task.squared = dice.one_in(3);
  c.task.margin = dice.one_in(4) ? dice.uniform() : margins[dice.below(8)];
  c.rows = random_side<T>(dice, k, d, classes, near);
  if (!c.task.symmetric) c.columns = random_side<T>(dice, m, d, classes, near);
  span(c.rows, c.opposite());
  if (!c.task.symmetric) span(c.columns, c.rows);
  c.task.rows = c.rows.side, c.task.columns = c.opposite().side;
  return c;
}

template <class T>
Values<Pull<T>> zeros(const Side& side) {
  Values<Pull<T>> out(side.n * side.d);
  std::fill(out.data(), out.data() + out.count, Pull<T>{0});
  return out;
}

// Adds what a settled tile's pairs pull, as a product of matrices would.
template <class T>
void pull_tile(const Side& rows, const Values<Pull<T>>& force, std::int64_t width, bool across,
               const Values<Pull<T>>& unit, std::int64_t begin, std::int64_t end, void* pull) {
  for (std::int64_t p = begin; p < end; ++p)
    for (std::int64_t j = 0; j < rows.d; ++j) {
      double sum = 0;
      for (std::int64_t q = 0; q < unit.count / rows.d; ++q)
        sum += static_cast<double>(force[across ? q * width + (p - begin) : (p - begin) * width + q]) *
               unit[q * rows.d + j];
      static_cast<Pull<T>*>(pull)[rows.order[p] * rows.d + j] += static_cast<Pull<T>>(sum);
    }
}

template <class T>
void take_whole(Sweep& sweep, const Kernels& build, const Tile& tile) {
  const HingeTask& t = sweep.task();
  if (tile.row0 >= tile.row1 || tile.column0 >= tile.column1) fail("an empty tile is called dense");
  const std::int64_t d = t.rows.d, height = tile.row1 - tile.row0, width = tile.column1 - tile.column0;
  Values<Pull<T>> left(height * d), right(width * d), cosines(height * width, 3);
  build.unit_rows(t.rows, tile.row0, tile.row1, left.data());
  build.unit_rows(t.columns, tile.column0, tile.column1, right.data());
  for (std::int64_t i = 0; i < height; ++i)
    for (std::int64_t j = 0; j < width; ++j) {
      Pull<T> sum = 0;
      for (std::int64_t a = 0; a < d; ++a) sum += left[i * d + a] * right[j * d + a];
      cosines[i * width + j] = sum;
    }
  const double band = 1.01 * static_cast<double>(d + 16) * (sizeof(T) == 8 ? 0x1p-53 : 0x1p-24);
  sweep.settle(tile, band, cosines.data());
  if (t.pull_rows) pull_tile<T>(t.rows, cosines, width, false, right, tile.row0, tile.row1, t.pull_rows);
  if (t.pull_columns) pull_tile<T>(t.columns, cosines, width, true, left, tile.column0, tile.column1, t.pull_columns);
  check_guards(left.memory, right.memory, cosines.memory);
}

template <class T>
struct Swept {
  HingeSum sum;
  Values<Pull<T>> rows, columns;
};

struct Ways {  // how many tiles were taken which way
  std::int64_t screened = 0, dense = 0;
};

template <class T>
Swept<T> sweep(const Case<T>& c, const Kernels& build, int threads, bool pulls, Ways& ways) {
  Swept<T> out;
  HingeTask task = c.task;
  if (pulls) {
    out.rows = zeros<T>(task.rows);
    task.pull_rows = task.pull_columns = out.rows.data();
    if (!task.symmetric) out.columns = zeros<T>(task.columns), task.pull_columns = out.columns.data();
  }
  Sweep s(task, build, threads);
  std::int64_t tiles = 0;
  for (std::int64_t panel = 0; panel < s.panels(); ++panel) {
    std::vector<Tile> dense;
    s.panel(panel, dense);
    tiles += s.tiles_in(panel);
    ways.dense += static_cast<std::int64_t>(dense.size());
    for (const Tile& tile : dense) take_whole<T>(s, build, tile);
  }
  if (tiles != s.tiles()) fail("panels do not hold every tile");
  ways.screened += tiles;
  out.sum = s.sum();
  check_guards(out.rows.memory, out.columns.memory);
  c.rows.check();
  if (!task.symmetric) c.columns.check();
  return out;
}

template <class T>
bool same(const Swept<T>& a, const Swept<T>& b) {
  const auto bits = [](const Values<Pull<T>>& x, const Values<Pull<T>>& y) {
    return x.count == y.count &&
           (!x.count || !std::memcmp(x.data(), y.data(), static_cast<std::size_t>(x.count) * sizeof(Pull<T>)));
  };
  return a.sum.total == b.sum.total && a.sum.active == b.sum.active && a.sum.active_pairs == b.sum.active_pairs &&
         a.sum.evaluated == b.sum.evaluated && bits(a.rows, b.rows) && bits(a.columns, b.columns);
}

// ---- the screen by itself ----------------------------------------------------------------------------------------

struct Arrays {
  Levels levels{};
  Values<std::int8_t> rows;
  Values<std::uint8_t> strips;
  Values<float> step, reach;
  Values<std::int32_t> offset;
};

template <class T>
Arrays levels_of(const Side& side, const Kernels& build, bool as_rows) {
  const std::int64_t whole = kStrip * kStrips, words = (side.d + 3) / 4;
  const std::int64_t padded = as_rows ? side.k + kPadding : (side.k + whole - 1) / whole * whole;
  Arrays a;
  a.levels.k = side.k, a.levels.words = words;
  if (as_rows) a.rows = Values<std::int8_t>(padded * words * 4);
  if (!as_rows) a.strips = Values<std::uint8_t>(padded * words * 4);
  a.step = Values<float>(as_rows ? side.k : padded), a.reach = Values<float>(as_rows ? side.k : padded);
  a.offset = Values<std::int32_t>(as_rows ? padded : side.k);
  a.levels.levels = a.rows.data(), a.levels.strips = a.strips.data();
  a.levels.step = a.step.data(), a.levels.reach = a.reach.data(), a.levels.offset = a.offset.data();
  const Values<float> scratch((side.d + kSingles - 1) / kSingles * kSingles);
  build.make_levels(side, 0, side.k / 2, scratch.data(), a.levels);
  build.make_levels(side, side.k / 2, side.k, scratch.data(), a.levels);
  check_guards(a.rows.memory, a.strips.memory, a.step.memory, a.reach.memory, a.offset.memory, scratch.memory);
  return a;
}

template <class T>
void screen_alone(Dice& dice, const Case<T>& c, const Kernels& build) {
  const HingeTask& t = c.task;
  if (t.genuine) return;
  const Arrays left = levels_of<T>(t.rows, build, true), right = levels_of<T>(t.columns, build, false);
  const ScreenTask task{&t, left.levels, right.levels};
  const std::int64_t row0 = dice.below(t.rows.k) / 12 * 12, column0 = dice.below(t.columns.k) / 32 * 32;
  const Tile tile{row0, std::min(row0 + kTileRows, t.rows.k), column0, std::min(column0 + kTileColumns, t.columns.k)};
  const std::int32_t capacity = dice.one_in(2) ? 1024 : 16384;
  const Values<PairInTile> pairs(capacity);
  Survivors found{pairs.data(), 0, capacity, false};
  build.screen(task, tile, found);
  pairs.memory->check();
  if (found.dense) return;
  const std::int64_t width = tile.column1 - column0;
  std::vector<bool> kept(static_cast<std::size_t>((tile.row1 - row0) * width));
  for (std::int32_t at = 0; at < found.count; ++at) {
    const PairInTile p = pairs[at];
    if (p.row >= tile.row1 - row0 || p.column >= width) fail("a pair outside its tile survives");
    if (kept[static_cast<std::size_t>(p.row * width + p.column)]) fail("a pair survives twice");
    kept[static_cast<std::size_t>(p.row * width + p.column)] = true;
  }
  for (std::int64_t i = row0; i < tile.row1; ++i) {
    const Columns paired(t, i, tile.column0, tile.column1);
    for (std::int64_t j = column0; j < tile.column1; ++j) {
      const bool is_pair = (j >= paired.begin[0] && j < paired.end[0]) || (j >= paired.begin[1] && j < paired.end[1]);
      const bool survived = kept[static_cast<std::size_t>((i - row0) * width + (j - column0))];
      if (survived && !is_pair) fail("what is no pair survives");
      if (!survived && is_pair && cosine(c.rows, i, c.opposite(), j) > t.margin + 1e-13)
        fail("a pair that costs is lost");
    }
  }
}

// ---- genuine pairs at margin 1, and gradients --------------------------------------------------------------------

// The gradient of one row: what is orthogonal to it of all that pulls, over its length.
template <class T>
void compare_gradients(const Given<T>& own, const Values<Pull<T>>& pull, const Values<Pull<T>>& found,
                       const std::vector<double>& genuine, double share, double impostor, const Sums& sums) {
  const std::int64_t d = own.side.d;
  for (std::int64_t p = 0; p < own.side.k; ++p) {
    const std::int64_t row = own.order[p];
    const auto& unit = own.unit[static_cast<std::size_t>(p)];
    std::vector<double> all(static_cast<std::size_t>(d));
    double along = 0, size = sums.unsure + 1;
    for (std::int64_t j = 0; j < d; ++j) {
      const auto at = static_cast<std::size_t>(j);
      all[at] =
          impostor * static_cast<double>(pull[row * d + j]) + share * genuine[static_cast<std::size_t>(p * d + j)];
      along += all[at] * unit[at], size += std::fabs(all[at]);
    }
    for (std::int64_t j = 0; j < d; ++j) {
      const auto at = static_cast<std::size_t>(j);
      near("a gradient", static_cast<double>(found[row * d + j]), (all[at] - along * unit[at]) * own.inverse[row],
           (sizeof(T) == 8 ? 1e-11 : 1e-6) * size * own.inverse[row] + 0x1p-149);
    }
  }
}

template <class T>
void finish_side(Dice& dice, const Given<T>& own, const Given<T>& other, const Kernels& build,
                 const std::vector<double>& genuine, const Sums& sums) {
  const Values<Pull<T>> pull = zeros<T>(own.side), one = zeros<T>(own.side), three = zeros<T>(own.side);
  for (std::int64_t at = 0; at < pull.count; ++at)
    pull[at] = one[at] = three[at] = static_cast<Pull<T>>(dice.uniform());
  const double share = dice.one_in(3) ? 0.0 : 1 + dice.uniform(), impostor = dice.uniform();
  finish(own.side, other.side, build, share, impostor, one.data(), 1);
  finish(own.side, other.side, build, share, impostor, three.data(), 3);
  if (std::memcmp(one.data(), three.data(), static_cast<std::size_t>(one.count) * sizeof(Pull<T>)))
    fail("the number of threads changes a gradient");
  compare_gradients(own, pull, one, genuine, share, impostor, sums);
  check_guards(pull.memory, one.memory, three.memory);
}

template <class T>
void close(Dice& dice, const Case<T>& c, const Kernels& build) {
  HingeTask t = c.task;
  t.genuine = true, t.squared = false, t.margin = 1.0;
  const Sums wanted = all_pairs(c.rows, c.opposite(), t);
  for (const bool count_parallel : {true, false}) {
    const HingeSum one = genuine_at_one(t, build, count_parallel, 1),
                   three = genuine_at_one(t, build, count_parallel, 3);
    if (one.total != three.total || one.active != three.active) fail("the number of threads changes a class's sum");
    near("a class's total", one.total, wanted.total, 1e-11 * (wanted.active + wanted.unsure + 1));
    if (count_parallel) compare<double>(one, wanted);
  }
  finish_side(dice, c.rows, c.opposite(), build, wanted.pull[0], wanted);
  if (!t.symmetric) finish_side(dice, c.columns, c.rows, build, wanted.pull[1], wanted);
  const Values<double> squares(t.rows.n);
  squared_lengths(t.rows, build, squares.data(), 3);
  for (std::int64_t p = 0; p < t.rows.k; ++p) {
    const double inverse = c.rows.inverse[c.rows.order[p]];
    near("a squared length", squares[c.rows.order[p]] * inverse * inverse, inverse > 0 ? 1.0 : 0.0, 1e-12);
  }
  squares.memory->check();
  c.rows.check();
}

// ---- small batches -----------------------------------------------------------------------------------------------

template <class T>
void small_alone(Dice& dice, const Given<T>& g, const HingeTask& like, const Kernels& build) {
  if (g.side.weight || g.side.n < 2 || g.side.n > 256) return;
  HingeTask impostor = like;
  impostor.rows = impostor.columns = g.side;
  impostor.symmetric = true, impostor.genuine = false;
  HingeTask genuine = impostor;
  genuine.genuine = true, genuine.margin = dice.one_in(2) ? 1.0 : dice.uniform();
  const Values<std::int64_t> labels(g.side.n);
  for (std::int64_t i = 0; i < g.side.n; ++i) labels[i] = -1 - i;  // of rows that take no part
  for (std::int64_t p = 0; p < g.side.k; ++p) labels[g.order[p]] = g.labels[static_cast<std::size_t>(p)];
  const std::int64_t d = g.side.d;
  const Values<Pull<T>> gradient(g.side.n * d);
  const bool wanted = !dice.one_in(4);
  const SmallTask task{g.side.x,
                       g.side.element,
                       g.side.n,
                       d,
                       g.side.stride,
                       labels.data(),
                       like.margin,
                       genuine.margin,
                       like.squared,
                       Reduction::sum,
                       wanted ? gradient.data() : nullptr};
  const Values<double> scratch(task.scratch());
  bool ordinary = g.side.k == g.side.n;
  for (std::int64_t p = 0; p < g.side.k; ++p) ordinary = ordinary && g.inverse[g.order[p]] > 0;
  SmallSum sum;
  if (build.small_batch(task, scratch.data(), sum) != ordinary) fail("a small batch is not taken, or is");
  check_guards(labels.memory, gradient.memory, scratch.memory);
  g.check();
  if (!ordinary) return;
  const Sums of[2] = {all_pairs(g, g, impostor), all_pairs(g, g, genuine)};
  const double unsure = of[0].unsure + of[1].unsure;
  near("the number of active pairs", static_cast<double>(sum.active_impostor + sum.active_genuine),
       static_cast<double>(of[0].pairs + of[1].pairs), unsure);
  near("a small batch's loss", sum.loss, of[0].total + of[1].total, 1e-11 * (of[0].active + of[1].active + unsure + 1));
  for (std::int64_t p = 0; p < g.side.k && wanted; ++p) {
    const std::int64_t row = g.order[p];
    const auto& unit = g.unit[static_cast<std::size_t>(p)];
    double along = 0, size = 4 * unsure + 1;
    for (std::int64_t j = 0; j < d; ++j) {
      const auto at = static_cast<std::size_t>(p * d + j);
      along += (of[0].pull[0][at] + of[1].pull[0][at]) * unit[static_cast<std::size_t>(j)];
      size += std::fabs(of[0].pull[0][at]) + std::fabs(of[1].pull[0][at]);
    }
    for (std::int64_t j = 0; j < d; ++j) {
      const auto at = static_cast<std::size_t>(p * d + j);
      const double pull = of[0].pull[0][at] + of[1].pull[0][at] - along * unit[static_cast<std::size_t>(j)];
      near("a small batch's gradient", static_cast<double>(gradient[row * d + j]), pull * g.inverse[row],
           ((sizeof(T) == 8 ? 1e-11 : 1e-6) * size + 8 * unsure) * g.inverse[row] + 0x1p-149);
    }
  }
}

// ---- runs --------------------------------------------------------------------------------------------------------

template <class T>
void compare(const Case<T>& c, const Swept<T>& found, const Sums& wanted) {
  compare<T>(found.sum, wanted);
  if (found.rows.count) compare_pull(c.rows, found.rows, wanted.pull[0], wanted, "what rows are pulled by");
  if (found.columns.count) compare_pull(c.columns, found.columns, wanted.pull[1], wanted, "what columns are pulled by");
}

template <class T>
void run_case(Dice& dice, Ways& ways) {
  const Case<T> c = random_case<T>(dice);
  const Sums wanted = all_pairs(c.rows, c.opposite(), c.task);
  const Kernels* found[kMostBuilds];
  const bool pulls = !dice.one_in(6);
  for (int i = 0, count = builds(found); i < count; ++i) {
    const Swept<T> one = sweep(c, *found[i], 1, pulls, ways), three = sweep(c, *found[i], 3, pulls, ways);
    compare(c, one, wanted);
    if (!same(one, three)) fail("the number of threads changes a sweep");
    screen_alone(dice, c, *found[i]);
    close(dice, c, *found[i]);
    small_alone(dice, c.rows, c.task, *found[i]);
  }
}

template <class T>
void run_callers(std::uint64_t seed, std::int64_t rounds) {
  Dice dice{seed};
  Ways ways;
  for (std::int64_t i = 0; i < rounds; ++i) {
    const Case<T> c = random_case<T>(dice);
    compare(c, sweep(c, kernels(), 4, true, ways), all_pairs(c.rows, c.opposite(), c.task));
    close(dice, c, kernels());
  }
}

}  // namespace

void run_sweeps(std::int64_t rounds, std::uint64_t seed) {
  Dice dice{seed * 2 + 1};
  Ways ways;
  for (std::int64_t i = 0; i < rounds; ++i) {
    run_case<float>(dice, ways);
    run_case<double>(dice, ways);
    run_case<BFloat16>(dice, ways);
#if defined(COSPAIR_HALF)
    run_case<Half>(dice, ways);
#endif
  }
  if (rounds >= 50 && (!ways.dense || ways.dense == ways.screened)) fail("tiles are all taken the same way");
  std::printf(
      "%lld sweeps an element type on every build, 1 and 3 threads, %lld of %lld tiles taken whole: no complaint\n",
      static_cast<long long>(rounds), static_cast<long long>(ways.dense), static_cast<long long>(ways.screened));
}

void run_sweeps_concurrently(std::int64_t rounds) {
  std::vector<std::thread> callers;
  callers.emplace_back(run_callers<float>, 3, rounds);
  callers.emplace_back(run_callers<double>, 5, rounds);
  callers.emplace_back(run_callers<BFloat16>, 7, rounds);
  for (std::thread& caller : callers) caller.join();
  std::printf("%lld sweeps from each of 3 callers on 4 threads: no complaint\n", static_cast<long long>(rounds));
}

}  // namespace cospair
