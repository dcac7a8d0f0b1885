#include "given.hpp"

#include <string>

#include "lanes.hpp"

namespace cospair {

[[noreturn]] void refuse(const char* what) {
  throw nb::value_error((std::string(what) + " must be a plain CPU tensor as the kernels read it").c_str());
}

View vector_of(nb::handle x, Dtype dtype, std::int64_t n, const char* what) {
  View view;
  if (!read(x, view) || view.dtype != dtype || view.ndim != 1 || view.shape[0] != n || (n > 1 && view.strides[0] != 1))
    refuse(what);
  return view;
}

View rows_of(nb::handle x, std::int64_t n, std::int64_t d, const char* what) {
  View view;
  if (!read(x, view) || view.ndim != 2 || view.shape[0] != n || view.shape[1] != d || (d > 1 && view.strides[1] != 1))
    refuse(what);
  return view;
}

// x alone: what its squared lengths need.
Side rows_alone(nb::handle x) {
  View view;
  if (!read(x, view) || view.ndim != 2 || view.dtype > Dtype::bf16 || (view.shape[1] > 1 && view.strides[1] != 1))
    refuse("x");
#if !defined(COSPAIR_HALF)
  if (view.dtype == Dtype::f16) refuse("x");
#endif
  Side side{};
  side.x = view.data;
  side.element = static_cast<Element>(view.dtype);
  side.n = view.shape[0];
  side.d = view.shape[1];
  side.stride = view.strides[0];
  return side;
}

// (x, inverse_lengths, order, first, last, weight)
Side side_of(nb::tuple given) {
  Side side = rows_alone(given[0]);
  View order;
  if (!read(given[2], order) || order.dtype != Dtype::i64 || order.ndim != 1) refuse("order");
  side.k = order.shape[0];
  side.order = static_cast<const std::int64_t*>(vector_of(given[2], Dtype::i64, side.k, "order").data);
  side.inverse = static_cast<const double*>(vector_of(given[1], Dtype::f64, side.n, "inverse_lengths").data);
  side.first = static_cast<const std::int64_t*>(vector_of(given[3], Dtype::i64, side.k, "first").data);
  side.last = static_cast<const std::int64_t*>(vector_of(given[4], Dtype::i64, side.k, "last").data);
  if (!given[5].is_none())
    side.weight = static_cast<const double*>(vector_of(given[5], Dtype::f64, side.n, "weight").data);
  return side;
}

const Kernels& build_of(int number) {
  const Kernels* found[kMostBuilds];
  if (number < 0 || number >= builds(found)) throw nb::index_error("no such build of the kernels here");
  return *found[number];
}

HingeTask task_of(nb::tuple rows, nb::object columns, bool genuine, double margin, int power) {
  HingeTask task{};
  task.rows = side_of(rows);
  task.symmetric = columns.is_none();
  task.columns = task.symmetric ? task.rows : side_of(nb::cast<nb::tuple>(columns));
  if (task.rows.d != task.columns.d || task.rows.element != task.columns.element) refuse("columns");
  task.genuine = genuine;
  task.margin = margin;
  if (power != 1 && power != 2) refuse("power");
  task.squared = power == 2;
  return task;
}

}  // namespace cospair
