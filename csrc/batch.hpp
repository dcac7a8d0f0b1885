// A whole batch of pairs: its rows shared among threads, its sums put together.
#pragma once

#include "pairs.hpp"

namespace cospair {

// Runs a task; a shared input's gradient is rounded to the element type here.
PairSum run_pairs(const PairTask& task, int threads);

}  // namespace cospair
