// Every pair of a kind counted along an axis of scores: its work laid out and shared among threads.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "instruction_sets.hpp"

namespace cospair {

struct FreeAligned {
  void operator()(double* p) const { ::operator delete[](p, std::align_val_t{64}); }
};
using Doubles = std::unique_ptr<double[], FreeAligned>;

// A side's unit rows as the columns of products.
class Panels {
 public:
  Panels(const Side& side, const Kernels& build, int threads);
  const double* at(std::int64_t position) const { return packed_.get() + position * d_; }  // a panel's first position
  std::int64_t positions() const { return positions_; }
  std::int64_t d() const { return d_; }

 private:
  std::int64_t positions_, d_;
  Doubles packed_;
};

// What is wanted of the pairs besides their number in each slot.
struct Wanted {
  std::vector<double> from, to;               // keys in [from, to) are collected
  std::int64_t capacity = 0;                  // of each window, a thread
  std::int64_t extremes = 0;                  // so many pairs of the highest keys, or the lowest
  const std::int64_t* row_code = nullptr;     // [k] of positions, or null: identities whose pairs are counted apart,
  const std::int64_t* column_code = nullptr;  // on either side
  std::int64_t codes = 0;
  std::int32_t bins = 0;
  const std::int32_t* bin = nullptr;  // [cells]
};

struct Scored {
  double key;
  std::int64_t first, second;  // rows, not positions
};

class Tally {
 public:
  // Of `pairs` the margin and the pulls play no part.
  Tally(const HingeTask& pairs, const Panels& columns, const Axis& axis, const Wanted& wanted, const Kernels& build,
        int threads);

  std::int64_t parts() const { return static_cast<std::int64_t>(parts_.size()) - 1; }
  void part(std::int64_t number);

  std::vector<std::int64_t> counts();            // [2 edges + 1] below the first edge, at it, up to the second, ...
  const std::vector<std::int64_t>& cells();      // [cells]
  const std::vector<std::int64_t>& marginals();  // [codes, bins]
  std::vector<Scored> extremes() const;          // the most extreme first
  std::int64_t found(std::size_t window) const;  // also those past the capacity
  std::int64_t held(std::size_t window) const;
  void window(std::size_t window, double* out) const;  // [held]

 private:
  struct Worker {
    std::unique_ptr<Counts> counts;
    std::vector<std::uint32_t> cells, between, at, marginals;
    Doubles rows, cosines;
    std::vector<std::uint16_t> places;
    std::vector<Doubles> windows;
    std::vector<std::int64_t> found;
    std::vector<Scored> extremes;
    Scored worst;
  };

  HingeTask pairs_;
  const Panels& columns_;
  Axis axis_;
  Wanted wanted_;
  const Kernels& build_;
  int threads_;
  std::vector<double> edge_;
  std::vector<std::uint32_t> start_;
  std::vector<bool> cut_;
  std::vector<Tile> items_;
  std::vector<std::int64_t> parts_;  // first item of each part, and the number of items
  std::vector<Worker> workers_;
  std::vector<std::int64_t> totals_, cell_totals_, marginals_;
  std::int64_t pending_ = 0;

  void lay_cells();
  bool is_wanted(std::int32_t cell) const;
  void lay_items();
  void make_workers();
  std::int64_t cell_of(double key) const;
  void walk(const Tile& item, Worker& worker) const;
  void meet(std::int64_t row0, std::int64_t row1, std::int64_t column0, const double* rows, Worker& worker) const;
  void collect(std::int64_t row0, std::int64_t column0, const std::uint16_t* places, std::int64_t count,
               Worker& worker) const;
  void enter(const Scored& pair, Worker& worker) const;
  void spill();
};

}  // namespace cospair
