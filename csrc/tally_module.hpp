// The binding of the counts over all pairs.
#pragma once

#include <nanobind/nanobind.h>

namespace cospair {

void bind_tally(nanobind::module_& m);

}  // namespace cospair
