#include "tally_module.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>

#include "given.hpp"
#include "tally.hpp"

namespace cospair {
namespace {

class HeldPanels {
 public:
  HeldPanels(nb::tuple given, int build) : side_(side_of(given)), build_(build) {
    const Kernels& kernels = build_of(build);
    const int threads = thread_count();
    nb::gil_scoped_release nogil;
    panels_ = std::make_unique<Panels>(side_, kernels, threads);
  }
  const Panels& panels() const { return *panels_; }
  int build() const { return build_; }

 private:
  Side side_;
  int build_;
  std::unique_ptr<Panels> panels_;
};

const std::int64_t* codes_of(nb::handle given, const Side& side, std::int64_t codes) {
  const auto* out = static_cast<const std::int64_t*>(vector_of(given, Dtype::i64, side.k, "codes").data);
  for (std::int64_t p = 0; p < side.k; ++p)
    if (out[p] < 0 || out[p] >= codes) refuse("codes");
  return out;
}

// (scale, low, step, cells, edges, lowest)
Axis axis_of(nb::tuple given) {
  Axis axis{};
  axis.scale = nb::cast<double>(given[0]);
  axis.low = nb::cast<double>(given[1]);
  axis.step = nb::cast<double>(given[2]);
  axis.cells = nb::cast<std::int32_t>(given[3]);
  View edges;
  if (axis.cells < 1 || !read(given[4], edges) || edges.dtype != Dtype::f64 || edges.ndim != 1) refuse("edges");
  axis.edges = edges.shape[0];
  axis.edge = static_cast<const double*>(vector_of(given[4], Dtype::f64, axis.edges, "edges").data);
  if (axis.edges >= kCut || !std::is_sorted(axis.edge, axis.edge + axis.edges)) refuse("edges");
  axis.sign = nb::cast<bool>(given[5]) ? -1.0 : 1.0;
  return axis;
}

// A tally and the tensors that it reads.
class HeldTally {
 public:
  // windows: ([(from, to), ...], capacity); marginals: (row codes, column codes, codes, bins of cells, bins) or None
  HeldTally(nb::tuple rows, nb::object columns, nb::object panels, bool genuine, nb::tuple axis, nb::tuple windows,
            std::int64_t extremes, nb::object marginals)
      : kept_{rows, columns, panels, marginals} {
    const HingeTask task = task_of(rows, columns, genuine, 0.0, 1);
    const HeldPanels& held = nb::cast<const HeldPanels&>(panels);
    if (held.panels().positions() != task.columns.k || held.panels().d() != task.columns.d) refuse("panels");
    const Axis along = axis_of(axis);
    Wanted wanted;
    for (nb::handle window : nb::cast<nb::list>(windows[0])) {
      wanted.from.push_back(nb::cast<double>(window[0]));
      wanted.to.push_back(nb::cast<double>(window[1]));
    }
    wanted.capacity = nb::cast<std::int64_t>(windows[1]);
    wanted.extremes = extremes;
    if (!marginals.is_none()) read_marginals(nb::cast<nb::tuple>(marginals), task, along, wanted);
    const Kernels& kernels = build_of(held.build());
    const int threads = thread_count();
    nb::gil_scoped_release nogil;
    tally_ = std::make_unique<Tally>(task, held.panels(), along, wanted, kernels, threads);
  }

  std::int64_t parts() const { return tally_->parts(); }

  void part(std::int64_t number) {
    if (number < 0 || number >= parts()) throw nb::index_error("no such part");
    nb::gil_scoped_release nogil;
    tally_->part(number);
  }

  nb::object counts() { return copied(tally_->counts()); }
  nb::object cells() { return copied(tally_->cells()); }
  nb::object marginals() { return copied(tally_->marginals()); }
  std::int64_t found(std::size_t window) const { return tally_->found(window); }

  nb::object window(std::size_t number) const {
    const Made out = empty(Dtype::f64, {tally_->held(number)});
    tally_->window(number, static_cast<double*>(out.data));
    return out.tensor;
  }

  nb::list extremes() const {
    nb::list out;
    for (const Scored& pair : tally_->extremes()) out.append(nb::make_tuple(pair.key, pair.first, pair.second));
    return out;
  }

 private:
  nb::object kept_[4];
  std::unique_ptr<Tally> tally_;

  static nb::object copied(const std::vector<std::int64_t>& values) {
    const Made out = empty(Dtype::i64, {static_cast<std::int64_t>(values.size())});
    std::copy(values.begin(), values.end(), static_cast<std::int64_t*>(out.data));
    return out.tensor;
  }

  static void read_marginals(nb::tuple given, const HingeTask& task, const Axis& axis, Wanted& wanted) {
    wanted.codes = nb::cast<std::int64_t>(given[2]);
    wanted.row_code = codes_of(given[0], task.rows, wanted.codes);
    wanted.column_code = codes_of(given[1], task.columns, wanted.codes);
    wanted.bin = static_cast<const std::int32_t*>(vector_of(given[3], Dtype::i32, axis.cells, "bins").data);
    wanted.bins = nb::cast<std::int32_t>(given[4]);
    for (std::int32_t c = 0; c < axis.cells; ++c)
      if (wanted.bin[c] < 0 || wanted.bin[c] >= wanted.bins) refuse("bins");
  }
};

}  // namespace

void bind_tally(nb::module_& m) {
  nb::class_<HeldPanels>(m, "Panels", "A side's unit rows in float64, packed as the columns of products.")
      .def(nb::init<nb::tuple, int>(), nb::arg("side"), nb::arg("build") = 0);
  nb::class_<HeldTally>(m, "Tally", "Every pair of a kind, counted between edges.")
      .def(nb::init<nb::tuple, nb::object, nb::object, bool, nb::tuple, nb::tuple, std::int64_t, nb::object>(),
           nb::arg("rows"), nb::arg("columns").none(), nb::arg("panels"), nb::arg("genuine"), nb::arg("axis"),
           nb::arg("windows"), nb::arg("extremes"), nb::arg("marginals").none())
      .def_prop_ro("parts", &HeldTally::parts)
      .def("part", &HeldTally::part, "Counts a part of the pairs.")
      .def("counts", &HeldTally::counts,
           "Pairs below the first edge, at it, up to the second and so on, int64 [2 edges + 1].")
      .def("cells", &HeldTally::cells, "Pairs in each cell, int64 [cells].")
      .def("marginals", &HeldTally::marginals, "Pairs of each code in each bin, int64 [codes * bins].")
      .def("found", &HeldTally::found, "Pairs in a window, also those that were not kept.")
      .def("window", &HeldTally::window, "Keys in a window, float64, in no order.")
      .def("extremes", &HeldTally::extremes, "(key, first row, second row), the most extreme first.");
}

}  // namespace cospair
