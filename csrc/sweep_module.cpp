#include "sweep_module.hpp"

#include <nanobind/stl/string.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "given.hpp"
#include "sweep.hpp"

namespace cospair {
namespace {

void* pull_of(nb::handle pull, const Side& side) {
  if (pull.is_none()) return nullptr;
  const View view = rows_of(pull, side.n, side.d, "pull");
  if (view.dtype != (side.element == Element::f64 ? Dtype::f64 : Dtype::f32) ||
      (side.n > 1 && view.strides[0] != side.d))
    refuse("pull");
  return view.data;
}

nb::tuple as_tuple(const HingeSum& sum) {
  return nb::make_tuple(sum.total, sum.active, sum.active_pairs, sum.evaluated);
}

// A sweep and the tensors that it reads and writes.
class HeldSweep {
 public:
  HeldSweep(nb::tuple rows, nb::object columns, bool genuine, double margin, int power, nb::object pull_rows,
            nb::object pull_columns, int build)
      : kept_{rows, columns, pull_rows, pull_columns} {
    HingeTask task = task_of(rows, columns, genuine, margin, power);
    task.pull_rows = pull_of(pull_rows, task.rows);
    task.pull_columns = task.symmetric ? task.pull_rows : pull_of(pull_columns, task.columns);
    const int threads = thread_count();
    nb::gil_scoped_release nogil;
    sweep_ = std::make_unique<Sweep>(task, build_of(build), threads);
  }

  std::int64_t tiles() const { return sweep_->tiles(); }
  std::int64_t panels() const { return sweep_->panels(); }
  std::int64_t tiles_in(std::int64_t panel) const {
    check_panel(panel);
    return sweep_->tiles_in(panel);
  }
  nb::tuple sum() const { return as_tuple(sweep_->sum()); }

  nb::list panel(std::int64_t number) {
    check_panel(number);
    std::vector<Tile> dense;
    {
      nb::gil_scoped_release nogil;
      sweep_->panel(number, dense);
    }
    nb::list out;
    for (const Tile& t : dense) out.append(nb::make_tuple(t.row0, t.row1, t.column0, t.column1));
    return out;
  }

  void settle(nb::tuple tile, double band, nb::handle cosines) {
    const Tile t{nb::cast<std::int64_t>(tile[0]), nb::cast<std::int64_t>(tile[1]), nb::cast<std::int64_t>(tile[2]),
                 nb::cast<std::int64_t>(tile[3])};
    const std::int64_t width = t.column1 - t.column0;
    const HingeTask& task = sweep_->task();
    if (t.row0 < 0 || t.row1 > task.rows.k || t.row1 - t.row0 > kTileRows || t.column0 < 0 ||
        t.column1 > task.columns.k)
      throw nb::index_error("no such tile");
    const View view = rows_of(cosines, t.row1 - t.row0, width, "cosines");
    const bool wide = task.rows.element == Element::f64;
    if (view.dtype != (wide ? Dtype::f64 : Dtype::f32) || view.strides[0] != width) refuse("cosines");
    nb::gil_scoped_release nogil;
    sweep_->settle(t, band, view.data);
  }

 private:
  nb::object kept_[4];
  std::unique_ptr<Sweep> sweep_;

