#include "instruction_sets.hpp"

namespace cospair {
namespace {

#define COSPAIR_KERNELS_OF(name, isa, screen_isa)                                                                      \
  Kernels {                                                                                                            \
    name, isa::pair_rows, isa::small_batch, isa::settle_survivors, isa::pull_columns, isa::settle_dense,               \
        isa::unit_rows, isa::squared_lengths, isa::class_sums, isa::squared_gap, isa::finish_rows, isa::make_unit_row, \
        screen_isa::make_levels, screen_isa::screen, isa::pack, isa::products, isa::count_block                        \
  }

const Kernels kBaseline = COSPAIR_KERNELS_OF("baseline", baseline, baseline);
#if defined(COSPAIR_X86)
const Kernels kV3 = COSPAIR_KERNELS_OF("x86-64-v3", v3, v3);
const Kernels kV4 = COSPAIR_KERNELS_OF("x86-64-v4", v4, v4);
const Kernels kVnni = COSPAIR_KERNELS_OF("x86-64-v4 with VNNI", v4, vnni);
#endif

}  // namespace

int builds(const Kernels* out[kMostBuilds]) {
  int count = 0;
#if defined(COSPAIR_X86)
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
  if (v4 && __builtin_cpu_supports("avx512vnni")) out[count++] = &kVnni;
  if (v4) out[count++] = &kV4;
  if (v3) out[count++] = &kV3;
#endif
  out[count++] = &kBaseline;
  return count;
}

const Kernels& kernels() {
  static const Kernels* const best = [] {
    const Kernels* found[kMostBuilds];
    builds(found);
    return found[0];
  }();
  return *best;
}

}  // namespace cospair
