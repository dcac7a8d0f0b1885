#include "tally.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "threads.hpp"

namespace cospair {
namespace {

constexpr std::int64_t kRowsAtOnce = kGroups * kGroup;
constexpr std::int64_t kItemColumns = 170 * kPanel;
constexpr std::int64_t kItemElements = 1 << 15;               // of an item's packed rows: a quarter of the second cache
constexpr std::int64_t kPartPairs = std::int64_t{1} << 27;    // between two looks at the progress
constexpr std::int64_t kMostPending = std::int64_t{1} << 30;  // a count of 31 bits holds that many

Doubles doubles(std::int64_t count) {
  const std::size_t bytes = std::max<std::size_t>(static_cast<std::size_t>(count) * sizeof(double), 64);
  return Doubles(static_cast<double*>(::operator new[](bytes, std::align_val_t{64})));
}

std::int64_t area(const Tile& t) { return (t.row1 - t.row0) * (t.column1 - t.column0); }

// Higher keys first, then in the order of the rows.
bool precedes(const Scored& a, const Scored& b) {
  if (a.key != b.key) return a.key > b.key;
  return a.first != b.first ? a.first < b.first : a.second < b.second;
}

// Of a block of rows and a panel: whether none, or every one, of its pairs is of the kind.
enum class Kind { none, some, all };

Kind kind_of(const HingeTask& t, std::int64_t row0, std::int64_t row1, std::int64_t column0, std::int64_t column1) {
  const std::int64_t* first = t.rows.first;
  const std::int64_t* last = t.rows.last;
  const bool inside = column1 <= t.columns.k;
  if (t.genuine) {
    if (column0 >= last[row1 - 1] || column1 <= (t.symmetric ? row0 + 1 : first[row0])) return Kind::none;
    const bool past = column0 >= (t.symmetric ? row1 : first[row1 - 1]);
    return inside && past && column1 <= last[row0] ? Kind::all : Kind::some;
  }
  if (t.symmetric && column1 <= last[row0]) return Kind::none;
  const bool before = !t.symmetric && column1 <= first[row0];
  return inside && (before || column0 >= last[row1 - 1]) ? Kind::all : Kind::some;
}

}  // namespace

Panels::Panels(const Side& side, const Kernels& build, int threads) : positions_(side.k), d_(side.d) {
  const std::int64_t panels = (side.k + kPanel - 1) / kPanel;
  packed_ = doubles(panels * kPanel * side.d);
  for_each(panels, threads, [&](std::int64_t p, int) {
    build.pack(side, p * kPanel, std::min(side.k, (p + 1) * kPanel), kPanel, packed_.get() + p * kPanel * side.d);
  });
}

Tally::Tally(const HingeTask& pairs, const Panels& columns, const Axis& axis, const Wanted& wanted,
             const Kernels& build, int threads)
    : pairs_(pairs), columns_(columns), axis_(axis), wanted_(wanted), build_(build), threads_(threads) {
  lay_cells();
  lay_items();
  make_workers();
  totals_.assign(2 * static_cast<std::size_t>(axis_.edges) + 1, 0);
  cell_totals_.assign(static_cast<std::size_t>(axis_.cells), 0);
  marginals_.assign(static_cast<std::size_t>(wanted_.codes * wanted_.bins), 0);
}

std::int64_t Tally::cell_of(double key) const {
  return static_cast<std::int64_t>(std::clamp((key - axis_.low) * axis_.step, 0.0, axis_.cells - 1.0));
}

bool Tally::is_wanted(std::int32_t cell) const {
  const double width = 1 / axis_.step, infinite = std::numeric_limits<double>::infinity();
  const double begin = cell ? axis_.low + cell * width : -infinite;
  const double end = cell + 1 < axis_.cells ? axis_.low + (cell + 1) * width : infinite;
  for (std::size_t w = 0; w < wanted_.from.size(); ++w)
    if (wanted_.from[w] < end && wanted_.to[w] > begin) return true;
  return false;
}

void Tally::lay_cells() {
  const std::size_t edges = static_cast<std::size_t>(axis_.edges), cells = static_cast<std::size_t>(axis_.cells);
  edge_.assign(axis_.edge, axis_.edge + edges);
  edge_.resize(edges + kEdgePadding, std::numeric_limits<double>::infinity());
  axis_.edge = edge_.data();
  cut_.assign(cells, false);
  start_.assign(cells + 1, 0);
  std::size_t under = 0;  // edges in lower cells
  for (std::size_t c = 0; c < cells; ++c) {
    start_[c] = static_cast<std::uint32_t>(under);
    while (under < edges && cell_of(edge_[under]) == static_cast<std::int64_t>(c)) ++under;
    cut_[c] = under > start_[c];
    if (!is_wanted(static_cast<std::int32_t>(c))) continue;
    cut_[c] = true;
    start_[c] |= kCut;
  }
  start_[cells] = static_cast<std::uint32_t>(edges);
  axis_.start = start_.data();
}

void Tally::lay_items() {
  const std::int64_t k = pairs_.rows.k, m = pairs_.columns.k;
  const std::int64_t fair = (k / (4 * threads_) + kRowsAtOnce - 1) / kRowsAtOnce * kRowsAtOnce;
  std::int64_t rows = kItemElements / std::max<std::int64_t>(pairs_.rows.d, 1) / kRowsAtOnce * kRowsAtOnce;
  rows = std::clamp<std::int64_t>(std::min(rows, fair), kRowsAtOnce, 8 * kRowsAtOnce);
  std::int64_t sum = 0;
  parts_.push_back(0);
  for (std::int64_t top = 0; top < k; top += rows) {
    const std::int64_t bottom = std::min(top + rows, k);
    std::int64_t from = 0, to = m;
    if (pairs_.genuine) {
      from = pairs_.symmetric ? top + 1 : pairs_.rows.first[top];
      to = pairs_.rows.last[bottom - 1];
    } else if (pairs_.symmetric) {
      from = pairs_.rows.last[top];
    }
    for (std::int64_t left = from / kPanel * kPanel; left < to; left += kItemColumns) {
      const Tile item{top, bottom, left, std::min(left + kItemColumns, to)};
      if (sum && sum + area(item) > kPartPairs) {
        parts_.push_back(static_cast<std::int64_t>(items_.size()));
        sum = 0;
      }
      sum += area(item);
      items_.push_back(item);
    }
  }
  if (!items_.empty()) parts_.push_back(static_cast<std::int64_t>(items_.size()));
}

void Tally::make_workers() {
  std::int64_t rows = 0;
  for (const Tile& item : items_) rows = std::max(rows, item.row1 - item.row0);
  rows = (rows + kGroup - 1) / kGroup * kGroup;
  workers_.resize(static_cast<std::size_t>(threads_));
  for (Worker& w : workers_) {
    w.counts = std::make_unique<Counts>();
    w.cells.assign(static_cast<std::size_t>(axis_.cells), 0);
    for (std::size_t c = 0; c < w.cells.size(); ++c) w.cells[c] = cut_[c] ? kCut : 0;
    w.between.assign(static_cast<std::size_t>(axis_.edges) + 1, 0);
    w.at.assign(static_cast<std::size_t>(axis_.edges) + 1, 0);
    w.marginals.assign(static_cast<std::size_t>(wanted_.codes * wanted_.bins), 0);
    w.counts->cells = w.cells.data();
    w.counts->between = w.between.data();
    w.counts->at = w.at.data();
    w.rows = doubles(rows * pairs_.rows.d);
    w.cosines = doubles(kBlockCells);
    w.places.resize(kBlockCells);
    for (std::size_t i = 0; i < wanted_.from.size(); ++i) w.windows.push_back(doubles(wanted_.capacity));
    w.found.assign(wanted_.from.size(), 0);
    w.extremes.reserve(static_cast<std::size_t>(2 * wanted_.extremes));
    w.worst = {wanted_.extremes ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity(),
               std::numeric_limits<std::int64_t>::max(), 0};
  }
}

void Tally::part(std::int64_t number) {
  const std::int64_t begin = parts_[static_cast<std::size_t>(number)];
  const std::int64_t end = parts_[static_cast<std::size_t>(number) + 1];
  for_each(end - begin, threads_, [&](std::int64_t at, int worker) {
    walk(items_[static_cast<std::size_t>(begin + at)], workers_[static_cast<std::size_t>(worker)]);
  });
  for (std::int64_t at = begin; at < end; ++at) pending_ += area(items_[static_cast<std::size_t>(at)]);
  if (pending_ > kMostPending - kPartPairs) spill();
}

// 32-bit counts into whole ones.
void Tally::spill() {
  for (Worker& w : workers_) {
    for (std::size_t c = 0; c < w.cells.size(); ++c) {
      cell_totals_[c] += w.cells[c] & ~kCut;
      w.cells[c] &= kCut;
    }
    for (std::size_t e = 0; e < w.between.size(); ++e) totals_[2 * e] += w.between[e];
    for (std::size_t e = 0; e + 1 < w.at.size(); ++e) totals_[2 * e + 1] += w.at[e];
    std::fill(w.between.begin(), w.between.end(), 0);
    std::fill(w.at.begin(), w.at.end(), 0);
    for (std::size_t i = 0; i < w.marginals.size(); ++i) marginals_[i] += w.marginals[i];
    std::fill(w.marginals.begin(), w.marginals.end(), 0);
  }
  pending_ = 0;
}

void Tally::walk(const Tile& item, Worker& w) const {
  build_.pack(pairs_.rows, item.row0, item.row1, kGroup, w.rows.get());
  for (std::int64_t column = item.column0; column < item.column1; column += kPanel)
    for (std::int64_t row = item.row0; row < item.row1; row += kRowsAtOnce)
      meet(row, std::min(row + kRowsAtOnce, item.row1), column, w.rows.get() + (row - item.row0) * pairs_.rows.d, w);
}

void Tally::meet(std::int64_t row0, std::int64_t row1, std::int64_t column0, const double* rows, Worker& w) const {
  const std::int64_t column1 = column0 + kPanel;
  const Kind kind = kind_of(pairs_, row0, row1, column0, column1);
  if (kind == Kind::none) return;
  build_.products(rows, (row1 - row0 + kGroup - 1) / kGroup, columns_.at(column0), pairs_.rows.d, w.cosines.get());
  std::int64_t count = (row1 - row0) * kPanel;
  const std::uint16_t* places = nullptr;
  if (kind == Kind::some) {
    const std::int64_t end = std::min(column1, pairs_.columns.k);
    count = 0;
    for (std::int64_t i = row0; i < row1; ++i) {
      const Columns paired(pairs_, i, column0, end);
      for (int part = 0; part < 2; ++part)
        for (std::int64_t j = paired.begin[part]; j < paired.end[part]; ++j)
          w.places[static_cast<std::size_t>(count++)] = static_cast<std::uint16_t>((i - row0) * kPanel + (j - column0));
    }
    if (!count) return;
    places = w.places.data();
  }
  build_.count_block(axis_, w.cosines.get(), places, count, *w.counts);
  collect(row0, column0, places, count, w);
}

// What is wanted of a block besides its counts.
void Tally::collect(std::int64_t row0, std::int64_t column0, const std::uint16_t* places, std::int64_t count,
                    Worker& w) const {
  const Counts& c = *w.counts;
  for (std::int32_t a = 0; a < c.wanted; ++a)
    for (std::size_t window = 0; window < w.windows.size(); ++window) {
      const double key = c.keys[c.want[a]];
      if (key < wanted_.from[window] || key >= wanted_.to[window]) continue;
      const std::int64_t at = w.found[window]++;
      if (at < wanted_.capacity) w.windows[window][static_cast<std::size_t>(at)] = key;
    }
  if (c.highest >= w.worst.key)
    for (std::int64_t i = 0; i < count; ++i) {
      const double key = axis_.sign * c.keys[i];
      if (key < w.worst.key) continue;
      const std::int64_t place = places ? places[i] : i;
      const std::int64_t first = pairs_.rows.order[row0 + place / kPanel];
      const std::int64_t second = pairs_.columns.order[column0 + place % kPanel];
      const bool swap = pairs_.symmetric && first > second;
      enter({key, swap ? second : first, swap ? first : second}, w);
    }
  if (!wanted_.bins) return;
  const std::size_t bins = static_cast<std::size_t>(wanted_.bins);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t place = places ? places[i] : i;
    const std::size_t bin = static_cast<std::size_t>(wanted_.bin[c.cell[i]]);
    ++w.marginals[static_cast<std::size_t>(wanted_.row_code[row0 + place / kPanel]) * bins + bin];
    ++w.marginals[static_cast<std::size_t>(wanted_.column_code[column0 + place % kPanel]) * bins + bin];
  }
}

