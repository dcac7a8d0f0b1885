// The binding: a task is read from tensors, run, and leaves a loss and its gradients as new tensors.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "batch.hpp"
#include "blocks.hpp"
#include "instruction_sets.hpp"
#include "lanes.hpp"
#include "sweep_module.hpp"
#include "tally_module.hpp"
#include "tensors.hpp"
#include "torch_team.hpp"

namespace cospair {
namespace {

enum class Reduction { none, mean, sum, unknown };
constexpr const char* kReductions[] = {"none", "mean", "sum"};

// Below these, of one input, another thread costs more than it brings: one of torch's team, or a helper that sleeps.
constexpr std::int64_t kBytesATeamMember = std::int64_t{1} << 18;
constexpr std::int64_t kBytesAHelper = std::int64_t{1} << 20;
// From here on stores past the caches pay.
constexpr std::int64_t kBytesStreamed = std::int64_t{4} << 20;

bool rows_of(const View& x, std::int64_t n, const void*& rows, std::int64_t& stride, bool& shared) {
  if (x.ndim != 2 || (x.shape[0] != n && x.shape[0] != 1) || (x.shape[1] > 1 && x.strides[1] != 1)) return false;
  shared = x.shape[0] == 1 && n > 1;
  rows = x.data;
  stride = shared ? 0 : x.strides[0];
  return true;
}

TargetKind target_kind(Dtype dtype) {
  switch (dtype) {
    case Dtype::i64:
      return TargetKind::i64;
    case Dtype::i32:
      return TargetKind::i32;
    case Dtype::f32:
      return TargetKind::f32;
    case Dtype::f64:
      return TargetKind::f64;
    default:
      return TargetKind::boolean;
  }
}

// Fills the inputs' side of a task; false for anything that the kernels do not read as it is.
bool read_inputs(nb::handle x1, nb::handle x2, nb::handle target, nb::handle weight, PairTask& t) {
  View a, b, y, w;
  if (!read(x1, a) || !read(x2, b) || !read(target, y)) return false;
  if (a.dtype != b.dtype || a.dtype > Dtype::bf16) return false;
#if !defined(COSPAIR_HALF)
  if (a.dtype == Dtype::f16) return false;
#endif
  if (y.ndim != 1 || y.dtype == Dtype::other || y.dtype == Dtype::f16 || y.dtype == Dtype::bf16) return false;
  t.element = static_cast<Element>(a.dtype);
  t.n = y.shape[0];
  t.d = a.shape[1];
  if (t.n < 1 || t.d < 1 || a.shape[1] != b.shape[1]) return false;
  if (!rows_of(a, t.n, t.x1, t.stride1, t.shared1) || !rows_of(b, t.n, t.x2, t.stride2, t.shared2)) return false;
  t.target = y.data;
  t.target_kind = target_kind(y.dtype);
  t.target_stride = y.strides[0];
  if (weight.is_none()) return true;
  if (!read(weight, w) || w.dtype != Dtype::f64 || w.ndim != 1 || w.shape[0] != t.n) return false;
  if (t.n > 1 && w.strides[0] != 1) return false;
  t.weight = static_cast<const double*>(w.data);
  return true;
}

bool margin_of(nb::handle value, double& margin) {
  if (!PyFloat_CheckExact(value.ptr()) && !PyLong_CheckExact(value.ptr())) return false;
  margin = PyFloat_AsDouble(value.ptr());
  if (margin == -1 && PyErr_Occurred()) PyErr_Clear(), margin = 2;
  return margin >= -1 && margin <= 1;
}

Reduction reduction_of(nb::handle word) {
  if (!PyUnicode_Check(word.ptr())) return Reduction::unknown;
  for (int i = 0; i < 3; ++i)
    if (PyUnicode_CompareWithASCIIString(word.ptr(), kReductions[i]) == 0) return static_cast<Reduction>(i);
  return Reduction::unknown;
}

void write(void* to, Dtype dtype, double value) {
  if (dtype == Dtype::f32) put(static_cast<float*>(to), value);
  if (dtype == Dtype::f64) put(static_cast<double*>(to), value);
  if (dtype == Dtype::bf16) put(static_cast<BFloat16*>(to), value);
#if defined(COSPAIR_HALF)
  if (dtype == Dtype::f16) put(static_cast<Half*>(to), value);
#endif
}

// A call's pairs and options. It holds no tensor: what it is run on is given to it, once with the addresses that were
// read to make it, later by reading them again.
class Task {
 public:
  PairTask pairs{};
  Reduction reduction = Reduction::mean;
  double divisor = 1;
  Dtype result = Dtype::f32;
  bool strict = true;  // an invalid target raises; otherwise it makes its pair's loss NaN

