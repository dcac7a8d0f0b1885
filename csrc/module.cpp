// The binding: addresses and sizes in, two numbers out. Chooses the instruction set once, shares rows among threads.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "pairs.hpp"

namespace nb = nanobind;

namespace cospair {
namespace {

struct InstructionSet {
  const char* name;
  PairRows pair_rows;
};

InstructionSet choose_instruction_set() {
#if defined(COSPAIR_X86)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
    return {"x86-64-v4", v4::pair_rows};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return {"x86-64-v3", v3::pair_rows};
#endif
  return {"baseline", baseline::pair_rows};
}

const InstructionSet kInstructionSet = choose_instruction_set();

// Chunks depend on the number of rows alone, and their sums are added in order: the number of threads changes nothing.
// A shared input keeps a partial gradient a chunk, so long rows have fewer.
constexpr std::int64_t kChunks = 64;
constexpr std::int64_t kPartialElements = std::int64_t{1} << 23;

struct Chunks {
  std::int64_t rows_each, count;
  Chunks(std::int64_t n, std::int64_t d) {
    const std::int64_t wanted = std::clamp<std::int64_t>(kPartialElements / d, 1, kChunks);
    rows_each = std::max<std::int64_t>(1, (n + wanted - 1) / wanted);
    count = (n + rows_each - 1) / rows_each;
  }
};

template <class T>
void sum_chunks(const std::vector<double>& partial, std::int64_t chunks, std::int64_t d, T* out) {
  for (std::int64_t j = 0; j < d; ++j) {
    double sum = 0;
    for (std::int64_t c = 0; c < chunks; ++c) sum += partial[static_cast<std::size_t>(c * d + j)];
    out[j] = static_cast<T>(sum);
  }
}

// A shared input's gradient leaves as double; the caller rounds it to the input's type.
struct SharedGradient {
  double* out;
  std::vector<double> partial;
  SharedGradient(void* gradient, bool shared, std::int64_t chunks, std::int64_t d)
      : out(shared ? static_cast<double*>(gradient) : nullptr),
        partial(out ? static_cast<std::size_t>(chunks * d) : 0, 0.0) {}
  double* chunk(std::int64_t c, std::int64_t d) { return out ? partial.data() + c * d : nullptr; }
};

PairSum run_pairs(const PairTask& task, int threads) {
  const Chunks chunks(task.n, task.d);
  SharedGradient shared1(task.gradient1, task.shared1, chunks.count, task.d);
  SharedGradient shared2(task.gradient2, task.shared2, chunks.count, task.d);
  std::vector<PairSum> sums(static_cast<std::size_t>(chunks.count));
  const int workers = static_cast<int>(std::min<std::int64_t>(threads, chunks.count));
  const std::size_t scratch_each = task.element == Element::f64 ? static_cast<std::size_t>(4 * task.d) : 0;
  std::vector<double> scratch(scratch_each * static_cast<std::size_t>(workers));
  std::atomic<std::int64_t> next{0};
  auto work = [&](int worker) {  // allocates nothing: an exception could not leave its thread
    double* own = scratch.data() + scratch_each * static_cast<std::size_t>(worker);
    for (std::int64_t c; (c = next.fetch_add(1)) < chunks.count;) {
      const std::int64_t begin = c * chunks.rows_each, end = std::min(task.n, begin + chunks.rows_each);
      kInstructionSet.pair_rows(task, begin, end, own, shared1.chunk(c, task.d), shared2.chunk(c, task.d),
                                sums[static_cast<std::size_t>(c)]);
    }
  };
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<std::size_t>(workers));
  try {
    for (int i = 1; i < workers; ++i) helpers.emplace_back(work, i);
  } catch (const std::system_error&) {
    // the system has no thread to give: those that started, and this one, do the rest
  }
  work(0);
  for (auto& helper : helpers) helper.join();
  if (shared1.out) sum_chunks(shared1.partial, chunks.count, task.d, shared1.out);
  if (shared2.out) sum_chunks(shared2.partial, chunks.count, task.d, shared2.out);
  PairSum sum;
  for (const PairSum& part : sums) {
    const double t = sum.high + part.high;
    const double z = t - sum.high;
    sum.low += ((sum.high - (t - z)) + (part.high - z)) + part.low;
    sum.high = t;
    if (sum.invalid < 0) sum.invalid = part.invalid;
  }
  return sum;
}

void* address(std::uintptr_t value) { return reinterpret_cast<void*>(value); }

std::pair<double, std::int64_t> pairs(int element, std::uintptr_t x1, std::int64_t stride1, bool shared1,
                                      std::uintptr_t x2, std::int64_t stride2, bool shared2, std::uintptr_t target,
                                      int target_kind, std::int64_t target_stride, std::uintptr_t weight,
                                      std::int64_t n, std::int64_t d, double margin, double positive_margin,
                                      double scale, std::uintptr_t losses, std::uintptr_t gradient1,
                                      std::uintptr_t gradient2, bool streaming, int threads) {
  const PairTask task{static_cast<Element>(element),
                      address(x1),
                      address(x2),
                      stride1,
                      stride2,
                      shared1,
                      shared2,
                      address(target),
                      static_cast<TargetKind>(target_kind),
                      target_stride,
                      static_cast<const double*>(address(weight)),
                      n,
                      d,
                      margin,
                      positive_margin,
                      scale,
                      address(losses),
                      address(gradient1),
                      address(gradient2),
                      streaming};
  const PairSum sum = run_pairs(task, threads);
  return {sum.high + sum.low, sum.invalid};
}

}  // namespace
}  // namespace cospair

NB_MODULE(_pairs, m) {
  m.doc() = "Fused kernels of the pair loss over plain arrays; cospair.kernels.cpu is their only caller.";
  m.def("pairs", &cospair::pairs, nb::call_guard<nb::gil_scoped_release>(),
        "Loss sum and first row with an invalid target (-1: none); writes losses and gradients where asked.");
  m.def(
      "instruction_set", [] { return std::string(cospair::kInstructionSet.name); },
      "The build of the kernels that this processor was given.");
#if defined(__FLT16_MANT_DIG__)
  m.attr("has_half") = true;
#else
  m.attr("has_half") = false;
#endif
}