void Tally::enter(const Scored& pair, Worker& w) const {
  if (!precedes(pair, w.worst)) return;
  w.extremes.push_back(pair);
  if (w.extremes.size() < w.extremes.capacity()) return;
  const auto last = w.extremes.begin() + (wanted_.extremes - 1);
  std::nth_element(w.extremes.begin(), last, w.extremes.end(), precedes);
  w.extremes.resize(static_cast<std::size_t>(wanted_.extremes));
  w.worst = w.extremes.back();
}

const std::vector<std::int64_t>& Tally::cells() {
  spill();
  return cell_totals_;
}

std::vector<std::int64_t> Tally::counts() {
  spill();
  std::vector<std::int64_t> out = totals_;
  for (std::size_t c = 0; c < cell_totals_.size(); ++c)
    if (!cut_[c]) out[2 * start_[c]] += cell_totals_[c];
  return out;
}

std::vector<Scored> Tally::extremes() const {
  std::vector<Scored> all;
  for (const Worker& w : workers_) all.insert(all.end(), w.extremes.begin(), w.extremes.end());
  std::sort(all.begin(), all.end(), precedes);
  all.resize(std::min(all.size(), static_cast<std::size_t>(wanted_.extremes)));
  for (Scored& pair : all) pair.key *= axis_.sign;
  return all;
}

std::int64_t Tally::found(std::size_t window) const {
  std::int64_t sum = 0;
  for (const Worker& w : workers_) sum += w.found[window];
  return sum;
}

std::int64_t Tally::held(std::size_t window) const {
  std::int64_t sum = 0;
  for (const Worker& w : workers_) sum += std::min(w.found[window], wanted_.capacity);
  return sum;
}

void Tally::window(std::size_t window, double* out) const {
  for (const Worker& w : workers_)
    out = std::copy_n(w.windows[window].get(), std::min(w.found[window], wanted_.capacity), out);
}

const std::vector<std::int64_t>& Tally::marginals() {
  spill();
  return marginals_;
}

}  // namespace cospair