  // (loss, gradient of x1 or None, gradient of x2 or None); once, because it forgets the addresses
  nb::tuple run(nb::handle target, bool wanted1, bool wanted2) {
    if (!pairs.x1) throw nb::value_error("a task runs once");
    PairTask t = pairs;
    pairs.x1 = pairs.x2 = pairs.target = pairs.weight = nullptr;
    t.scale = 1 / divisor;
    if (reduction == Reduction::none) {
      const Made losses = empty(static_cast<Dtype>(t.element), {t.n});
      t.losses = losses.data;
      fill(t, target, false, false);
      return nb::make_tuple(losses.tensor, nb::none(), nb::none());
    }
    const Filled filled = fill(t, target, wanted1, wanted2);
    const Made loss = empty(result, {});
    write(loss.data, result, filled.total / divisor);
    return nb::make_tuple(loss.tensor, filled.gradient1, filled.gradient2);
  }

  // Both gradients for another upstream gradient: one number for all, or one a row in the weights. The task stays as
  // it is: several threads may walk one graph at once, and the kernel runs without the interpreter's lock.
  nb::tuple gradients(nb::handle x1, nb::handle x2, nb::handle target, nb::handle weight, double scale, bool wanted1,
                      bool wanted2) const {
    PairTask t{};
    t.margin = pairs.margin;
    t.positive_margin = pairs.positive_margin;
    t.scale = scale;
    if (!read_inputs(x1, x2, target, weight, t))
      throw nb::value_error("x1, x2, target and weight must be those of the forward pass; they changed since");
    const Filled filled = fill(t, target, wanted1, wanted2);
    return nb::make_tuple(filled.gradient1, filled.gradient2);
  }

 private:
  struct Filled {
    nb::object gradient1, gradient2;  // or None
    double total;
  };

  Filled fill(PairTask& t, nb::handle target, bool wanted1, bool wanted2) const {
    const Dtype dtype = static_cast<Dtype>(t.element);
    const std::int64_t row = t.d * size_of(dtype), rows1 = t.shared1 ? 1 : t.n, rows2 = t.shared2 ? 1 : t.n;
    Made g1{nb::none(), nullptr}, g2 = g1;
    if (wanted1) g1 = empty(dtype, {rows1, t.d});
    if (wanted2) g2 = empty(dtype, {rows2, t.d});
    t.gradient1 = g1.data;
    t.gradient2 = g2.data;
    t.streaming = ((wanted1 ? rows1 : 0) + (wanted2 ? rows2 : 0)) * row >= kBytesStreamed;
    const std::int64_t useful = 1 + t.n * row / (torch_team_ready() ? kBytesATeamMember : kBytesAHelper);
    const int threads = useful == 1 ? 1 : static_cast<int>(std::min<std::int64_t>(thread_count(), useful));
    PairSum sum;
    {
      nb::gil_scoped_release nogil;
      sum = run_pairs(t, threads);
    }
    if (sum.invalid >= 0 && strict) refuse_target(target, sum.invalid);
    return {g1.tensor, g2.tensor, sum.high + sum.low};
  }
};

// A task where nothing is left to check, convert or intercept; otherwise None.
nb::object plan(nb::handle x1, nb::handle x2, nb::handle target, nb::handle margin, nb::handle positive_margin,
                nb::handle reduction) {
  Task task;
  task.reduction = reduction_of(reduction);
  if (task.reduction == Reduction::unknown || !margin_of(margin, task.pairs.margin) ||
      !margin_of(positive_margin, task.pairs.positive_margin) || !eager() ||
      !read_inputs(x1, x2, target, nb::none(), task.pairs) || (task.pairs.shared1 && task.pairs.shared2))
    return nb::none();
  task.result = static_cast<Dtype>(task.pairs.element);
  if (task.reduction == Reduction::sum && task.result == Dtype::f16 && 2 * task.pairs.n > 65504) return nb::none();
  if (task.reduction == Reduction::mean) task.divisor = static_cast<double>(task.pairs.n);
  return nb::cast(std::move(task));
}

// A task on tensors that Python made ready: it raises where plan() declines.
Task task_of(nb::handle x1, nb::handle x2, nb::handle target, nb::handle weight, double margin, double positive_margin,
             nb::handle reduction, double divisor, bool wide, bool strict) {
  Task task;
  task.reduction = reduction_of(reduction);
  task.pairs.margin = margin;
  task.pairs.positive_margin = positive_margin;
  if (task.reduction == Reduction::unknown || !read_inputs(x1, x2, target, weight, task.pairs))
    throw nb::value_error("x1, x2, target and weight must be plain CPU tensors as the kernels read them");
  task.result = wide ? Dtype::f32 : static_cast<Dtype>(task.pairs.element);
  task.divisor = divisor;
  task.strict = strict;
  return task;
}

}  // namespace
}  // namespace cospair

