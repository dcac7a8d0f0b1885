// The builds of the kernels, and which of them this processor was given.
#pragma once

#include "counting.hpp"
#include "hinges.hpp"
#include "pairs.hpp"
#include "small.hpp"

namespace cospair {

struct Kernels {
  const char* name;
  decltype(&baseline::pair_rows) pair_rows;
  decltype(&baseline::small_batch) small_batch;
  decltype(&baseline::settle_survivors) settle_survivors;
  decltype(&baseline::pull_columns) pull_columns;
  decltype(&baseline::settle_dense) settle_dense;
  decltype(&baseline::unit_rows) unit_rows;
  decltype(&baseline::squared_lengths) squared_lengths;
  decltype(&baseline::class_sums) class_sums;
  decltype(&baseline::squared_gap) squared_gap;
  decltype(&baseline::finish_rows) finish_rows;
  decltype(&baseline::make_unit_row) make_unit_row;
  decltype(&baseline::make_levels) make_levels;
  decltype(&baseline::screen) screen;
  decltype(&baseline::pack) pack;
  decltype(&baseline::products) products;
  decltype(&baseline::count_block) count_block;
};

const Kernels& kernels();

// Every build that this processor can run, the best one first.
constexpr int kMostBuilds = 5;
int builds(const Kernels* out[kMostBuilds]);

}  // namespace cospair
