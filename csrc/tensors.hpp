// torch tensors, read and made through their Python attributes: no torch header, so no tie to one torch version.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

namespace cospair {

namespace nb = nanobind;

enum class Dtype : int { f32 = 0, f64 = 1, f16 = 2, bf16 = 3, i64 = 4, i32 = 5, boolean = 6, other = 7 };

// A strided CPU tensor of one or two dimensions; of fewer, the missing ones are 1.
struct View {
  void* data = nullptr;
  Dtype dtype = Dtype::other;
  int ndim = 0;
  std::int64_t shape[2] = {1, 1};
  std::int64_t strides[2] = {0, 0};
};

// Looks torch's functions up, when the module is imported: a thread that waited for another's look-up could not give
// the interpreter's lock to it.
void find_torch();

// Nothing intercepts operators now: no transform, mode, tracing or autocast.
bool eager();

// Reads a plain CPU tensor; false for any other object.
bool read(nb::handle x, View& view);

void* data_of(nb::handle x);
int thread_count();

// Uninitialised contiguous CPU tensors.
nb::object empty_like(nb::handle x, std::size_t bytes);
nb::object empty(std::int64_t n, Dtype dtype);
nb::object scalar(Dtype dtype);  // no dimensions

// Raises the error that names the invalid target at a row.
[[noreturn]] void refuse_target(nb::handle target, std::int64_t row);

}  // namespace cospair
