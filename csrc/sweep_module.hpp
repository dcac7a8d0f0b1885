// The binding of the sweep over all pairs.
#pragma once

#include <nanobind/nanobind.h>

namespace cospair {

void bind_sweep(nanobind::module_& m);

}  // namespace cospair
