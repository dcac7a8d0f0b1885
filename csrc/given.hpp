// What Python hands to a sweep, read and refused where the kernels could not take it.
#pragma once

#include <cstdint>

#include "instruction_sets.hpp"
#include "tensors.hpp"

namespace cospair {

[[noreturn]] void refuse(const char* what);

View vector_of(nb::handle x, Dtype dtype, std::int64_t n, const char* what);   // [n], contiguous
View rows_of(nb::handle x, std::int64_t n, std::int64_t d, const char* what);  // [n, d], rows contiguous

Side rows_alone(nb::handle x);  // what squared lengths need
Side side_of(nb::tuple given);  // (x, inverse_lengths, order, first, last, weight)
HingeTask task_of(nb::tuple rows, nb::object columns, bool genuine, double margin, int power);

const Kernels& build_of(int number);

}  // namespace cospair