NB_MODULE(_cpu, m) {
  using namespace cospair;
  m.doc() = "Fused kernels of the pair loss and of the sweep over all pairs; cospair.kernels is their only caller.";
  nb::set_leak_warnings(false);  // a loss that is still held when the interpreter ends is no leak
  find_torch();
  find_torch_team();
  nb::class_<Task>(m, "Task", "Pairs and options of one call.")
      .def("run", &Task::run, "(loss, gradient of x1 or None, gradient of x2 or None), for an upstream gradient of 1.")
      .def_ro("divisor", &Task::divisor, "What the sum of the losses is divided by.")
      .def_prop_ro("margin", [](const Task& t) { return t.pairs.margin; })
      .def_prop_ro("positive_margin", [](const Task& t) { return t.pairs.positive_margin; })
      .def_prop_ro("reduction", [](const Task& t) { return std::string(kReductions[static_cast<int>(t.reduction)]); })
      .def("gradients", &Task::gradients, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(),
           nb::arg(), "Both gradients, scaled; per-row upstream gradients come in the weights.");
  m.def("plan", &plan, nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(),
        nb::arg().none(), "A task where nothing is left to check, convert or intercept; otherwise None.");
  m.def("task", &task_of, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg(), "A task on tensors that were made ready for it.");
  m.def("is_one", &is_one, "Whether a plain CPU tensor without dimensions holds exactly 1.");
  m.def(
      "empty",
      [](nb::handle dtype, std::int64_t n, std::int64_t d) {
        const Dtype found = dtype_of(dtype);
        if (found == Dtype::other || n < 0 || d < 0) throw nb::value_error("no such tensor");
        return empty(found, {n, d}).tensor;
      },
      "An uninitialised [n, d] tensor on a block that was used before where one is free.");
  m.def("limit_free_blocks", &limit_free_blocks, "So many bytes of free blocks at most, from now on.");
  m.def("free_block_bytes", &free_block_bytes, "Bytes of the blocks that are free.");
  m.def(
      "instruction_set", [] { return std::string(kernels().name); },
      "The build of the kernels that this processor was given.");
  m.def(
      "torch_team",
      [] {
        const TeamCounts counts = torch_team_counts();
        return nb::make_tuple(counts.calls, counts.stalls);
      },
      "Calls that ran on torch's threads, and how many of them stood at their barrier for long.");
  bind_sweep(m);
  bind_tally(m);
#if defined(COSPAIR_HALF)
  m.attr("has_half") = true;
#else
  m.attr("has_half") = false;
#endif
}
