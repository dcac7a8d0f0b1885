#include "sweep.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "threads.hpp"

namespace cospair {
namespace {

// A sixteenth of a tile: past that, products of matrices are the faster way. Small tiles may keep more.
constexpr std::int32_t kCapacity = kTileRows * kTileColumns / 16;
constexpr std::int32_t kLeastCapacity = 2048;

std::int32_t capacity_of(const Tile& tile) {
  const std::int64_t area = (tile.row1 - tile.row0) * (tile.column1 - tile.column0);
  return std::max(static_cast<std::int32_t>(area / 16), kLeastCapacity);
}

constexpr std::int64_t kPanelTiles = 128;

void add(HingeSum& to, const HingeSum& part) {
  to.total += part.total;
  to.active += part.active;
  to.active_pairs += part.active_pairs;
  to.evaluated += part.evaluated;
}

// Chunks depend on the number of rows alone, and their sums are added in order: the number of threads changes nothing.
constexpr std::int64_t kChunkRows = 64;

std::int64_t chunks_of(std::int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

}  // namespace

void Sweep::Free::operator()(unsigned char* p) const { ::operator delete[](p, std::align_val_t{64}); }

template <class T>
T* Sweep::allocate(std::int64_t count) {
  const std::size_t bytes = std::max<std::size_t>(static_cast<std::size_t>(count) * sizeof(T), 64);
  owned_.push_back(Bytes(static_cast<unsigned char*>(::operator new[](bytes, std::align_val_t{64}))));
  return reinterpret_cast<T*>(owned_.back().get());
}

Sweep::Sweep(const HingeTask& task, const Kernels& build, int threads)
    : task_(task), build_(build), threads_(threads), screened_(!task.genuine && task.rows.d <= kMostScreened) {
  lay_tiles();
  std::int64_t most = 0;
  for (const Panel& p : panels_) most = std::max(most, p.last_tile - p.first_tile);
  storage_ = allocate<PairInTile>(most * kCapacity);
  survivors_.resize(static_cast<std::size_t>(most));
  if (!screened_ || tiles_.empty()) return;
  if (task.symmetric) {
    row_levels_ = column_levels_ = levels_of(task.rows, true, true);
  } else {
    row_levels_ = levels_of(task.rows, true, false);
    column_levels_ = levels_of(task.columns, false, true);
  }
}

// Whether a tile holds a pair of the kind. Spans grow with the position, so its corners tell.
bool Sweep::has_pairs(const Tile& tile) const {
  const Side& rows = task_.rows;
  if (task_.genuine) {
    const std::int64_t from = task_.symmetric ? tile.row0 + 1 : rows.first[tile.row0];
    return tile.column1 > from && tile.column0 < rows.last[tile.row1 - 1];
  }
  if (task_.symmetric) return tile.column1 > rows.last[tile.row0];
  return tile.column0 < rows.first[tile.row1 - 1] || tile.column1 > rows.last[tile.row0];
}

// Without the columns that make no pair with any of its rows.
Tile Sweep::trimmed(Tile tile) const {
  const Side& rows = task_.rows;
  const std::int64_t last = rows.last[tile.row1 - 1];
  if (task_.symmetric) tile.column0 = std::max(tile.column0, task_.genuine ? tile.row0 + 1 : rows.last[tile.row0]);
  if (task_.genuine) tile.column1 = std::min(tile.column1, last);
  if (task_.genuine && !task_.symmetric) tile.column0 = std::max(tile.column0, rows.first[tile.row0]);
  return tile;
}

void Sweep::lay_tiles() {
  for (std::int64_t top = 0; top < task_.rows.k; top += kTileRows) {
    const std::int64_t before = tiles();
    for (std::int64_t left = 0; left < task_.columns.k; left += kTileColumns) {
      const Tile tile{top, std::min(top + kTileRows, task_.rows.k), left,
                      std::min(left + kTileColumns, task_.columns.k)};
      if (has_pairs(tile)) tiles_.push_back(tile);
    }
    if (tiles() == before) continue;
    if (panels_.empty() || tiles() - panels_.back().first_tile > kPanelTiles)
      panels_.push_back({before, tiles()});
    else
      panels_.back().last_tile = tiles();
  }
}

std::int64_t Sweep::tiles_in(std::int64_t panel) const {
  const Panel& p = panels_[static_cast<std::size_t>(panel)];
  return p.last_tile - p.first_tile;
}

Levels Sweep::levels_of(const Side& side, bool as_rows, bool as_columns) {
  constexpr std::int64_t whole = kStrip * kStrips;
  const std::int64_t strips = (side.k + whole - 1) / whole * kStrips, padded = strips * kStrip + kPadding;
  Levels out{};
  out.k = side.k;
  out.words = (side.d + 3) / 4;
  if (as_rows) {
    out.levels = allocate<std::int8_t>((side.k + kPadding) * out.words * 4);
    std::memset(out.levels + side.k * out.words * 4, 0, static_cast<std::size_t>(kPadding * out.words * 4));
  }
  if (as_columns) {
    const std::size_t pass = static_cast<std::size_t>(kStrips * out.words * 64);
    out.strips = allocate<std::uint8_t>(strips * out.words * 64);
    if (strips) std::memset(out.strips + static_cast<std::size_t>(strips) * out.words * 64 - pass, 0, pass);
  }
  out.step = allocate<float>(padded);
  out.reach = allocate<float>(padded);
  out.offset = allocate<std::int32_t>(padded);
  std::fill(out.step, out.step + padded, 1.0f);
  std::fill(out.reach, out.reach + padded, 1.0f);
  std::fill(out.offset, out.offset + padded, 0);
  const std::int64_t row = (side.d + 15) / 16 * 16;
  std::vector<float> scratch(static_cast<std::size_t>(row * threads_));
  for_each(chunks_of(side.k), threads_, [&](std::int64_t chunk, int worker) {
    const std::int64_t begin = chunk * kChunkRows, end = std::min(side.k, begin + kChunkRows);
    build_.make_levels(side, begin, end, scratch.data() + worker * row, out);
  });
  return out;
}

void Sweep::list_genuine(const Tile& tile, Survivors& out) const {
  for (std::int64_t i = tile.row0; i < tile.row1; ++i) {
    const Columns paired(task_, i, tile.column0, tile.column1);
    if (out.count + paired.count() > out.capacity) {
      out.dense = true;
      return;
    }
    for (std::int64_t j = paired.begin[0]; j < paired.end[0]; ++j)
      out.pairs[out.count++] = {static_cast<std::uint16_t>(i - tile.row0),
                                static_cast<std::uint16_t>(j - tile.column0)};
  }
}

void Sweep::find(const Tile& tile, Survivors& out) const {
  if (task_.genuine) return list_genuine(tile, out);
  if (!screened_) {
    out.dense = true;
    return;
  }
  const ScreenTask screening{&task_, row_levels_, column_levels_};
  build_.screen(screening, tile, out);
}

void Sweep::panel(std::int64_t number, std::vector<Tile>& dense) {
  const Panel p = panels_[static_cast<std::size_t>(number)];
  const Tile* tiles = tiles_.data() + p.first_tile;
  const std::int64_t count = p.last_tile - p.first_tile;
  for_each(count, threads_, [&](std::int64_t at, int) {
    Survivors& found = survivors_[static_cast<std::size_t>(at)];
    found = {storage_ + at * kCapacity, 0, capacity_of(tiles[at]), false};
    find(tiles[at], found);
    if (found.dense) found.count = 0;
  });

  // tiles of one row of tiles pull at the same rows: one thread takes them, in order
  std::vector<std::int64_t> tops;
  for (std::int64_t at = 0; at < count; ++at)
    if (at == 0 || tiles[at].row0 != tiles[at - 1].row0) tops.push_back(at);
  tops.push_back(count);
  std::vector<HingeSum> sums(tops.size());
  for_each(static_cast<std::int64_t>(tops.size()) - 1, threads_, [&](std::int64_t top, int) {
    for (std::int64_t at = tops[static_cast<std::size_t>(top)]; at < tops[static_cast<std::size_t>(top) + 1]; ++at) {
      Survivors& found = survivors_[static_cast<std::size_t>(at)];
      if (found.count) build_.settle_survivors(task_, tiles[at], found, sums[static_cast<std::size_t>(top)]);
    }
  });
  std::int64_t active = 0;
  for (const HingeSum& part : sums) add(sum_, part), active += part.active_pairs;

  if (task_.pull_columns && active) {
    const std::int64_t columns = (task_.columns.k + kTileColumns - 1) / kTileColumns;
    for_each(columns, threads_, [&](std::int64_t column, int) {
      for (std::int64_t at = 0; at < count; ++at)
        if (tiles[at].column0 == column * kTileColumns)
          build_.pull_columns(task_, tiles[at], survivors_[static_cast<std::size_t>(at)]);
    });
  }
  for (std::int64_t at = 0; at < count; ++at)
    if (survivors_[static_cast<std::size_t>(at)].dense) dense.push_back(trimmed(tiles[at]));
}

void Sweep::settle(const Tile& tile, double band, void* cosines) {
  constexpr std::int64_t rows = 16;
  const std::int64_t count = (tile.row1 - tile.row0 + rows - 1) / rows;
  HingeSum sums[kTileRows / rows];
  for_each(count, threads_, [&](std::int64_t at, int) {
    const std::int64_t begin = tile.row0 + at * rows;
    build_.settle_dense(task_, tile, begin, std::min(begin + rows, tile.row1), band, cosines,
                        sums[static_cast<std::size_t>(at)]);
  });
  for (std::int64_t at = 0; at < count; ++at) add(sum_, sums[at]);
}

// ---- genuine pairs at margin 1 ----------------------------------------------------------------------------------

namespace {

// One class as both sides see it.
struct Class {
  std::int64_t begin, end, other_begin, other_end;
};

// Classes of a side in order; a class that the other side lacks has an empty span there.
std::vector<Class> classes_of(const Side& side) {
  std::vector<Class> out;
  for (std::int64_t p = 0; p < side.k; ++p) {
    const bool same = !out.empty() && out.back().other_begin == side.first[p] && out.back().other_end == side.last[p] &&
                      side.last[p] > side.first[p];
    if (same)
      out.back().end = p + 1;
    else
      out.push_back({p, p + 1, side.first[p], side.last[p]});
  }
  return out;
}

// What a worker computes classes in: allocated before the work is shared, for a worker must not throw.
struct ClassScratch {
  std::vector<double> anchor, sum, other_sum, row;
  explicit ClassScratch(std::int64_t d)
      : anchor(static_cast<std::size_t>(d)), sum(anchor), other_sum(anchor), row(2 * anchor.size()) {}
  void clear() {
    std::fill(anchor.begin(), anchor.end(), 0.0);
    std::fill(sum.begin(), sum.end(), 0.0);
    std::fill(other_sum.begin(), other_sum.end(), 0.0);
  }
};

std::vector<ClassScratch> scratches(std::int64_t d, int threads) {
  return std::vector<ClassScratch>(static_cast<std::size_t>(threads), ClassScratch(d));
}

// Distances from their class's anchor, of all positions of both sides: classes write to places of their own.
struct Distances {
  using Far = std::pair<double, std::int64_t>;  // and the position
  std::vector<double> squares, other_squares;   // empty where parallel pairs are not counted
  std::vector<Far> far, other_far;
  Distances(const HingeTask& t, bool wanted)
      : squares(static_cast<std::size_t>(wanted ? t.rows.k : 0)),
        other_squares(static_cast<std::size_t>(wanted && !t.symmetric ? t.columns.k : 0)),
        far(squares.size()),
        other_far(other_squares.size()) {}
};

// The first row of a class that is not zero, on either side.
bool find_anchor(const Class& c, const Side& side, const Side& other, const Kernels& build, double* anchor) {
  for (std::int64_t p = c.begin; p < c.end; ++p)
    if (side.inverse_of(p) != 0) return build.make_unit_row(side, p, anchor), true;
  for (std::int64_t p = c.other_begin; p < c.other_end; ++p)
    if (other.inverse_of(p) != 0) return build.make_unit_row(other, p, anchor), true;
  return false;
}

// Pairs of a class that stand at their hinge, 1 - s <= kTie. Their rows are as far from the anchor as one another.
struct Parallel {
  double weight = 0;
  std::int64_t pairs = 0, weighing = 0;  // those of a weight that is not 0
};

// The rows [begin, end) that are not zero, by their distance; returns how many.
std::int64_t sort_by_distance(const double* squares, std::int64_t begin, std::int64_t end, Distances::Far* far) {
  std::int64_t count = 0;
  for (std::int64_t p = begin; p < end; ++p)
    if (squares[p] >= 0) far[count++] = {__builtin_sqrt(squares[p]), p};
  std::sort(far, far + count);
  return count;
}

Parallel parallel_pairs(const Class& c, const HingeTask& t, const Kernels& build, Distances& all) {
  const double apart = __builtin_sqrt(2 * kTie);
  Distances::Far* const far = all.far.data() + c.begin;
  const std::int64_t count = sort_by_distance(all.squares.data(), c.begin, c.end, far);
  Distances::Far* other_far = far;
  std::int64_t other_count = count;
  if (!t.symmetric) {
    other_far = all.other_far.data() + c.other_begin;
    other_count = sort_by_distance(all.other_squares.data(), c.other_begin, c.other_end, other_far);
  }
  Parallel found;
  std::int64_t from = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    while (from < other_count && other_far[from].first < far[i].first - apart) ++from;
    for (std::int64_t j = t.symmetric ? i + 1 : from; j < other_count; ++j) {
      if (other_far[j].first > far[i].first + apart) break;
      const std::int64_t p = far[i].second, q = other_far[j].second;
      // two rows that are close to the anchor are so to each other: a collapsed class costs no products
      const bool close = far[i].first + other_far[j].first <= apart;
      if (!close && build.squared_gap(t.rows, p, t.columns, q) > 2 * kTie) continue;
      const double weight = t.rows.weight_of(p) * t.columns.weight_of(q);
      found.weight += weight;
      found.weighing += weight != 0;
      ++found.pairs;
    }
  }
  return found;
}

std::int64_t weighing_rows(const Side& side, std::int64_t begin, std::int64_t end) {
  std::int64_t count = 0;
  for (std::int64_t p = begin; p < end; ++p) count += side.weight_of(p) != 0;
  return count;
}

std::int64_t weighing_pairs(const Class& c, const HingeTask& t) {
  const std::int64_t n = weighing_rows(t.rows, c.begin, c.end);
  return t.symmetric ? n * (n - 1) / 2 : n * weighing_rows(t.columns, c.other_begin, c.other_end);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

HingeSum class_at_one(const Class& c, const HingeTask& t, const Kernels& build, Distances& all, ClassScratch& s) {
  HingeSum out;
  const std::int64_t n = c.end - c.begin, m = c.other_end - c.other_begin;
  if (t.symmetric ? n < 2 : m < 1) return out;
  s.clear();
  find_anchor(c, t.rows, t.columns, build, s.anchor.data());
  const bool count_parallel = !all.squares.empty();
  ClassSums one, two;
  build.class_sums(t.rows, c.begin, c.end, s.anchor.data(), s.sum.data(),
                   count_parallel ? all.squares.data() + c.begin : nullptr, s.row.data(), one);
  double squares, zeros, pairs;
  if (t.symmetric) {
    double all2 = 0;
    for (std::int64_t p = c.begin; p < c.end; ++p) all2 += t.rows.weight_of(p) * t.rows.weight_of(p);
    squares = one.weight * one.spread - dot(s.sum, s.sum);
    zeros = one.zero * one.weight + (one.zero * one.zero - one.zero2) / 2;
    pairs = ((one.weight + one.zero) * (one.weight + one.zero) - all2) / 2;
    out.active_pairs = n * (n - 1) / 2;
  } else {
    build.class_sums(t.columns, c.other_begin, c.other_end, s.anchor.data(), s.other_sum.data(),
                     count_parallel ? all.other_squares.data() + c.other_begin : nullptr, s.row.data(), two);
    squares = two.weight * one.spread + one.weight * two.spread - 2 * dot(s.sum, s.other_sum);
    zeros = (one.weight + one.zero) * (two.weight + two.zero) - one.weight * two.weight;
    pairs = (one.weight + one.zero) * (two.weight + two.zero);
    out.active_pairs = n * m;
  }
  out.total = std::max(squares, 0.0) / 2 + zeros;
  out.active = pairs;
  if (!count_parallel) return out;
  const Parallel at_hinge = parallel_pairs(c, t, build, all);
  out.active -= at_hinge.weight;
  out.active_pairs -= at_hinge.pairs;
  // where no other pair weighs anything, what is left of the sums are roundings
  if (at_hinge.weighing == weighing_pairs(c, t)) out.active = out.total = 0;
  return out;
}

// Runs of whole classes, each of some rows.
std::vector<std::size_t> runs_of(const std::vector<Class>& classes) {
  std::vector<std::size_t> starts{0};
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    rows += classes[i].end - classes[i].begin;
    if (rows < kChunkRows) continue;
    starts.push_back(i + 1);
    rows = 0;
  }
  if (starts.back() != classes.size()) starts.push_back(classes.size());
  return starts;
}

}  // namespace

HingeSum genuine_at_one(const HingeTask& task, const Kernels& build, bool count_parallel, int threads) {
  const std::vector<Class> classes = classes_of(task.rows);
  const std::vector<std::size_t> runs = runs_of(classes);
  std::vector<HingeSum> sums(runs.size());
  Distances distances(task, count_parallel);
  std::vector<ClassScratch> scratch = scratches(task.rows.d, threads);
  for_each(static_cast<std::int64_t>(runs.size()) - 1, threads, [&](std::int64_t at, int worker) {
    const std::size_t run = static_cast<std::size_t>(at);
    for (std::size_t i = runs[run]; i < runs[run + 1]; ++i)
      add(sums[run], class_at_one(classes[i], task, build, distances, scratch[static_cast<std::size_t>(worker)]));
  });
  HingeSum out;
  for (const HingeSum& part : sums) add(out, part);
  return out;
}

void finish(const Side& side, const Side& other, const Kernels& build, double genuine, double impostor, void* pull,
            int threads) {
  const std::vector<Class> classes = classes_of(side);
  const std::vector<std::size_t> runs = runs_of(classes);
  std::vector<ClassScratch> scratch = scratches(side.d, threads);
  for_each(static_cast<std::int64_t>(runs.size()) - 1, threads, [&](std::int64_t at, int worker) {
    ClassScratch& s = scratch[static_cast<std::size_t>(worker)];
    const std::size_t run = static_cast<std::size_t>(at);
    for (std::size_t i = runs[run]; i < runs[run + 1]; ++i) {
      const Class& c = classes[i];
      ClassSums sums;
      const bool closed = genuine != 0 && c.other_end > c.other_begin;
      if (closed) {
        s.clear();
        find_anchor(c, side, other, build, s.anchor.data());
        build.class_sums(other, c.other_begin, c.other_end, s.anchor.data(), s.sum.data(), nullptr, s.row.data(), sums);
      }
      build.finish_rows(side, c.begin, c.end, s.anchor.data(), closed ? s.sum.data() : nullptr, sums.weight, genuine,
                        impostor, pull, s.row.data());
    }
  });
}

void squared_lengths(const Side& side, const Kernels& build, double* out, int threads) {
  for_each(chunks_of(side.n), threads, [&](std::int64_t chunk, int) {
    const std::int64_t begin = chunk * kChunkRows;
    build.squared_lengths(side, begin, std::min(side.n, begin + kChunkRows), out);
  });
}

}  // namespace cospair
