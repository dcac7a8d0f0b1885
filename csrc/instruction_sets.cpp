#include "instruction_sets.hpp"

#if defined(COSPAIR_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

#if defined(COSPAIR_AMX)
const Kernels kAmx = COSPAIR_KERNELS_OF("x86-64-v4 with AMX", v4, amx);

// Linux gives a process the matrix registers when it asks for them; what they hold is saved with its signals.
bool may_use_matrix_registers() {
  constexpr unsigned kTiles = 1u << 24, kInt8 = 1u << 25;
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTiles) == 0 || (d & kInt8) == 0) return false;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}
#endif

int find_builds(const Kernels* out[kMostBuilds]) {
  int count = 0;
#if defined(COSPAIR_X86)
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
  const bool vnni = v4 && __builtin_cpu_supports("avx512vnni");
#if defined(COSPAIR_AMX)
  if (vnni && may_use_matrix_registers()) out[count++] = &kAmx;
#endif
  if (vnni) out[count++] = &kVnni;
  if (v4) out[count++] = &kV4;
  if (v3) out[count++] = &kV3;
#endif
  out[count++] = &kBaseline;
  return count;
}

struct Found {
  const Kernels* builds[kMostBuilds] = {};
  int count;
  Found() : count(find_builds(builds)) {}
};

const Found& found() {
  static const Found once;
  return once;
}

}  // namespace

int builds(const Kernels* out[kMostBuilds]) {
  for (int at = 0; at < found().count; ++at) out[at] = found().builds[at];
  return found().count;
}

const Kernels& kernels() { return *found().builds[0]; }

}  // namespace cospair
