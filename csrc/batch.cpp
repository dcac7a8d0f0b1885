#include "batch.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

#include "instruction_sets.hpp"
#include "lanes.hpp"
#include "threads.hpp"

namespace cospair {
namespace {

// Chunks depend on the number of rows alone, and their sums are added in order: the number of threads changes nothing.
// A shared input keeps a partial gradient a chunk, so long rows have fewer.
constexpr std::int64_t kChunks = 64;
constexpr std::int64_t kPartialElements = std::int64_t{1} << 23;
constexpr std::int64_t kLeastElements = std::int64_t{1} << 12;  // a chunk: a block of rows

struct Chunks {
  std::int64_t rows_each, count;
  Chunks(std::int64_t n, std::int64_t d) {
    const std::int64_t wanted = std::clamp<std::int64_t>(kPartialElements / d, 1, kChunks);
    rows_each = std::max({std::int64_t{1}, kLeastElements / d, (n + wanted - 1) / wanted});
    count = (n + rows_each - 1) / rows_each;
  }
};

// The gradient of an input that is one row for all: a partial sum a chunk.
struct SharedGradient {
  void* out;
  std::vector<double> partial;
  SharedGradient(void* gradient, bool shared, std::int64_t chunks, std::int64_t d)
      : out(shared ? gradient : nullptr), partial(out ? static_cast<std::size_t>(chunks * d) : 0, 0.0) {}
  double* chunk(std::int64_t c, std::int64_t d) { return out ? partial.data() + c * d : nullptr; }

  template <class T>
  void finish(std::int64_t chunks, std::int64_t d, int exponent) const {
    for (std::int64_t j = 0; j < d; ++j) {
      double sum = 0;
      for (std::int64_t c = 0; c < chunks; ++c) sum += partial[static_cast<std::size_t>(c * d + j)];
      put(static_cast<T*>(out) + j, __builtin_ldexp(sum, -exponent));
    }
  }
  void finish(Element element, const void* row, std::int64_t chunks, std::int64_t d) const {
    if (!out) return;
    if (element == Element::f32) finish<float>(chunks, d, 0);
    if (element == Element::bf16) finish<BFloat16>(chunks, d, 0);
#if defined(COSPAIR_HALF)
    if (element == Element::f16) finish<Half>(chunks, d, 0);
#endif
    if (element == Element::f64) {
      const int exponent = row_exponent(static_cast<const double*>(row), d);
      finish<double>(chunks, d, is_deferred(exponent) ? exponent : 0);
    }
  }
};

struct Batch {
  const PairTask& task;
  Chunks chunks;
  SharedGradient shared1, shared2;
  std::vector<PairSum> sums;
  std::size_t scratch_each;
  std::vector<double> scratch;
  std::atomic<std::int64_t> next_chunk{0};
  std::atomic<std::size_t> next_worker{0};

  Batch(const PairTask& t, int threads)
      : task(t),
        chunks(t.n, t.d),
        shared1(t.gradient1, t.shared1, chunks.count, t.d),
        shared2(t.gradient2, t.shared2, chunks.count, t.d),
        sums(static_cast<std::size_t>(chunks.count)),
        scratch_each(t.element == Element::f64 ? static_cast<std::size_t>(4 * t.d) : 0),
        scratch(scratch_each * static_cast<std::size_t>(threads)) {}

  void work() {  // allocates nothing: an exception could not leave its thread
    double* own = scratch.data() + scratch_each * next_worker.fetch_add(1);
    for (std::int64_t c; (c = next_chunk.fetch_add(1)) < chunks.count;) {
      const std::int64_t begin = c * chunks.rows_each, end = std::min(task.n, begin + chunks.rows_each);
      kernels().pair_rows(task, begin, end, own, shared1.chunk(c, task.d), shared2.chunk(c, task.d),
                          sums[static_cast<std::size_t>(c)]);
    }
  }
};

}  // namespace

PairSum run_pairs(const PairTask& task, int threads) {
  threads = static_cast<int>(std::clamp<std::int64_t>(threads, 1, Chunks(task.n, task.d).count));
  Batch batch(task, threads);
  share([](void* context) { static_cast<Batch*>(context)->work(); }, &batch, threads);
  batch.shared1.finish(task.element, task.x1, batch.chunks.count, task.d);
  batch.shared2.finish(task.element, task.x2, batch.chunks.count, task.d);
  PairSum sum;
  for (const PairSum& part : batch.sums) {
    const double t = sum.high + part.high;
    const double z = t - sum.high;
    sum.low += ((sum.high - (t - z)) + (part.high - z)) + part.low;
    sum.high = t;
    if (sum.invalid < 0) sum.invalid = part.invalid;
  }
  return sum;
}

}  // namespace cospair
