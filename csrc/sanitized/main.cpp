// Runs the kernels over small random tasks under a sanitizer; scripts/sanitize builds and starts it.
//
// Every buffer is exactly as large as its task allows and lies between guards: AddressSanitizer stops an access to
// them, and their pattern is checked after each task, because a store past the caches is not instrumented. Gaps between
// rows hold NaN, so that reading one shows. Results are compared with the definition in plain long double scalars.
//
//     main [tasks] [seed]      every instruction set, one thread, then the whole batch on three; a sweep a tenth as
//     often main threads [rounds]    whole batches and sweeps on several threads, several at a time
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <thread>
#include <vector>

#include "../batch.hpp"
#include "../instruction_sets.hpp"
#include "guarded.hpp"

namespace cospair {
namespace {

template <class T>
struct Rows {
  Buffer memory;
  std::int64_t stride = 0, d = 0;
  bool shared = false;
  T* row(std::int64_t i) const { return static_cast<T*>(memory->data()) + (shared ? 0 : i * stride); }
};

template <class T>
void fill_row(Dice& dice, T* row, std::int64_t d, std::int64_t kind) {
  const Range limits = range<T>();
  const double scale = kind == 4 ? limits.smallest * 4 : kind == 5 ? limits.largest / 2 : 1.0;
  for (std::int64_t j = 0; j < d; ++j) put(row + j, kind == 1 ? 0.0 : dice.uniform() * scale);
  if (kind == 2) put(row + dice.below(d), std::nan(""));
  if (kind == 3) put(row + dice.below(d), dice.one_in(2) ? HUGE_VAL : -HUGE_VAL);
  if (kind == 6) put(row + dice.below(d), limits.largest);
}

template <class T>
Rows<T> random_rows(Dice& dice, std::int64_t n, std::int64_t d, bool shared) {
  Rows<T> rows;
  rows.shared = shared, rows.d = d;
  rows.stride = dice.one_in(2) ? d : d + 1 + dice.below(9);
  const std::int64_t count = shared ? d : (n - 1) * rows.stride + d;
  rows.memory =
      buffer(static_cast<std::size_t>(count) * sizeof(T), static_cast<std::size_t>(dice.below(8)) * sizeof(T));
  T* const first = static_cast<T*>(rows.memory->data());
  for (std::int64_t at = 0; at < count; ++at) put(first + at, std::nan(""));
  for (std::int64_t i = 0; i < (shared ? 1 : n); ++i)
    fill_row(dice, rows.row(i), d, dice.one_in(3) ? dice.below(7) : 0);
  return rows;
}

// Some rows of one side equal, opposite or near to the other's.
template <class T>
void relate(Dice& dice, const Rows<T>& from, const Rows<T>& to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (!dice.one_in(3)) continue;
    const double sign = dice.one_in(2) ? 1 : -1;
    const std::int64_t kind = dice.below(3);
    for (std::int64_t j = 0; j < from.d; ++j) {
      const double x = scalar(from.row(i)[j]);
      put(to.row(i) + j, sign * x * (kind == 0 ? 1.0 : kind == 1 ? 0.75 : 1 + 0x1p-12 * dice.uniform()));
    }
  }
}

struct Targets {
  Buffer memory;
  TargetKind kind = TargetKind::i64;
  std::int64_t stride = 1, invalid = -1;
  std::vector<int> values;  // +1, -1, or 0 where invalid
};

template <class T>
void write_target(const Targets& t, std::int64_t i, double value) {
  static_cast<T*>(t.memory->data())[i * t.stride] = static_cast<T>(value);
}

Targets random_targets(Dice& dice, std::int64_t n) {
  constexpr std::size_t sizes[] = {8, 4, 4, 8, 1};
  Targets t;
  t.kind = static_cast<TargetKind>(dice.below(5));
  t.stride = 1 + dice.below(3);
  const std::size_t size = sizes[static_cast<int>(t.kind)];
  t.memory =
      buffer(static_cast<std::size_t>((n - 1) * t.stride + 1) * size, size * static_cast<std::size_t>(dice.below(4)));
  for (std::int64_t i = 0; i < n; ++i) {
    int value = dice.one_in(2) ? 1 : -1;
    if (t.kind != TargetKind::boolean && dice.one_in(60)) value = dice.one_in(2) ? 0 : 2;
    if (t.kind == TargetKind::i64) write_target<std::int64_t>(t, i, value);
    if (t.kind == TargetKind::i32) write_target<std::int32_t>(t, i, value);
    if (t.kind == TargetKind::f32) write_target<float>(t, i, value);
    if (t.kind == TargetKind::f64) write_target<double>(t, i, value);
    if (t.kind == TargetKind::boolean) write_target<std::uint8_t>(t, i, value == 1);
    const bool valid = value == 1 || value == -1;
    if (!valid && t.invalid < 0) t.invalid = i;
    t.values.push_back(valid ? value : 0);
  }
  return t;
}

template <class T>
struct Case {  // a task and all the memory it names
  PairTask task{};
  Rows<T> x1, x2;
  Targets targets;
  Buffer weight, losses, gradient1, gradient2;
};

template <class T>
Buffer random_output(Dice& dice, std::int64_t count) {
  // half of them where stores past the caches are allowed: at a multiple of 64
  return buffer(static_cast<std::size_t>(count) * sizeof(T),
                dice.one_in(2) ? 0 : static_cast<std::size_t>(dice.below(9)) * sizeof(T));
}

template <class T>
Case<T> random_case(Dice& dice, std::int64_t n, std::int64_t d) {
  Case<T> c;
  const std::int64_t sharing = n > 1 ? dice.below(5) : 0;
  c.x1 = random_rows<T>(dice, n, d, sharing == 1);
  c.x2 = random_rows<T>(dice, n, d, sharing == 2);
  if (sharing != 2) relate(dice, c.x1, c.x2, n);
  c.targets = random_targets(dice, n);
  if (dice.one_in(3)) {
    c.weight = buffer(static_cast<std::size_t>(n) * sizeof(double));
    for (std::int64_t i = 0; i < n; ++i)
      static_cast<double*>(c.weight->data())[i] = dice.one_in(5) ? 0.0 : 1 + dice.uniform();
  }
  if (dice.one_in(2)) c.losses = random_output<T>(dice, n);
  if (!dice.one_in(4)) c.gradient1 = random_output<T>(dice, c.x1.shared ? d : n * d);
  if (!dice.one_in(4)) c.gradient2 = random_output<T>(dice, c.x2.shared ? d : n * d);
  constexpr double margins[] = {0.0, 0.25, -1.0, 1.0, -0.5};
  c.task = {kElement<T>,
            c.x1.memory->data(),
            c.x2.memory->data(),
            c.x1.shared ? 0 : c.x1.stride,
            c.x2.shared ? 0 : c.x2.stride,
            c.x1.shared,
            c.x2.shared,
            c.targets.memory->data(),
            c.targets.kind,
            c.targets.stride,
            static_cast<const double*>(data(c.weight)),
            n,
            d,
            margins[dice.below(5)],
            margins[dice.below(5)],
            dice.one_in(2) ? 1.0 : 3.0 * dice.uniform(),
            data(c.losses),
            data(c.gradient1),
            data(c.gradient2),
            dice.one_in(2)};
  return c;
}

// ---- the definition ----------------------------------------------------------------------------------------------

struct Pair {
  long double loss = 0;
  bool poisoned = false;  // NaN, infinity or an invalid target
  bool tie = false;       // too near the hinge to say whether it costs
  long double cosine = 0, length1 = 0, length2 = 0, factor = 0;
};

template <class T>
Pair define(const Case<T>& c, std::int64_t i) {
  const PairTask& t = c.task;
  Pair p;
  long double norm1 = 0, norm2 = 0, dot = 0;
  for (std::int64_t j = 0; j < t.d; ++j) {
    const long double x = scalar(c.x1.row(i)[j]), y = scalar(c.x2.row(i)[j]);
    norm1 += x * x, norm2 += y * y, dot += x * y;
  }
  const int target = c.targets.values[static_cast<std::size_t>(i)];
  p.poisoned = !std::isfinite(norm1) || !std::isfinite(norm2) || target == 0;
  if (p.poisoned) return p;
  p.length1 = std::sqrt(norm1), p.length2 = std::sqrt(norm2);
  if (p.length1 > 0 && p.length2 > 0) p.cosine = dot / p.length1 / p.length2;
  const long double hinge = target == 1 ? t.positive_margin - p.cosine : p.cosine - t.margin;
  const double weight = t.weight ? t.weight[i] : 1.0;
  p.tie = std::fabs(hinge) < 1e-14L && p.length1 > 0 && p.length2 > 0;
  p.loss = hinge > 0 ? hinge * weight : 0;
  p.factor = hinge > 0 ? -target * weight * static_cast<long double>(t.scale) : 0;
  return p;
}

template <class T>
long double slope(const Case<T>& c, const Pair& p, std::int64_t i, std::int64_t j, int side) {
  if (p.length1 == 0 || p.length2 == 0 || p.factor == 0) return 0;
  const long double x = scalar(c.x1.row(i)[j]) / p.length1, y = scalar(c.x2.row(i)[j]) / p.length2;
  return p.factor * (side == 1 ? (y - p.cosine * x) / p.length1 : (x - p.cosine * y) / p.length2);
}

// One rounding to the type, and what the arithmetic inside leaves of a term of that size. How exact the kernels are is
// for tests/fuzz.py to say; this finds what a stray read or write does.
template <class T>
void compare(const char* what, double found, long double wanted, long double size, bool poisoned) {
  const Range limits = range<T>();
  if (poisoned) {
    if (found == found) fail(std::string(what) + " drops what is not finite");
    return;
  }
  const long double inside = sizeof(T) == 8 ? 1e-14L : 1e-6L;
  const long double tolerance = limits.epsilon * std::fabs(wanted) + inside * size + limits.smallest;
  if (std::isinf(found) && std::fabs(wanted) + tolerance >= limits.largest) return;
  if (!(std::fabs(found - wanted) <= tolerance)) {
    std::fprintf(stderr, "found %.17g, wanted %.17Lg, size %.3Lg\n", found, wanted, size);
    fail(std::string(what) + " is not the definition's");
  }
}

template <class T>
void check_gradient(const Case<T>& c, const std::vector<Pair>& pairs, const Buffer& gradient, int side) {
  if (!gradient) return;
  const PairTask& t = c.task;
  const T* const found = static_cast<const T*>(gradient->data());
  const bool shared = side == 1 ? t.shared1 : t.shared2;
  for (std::int64_t j = 0; j < t.d; ++j) {
    long double sum = 0, size = 0;
    bool poisoned = false, tie = false;
    for (std::int64_t i = 0; i < t.n; ++i) {
      const Pair& p = pairs[static_cast<std::size_t>(i)];
      const long double length = side == 1 ? p.length1 : p.length2;
      const long double own = p.poisoned ? 0 : slope(c, p, i, j, side);
      const long double own_size = p.poisoned || length == 0 ? 0 : std::fabs(p.factor) / length;
      if (!shared && !p.tie) compare<T>("a gradient", scalar(found[i * t.d + j]), own, own_size, p.poisoned);
      sum += own, size += own_size, poisoned |= p.poisoned, tie |= p.tie;
    }
    // infinities of both signs may have met in the sum of a tiny row's gradients
    if (shared && (poisoned || (!tie && size < range<T>().largest / 8)))
      compare<T>("a query's gradient", scalar(found[j]), sum, size, poisoned);
  }
}

template <class T>
void check(const Case<T>& c, const PairSum& sum) {
  std::vector<Pair> pairs;
  long double total = 0;
  bool poisoned = false;
  for (std::int64_t i = 0; i < c.task.n; ++i) {
    pairs.push_back(define(c, i));
    total += pairs.back().loss, poisoned |= pairs.back().poisoned;
    if (c.losses)
      compare<T>("a loss", scalar(static_cast<const T*>(c.losses->data())[i]), pairs.back().loss, 1,
                 pairs.back().poisoned);
  }
  compare<double>("the sum", sum.high + sum.low, total, static_cast<long double>(c.task.n), poisoned);
  if (sum.invalid != c.targets.invalid) fail("the first invalid target is not named");
  check_gradient(c, pairs, c.gradient1, 1);
  check_gradient(c, pairs, c.gradient2, 2);
  for (const Buffer* b :
       {&c.x1.memory, &c.x2.memory, &c.targets.memory, &c.weight, &c.losses, &c.gradient1, &c.gradient2})
    if (*b) (*b)->check();
}

// ---- runs --------------------------------------------------------------------------------------------------------

// The builds of the kernels that differ in how they take pairs.
std::vector<const Kernels*> instruction_sets() {
  const Kernels* found[kMostBuilds];
  std::vector<const Kernels*> sets;
  for (int i = 0, count = builds(found); i < count; ++i)
    if (sets.empty() || sets.back()->pair_rows != found[i]->pair_rows) sets.push_back(found[i]);
  return sets;
}

// As a batch does with the sum of a row far from 1.
template <class T>
double scaled_back(double sum, const void* row, std::int64_t d) {
  if constexpr (sizeof(T) < sizeof(double)) return sum;
  const int exponent = row_exponent(static_cast<const double*>(row), d);
  return is_deferred(exponent) ? std::ldexp(sum, -exponent) : sum;
}

// The rows in two runs, as two chunks are, with the sums of a shared input where a batch would keep them.
template <class T>
PairSum run_rows(const Case<T>& c, const Kernels& set) {
  const PairTask& t = c.task;
  const std::size_t row = static_cast<std::size_t>(t.d) * sizeof(double);
  const Buffer scratch = sizeof(T) == sizeof(double) ? buffer(4 * row) : nullptr;
  const bool sums1 = t.shared1 && t.gradient1, sums2 = t.shared2 && t.gradient2;
  const Buffer sum1 = sums1 ? buffer(row) : nullptr, sum2 = sums2 ? buffer(row) : nullptr;
  for (const Buffer* b : {&sum1, &sum2})
    if (*b) std::memset((*b)->data(), 0, row);
  PairSum sum;
  const std::int64_t middle = t.n / 2;
  for (const auto& [begin, end] : {std::pair{std::int64_t{0}, middle}, std::pair{middle, t.n}})
    set.pair_rows(t, begin, end, static_cast<double*>(data(scratch)), static_cast<double*>(data(sum1)),
                  static_cast<double*>(data(sum2)), sum);
  for (std::int64_t j = 0; j < t.d; ++j) {
    if (sums1) put(static_cast<T*>(t.gradient1) + j, scaled_back<T>(static_cast<double*>(sum1->data())[j], t.x1, t.d));
    if (sums2) put(static_cast<T*>(t.gradient2) + j, scaled_back<T>(static_cast<double*>(sum2->data())[j], t.x2, t.d));
  }
  for (const Buffer* b : {&scratch, &sum1, &sum2})
    if (*b) (*b)->check();
  return sum;
}

template <class T>
void run_case(Dice& dice, const std::vector<const Kernels*>& sets) {
  constexpr std::int64_t lengths[] = {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 63, 64, 65, 127, 128, 130, 257};
  const Case<T> c = random_case<T>(dice, 1 + dice.below(9), lengths[dice.below(21)]);
  for (const Kernels* set : sets) check(c, run_rows(c, *set));
  check(c, run_pairs(c.task, 1));
  check(c, run_pairs(c.task, 3));
}

void run_cases(std::int64_t tasks, std::uint64_t seed) {
  const std::vector<const Kernels*> sets = instruction_sets();
  Dice dice{seed * 2 + 1};
  for (std::int64_t i = 0; i < tasks; ++i) {
    run_case<float>(dice, sets);
    run_case<double>(dice, sets);
    run_case<BFloat16>(dice, sets);
#if defined(COSPAIR_HALF)
    run_case<Half>(dice, sets);
#endif
  }
  std::printf("%lld tasks an element type on", static_cast<long long>(tasks));
  for (const Kernels* set : sets) std::printf(" %s,", set->name);
  std::printf(" and the batch on 1 and 3 threads: no complaint\n");
}

template <class T>
void run_threads(std::uint64_t seed, std::int64_t rounds) {
  Dice dice{seed};
  for (std::int64_t i = 0; i < rounds; ++i) {
    const Case<T> c = random_case<T>(dice, 100 + dice.below(200), 1 + dice.below(90));
    check(c, run_pairs(c.task, 4));
  }
}

void run_concurrently(std::int64_t rounds) {
  std::vector<std::thread> callers;
  callers.emplace_back(run_threads<float>, 3, rounds);
  callers.emplace_back(run_threads<double>, 5, rounds);
  callers.emplace_back(run_threads<BFloat16>, 7, rounds);
  for (std::thread& caller : callers) caller.join();
  std::printf("%lld batches from each of 3 callers on 4 threads: no complaint\n", static_cast<long long>(rounds));
}

}  // namespace
}  // namespace cospair

int main(int count, char** words) {
  const bool threads = count > 1 && std::strcmp(words[1], "threads") == 0;
  if (threads) {
    const std::int64_t rounds = count > 2 ? std::atoll(words[2]) : 40;
    cospair::run_blocks_concurrently(10 * rounds);
    cospair::run_concurrently(rounds);
    cospair::run_sweeps_concurrently(rounds);
    cospair::run_tallies_concurrently(rounds);
  } else {
    const std::int64_t tasks = count > 1 ? std::atoll(words[1]) : 2000;
    const std::uint64_t seed = count > 2 ? std::strtoull(words[2], nullptr, 10) : 1;
    cospair::run_blocks(tasks, seed);
    cospair::run_cases(tasks, seed);
    cospair::run_sweeps(tasks / 10, seed);
    cospair::run_tallies(tasks / 10, seed);
  }
  return 0;
}
