// What a sweep over pairs of rows is given, in plain arrays: the contract between its binding and its kernels.
#pragma once

#include <cstdint>

#include "inline.hpp"
#include "pairs.hpp"

namespace cospair {

// One side: n rows of d features, of which k take part. A row is named by its position in the order that sorts the
// labels; lengths are 0 or within 2^+-90, so that products with their inverses stay in float32.
struct Side {
  const void* x;  // [n, d], rows `stride` elements apart
  Element element;
  std::int64_t n, d, stride, k;
  const double* inverse;      // [n] 1 / |x_i|, 0 for a zero row
  const std::int64_t* order;  // [k] row of a position
  const std::int64_t* first;  // [k] the other side's positions [first, last) have the same label
  const std::int64_t* last;
  const double* weight;  // [n] or null = 1

  COSPAIR_INLINE double weight_of(std::int64_t position) const { return weight ? weight[order[position]] : 1.0; }
  COSPAIR_INLINE double inverse_of(std::int64_t position) const { return inverse[order[position]]; }
};

// The pairs of one kind and what they pay: h = max(0, margin - s) for genuine ones, h = max(0, s - margin) for
// impostors; or h^2.
struct HingeTask {
  Side rows, columns;  // the same side twice where symmetric: pairs of positions i < j
  bool symmetric, genuine, squared;
  double margin;
  void* pull_rows;     // [n, d] derivative of the total in the unit rows, float (double for f64), or null
  void* pull_columns;  // that of the columns; where symmetric the same array

  COSPAIR_INLINE double hinge(double cosine) const { return genuine ? margin - cosine : cosine - margin; }
  COSPAIR_INLINE double sign() const { return genuine ? -1.0 : 1.0; }
  COSPAIR_INLINE double cost(double hinge) const { return squared ? hinge * hinge : hinge; }
  // derivative of the cost in the cosine
  COSPAIR_INLINE double force(double hinge) const { return squared ? 2 * sign() * hinge : sign(); }
};

// The columns that make pairs of the kind with a row, within [begin, end): at most two intervals.
struct Columns {
  std::int64_t begin[2], end[2];
  COSPAIR_INLINE Columns(const HingeTask& t, std::int64_t row, std::int64_t from, std::int64_t to) {
    const std::int64_t first = t.rows.first[row], last = t.rows.last[row];
    if (t.genuine) {
      set(0, t.symmetric ? row + 1 : first, last, from, to);
      set(1, to, to, from, to);
    } else {
      set(0, from, t.symmetric ? from : first, from, to);
      set(1, last, to, from, to);
    }
  }
  COSPAIR_INLINE std::int64_t count() const { return (end[0] - begin[0]) + (end[1] - begin[1]); }

 private:
  COSPAIR_INLINE void set(int at, std::int64_t a, std::int64_t b, std::int64_t from, std::int64_t to) {
    begin[at] = a < from ? from : a > to ? to : a;
    end[at] = b < begin[at] ? begin[at] : b > to ? to : b;
  }
};

// A rectangle of the sweep; a pair in it is named by its offsets.
struct Tile {
  std::int64_t row0, row1, column0, column1;
};

constexpr std::int64_t kTileRows = 240, kTileColumns = 1024;  // whole groups and strips of the screen

struct PairInTile {
  std::uint16_t row, column;
};

// The pairs of a tile that have to be looked at; past `capacity` the tile is evaluated whole.
struct Survivors {
  PairInTile* pairs;
  std::int32_t count, capacity;
  bool dense;
};

struct HingeSum {
  double total = 0, active = 0;  // weighted
  std::int64_t active_pairs = 0, evaluated = 0;
};

// A pair this close to its hinge stands at it: some rounding errors of a float64 cosine.
constexpr double kTie = 1e-14;

}  // namespace cospair