  void check_panel(std::int64_t number) const {
    if (number < 0 || number >= sweep_->panels()) throw nb::index_error("no such panel");
  }
};

// Unit rows at positions [begin, end) of a side, float32 (float64 for float64).
void unit_rows(nb::tuple given, std::int64_t begin, std::int64_t end, nb::handle out) {
  const Side side = side_of(given);
  const View view = rows_of(out, end - begin, side.d, "out");
  if (begin < 0 || end > side.k || view.strides[0] != side.d ||
      view.dtype != (side.element == Element::f64 ? Dtype::f64 : Dtype::f32))
    refuse("out");
  nb::gil_scoped_release nogil;
  kernels().unit_rows(side, begin, end, view.data);
}

nb::tuple genuine(nb::tuple rows, nb::object columns, bool count_parallel) {
  const HingeTask task = task_of(rows, columns, true, 1.0, 1);
  const int threads = thread_count();
  HingeSum sum;
  {
    nb::gil_scoped_release nogil;
    sum = genuine_at_one(task, kernels(), count_parallel, threads);
  }
  return as_tuple(sum);
}

void finished(nb::tuple given, nb::object other, double genuine_share, double impostor_share, nb::object pull) {
  const Side side = side_of(given), opposite = other.is_none() ? side : side_of(nb::cast<nb::tuple>(other));
  void* to = pull_of(pull, side);
  if (!to) refuse("pull");
  const int threads = thread_count();
  nb::gil_scoped_release nogil;
  finish(side, opposite, kernels(), genuine_share, impostor_share, to, threads);
}

void lengths(nb::handle x, nb::handle out) {
  const Side side = rows_alone(x);
  double* to = static_cast<double*>(vector_of(out, Dtype::f64, side.n, "out").data);
  const int threads = thread_count();
  nb::gil_scoped_release nogil;
  squared_lengths(side, kernels(), to, threads);
}

// A side in eight bits, for the proof of the bound: levels [k, 4 ceil(d / 4)] int32, steps and reaches [k] float32.
void levels(nb::tuple given, int build, nb::handle out, nb::handle steps, nb::handle reaches) {
  const Side side = side_of(given);
  const std::int64_t words = (side.d + 3) / 4;
  Levels made{};
  made.k = side.k;
  made.words = words;
  std::vector<std::int8_t> q(static_cast<std::size_t>(side.k * words * 4));
  std::vector<std::int32_t> offsets(static_cast<std::size_t>(side.k));
  std::vector<float> scratch(static_cast<std::size_t>((side.d + 15) / 16 * 16));
  made.levels = q.data();
  made.offset = offsets.data();
  made.step = static_cast<float*>(vector_of(steps, Dtype::f32, side.k, "steps").data);
  made.reach = static_cast<float*>(vector_of(reaches, Dtype::f32, side.k, "reaches").data);
  build_of(build).make_levels(side, 0, side.k, scratch.data(), made);
  const View view = rows_of(out, side.k, words * 4, "out");
  if (view.dtype != Dtype::i32 || view.strides[0] != words * 4) refuse("out");
  for (std::size_t i = 0; i < q.size(); ++i) static_cast<std::int32_t*>(view.data)[i] = q[i];
}

// (loss, active genuine, active impostor pairs) of a small batch, its gradient written where one is asked for; None
// where it cannot be taken so.
nb::object small(nb::handle x, nb::handle labels, double margin, double positive_margin, int power, int reduction,
                 nb::handle gradient, int build) {
  const Side side = rows_alone(x);
  const View of = vector_of(labels, Dtype::i64, side.n, "labels");
  if (power != 1 && power != 2) refuse("power");
  if (reduction < 0 || reduction > static_cast<int>(Reduction::active)) refuse("reduction");
  SmallTask task{side.x,
                 side.element,
                 side.n,
                 side.d,
                 side.stride,
                 static_cast<const std::int64_t*>(of.data),
                 margin,
                 positive_margin,
                 power == 2,
                 static_cast<Reduction>(reduction),
                 pull_of(gradient, side)};
  const Kernels& kernels = build_of(build);
  SmallSum sum;
  bool taken = false;
  {
    nb::gil_scoped_release nogil;
    const std::unique_ptr<double[]> scratch(new double[static_cast<std::size_t>(task.scratch())]);
    taken = kernels.small_batch(task, scratch.get(), sum);
  }
  if (!taken) return nb::none();
  return nb::make_tuple(sum.loss, sum.active_genuine, sum.active_impostor);
}

}  // namespace

void bind_sweep(nb::module_& m) {
  nb::class_<HeldSweep>(m, "Sweep", "A sweep over the pairs of one kind; pulls are added to what the arrays hold.")
      .def(nb::init<nb::tuple, nb::object, bool, double, int, nb::object, nb::object, int>(), nb::arg("rows"),
           nb::arg("columns").none(), nb::arg("genuine"), nb::arg("margin"), nb::arg("power"),
           nb::arg("pull_rows").none(), nb::arg("pull_columns").none(), nb::arg("build") = 0)
      .def_prop_ro("tiles", &HeldSweep::tiles)
      .def_prop_ro("panels", &HeldSweep::panels)
      .def_prop_ro("sum", &HeldSweep::sum, "(total, weight of active pairs, active pairs, evaluated pairs)")
      .def("tiles_in", &HeldSweep::tiles_in)
      .def("panel", &HeldSweep::panel, "Sweeps a panel; returns the tiles to be taken whole.")
      .def("settle", &HeldSweep::settle, "Turns a tile's cosines into what its pairs pull, and counts them.");
  m.def("unit_rows", &unit_rows, "Unit rows at positions [begin, end) of a side.");
  m.def("genuine_at_one", &genuine, nb::arg(), nb::arg().none(), nb::arg(),
        "Genuine pairs at margin 1: a Sweep's sum.");
  m.def("finish", &finished, nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(),
        "Turns what a side's rows were pulled by, and its genuine pairs at margin 1, into its gradients.");
  m.def("small_batch", &small, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg(),
        "(loss over all pairs, active genuine, active impostor pairs) of a small batch; None for rows of extreme "
        "length.");
  m.def("squared_lengths", &lengths, "Squared length of each row, float64.");
  m.def("levels", &levels, "A side in eight bits.");
  m.def(
      "builds",
      [] {
        const Kernels* found[kMostBuilds];
        nb::list names;
        for (int i = 0, n = builds(found); i < n; ++i) names.append(found[i]->name);
        return names;
      },
      "The builds of the kernels that this processor can run, the one used first.");
}

}  // namespace cospair
