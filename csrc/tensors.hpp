// torch tensors, read and made through DLPack; read through their Python attributes where torch is older than DLPack's
// C functions (2.10). No torch header, so no tie to one torch version.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <initializer_list>

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

// A plain CPU tensor without dimensions that holds exactly 1.
bool is_one(nb::handle x);

int thread_count();
Dtype dtype_of(nb::handle dtype);
std::int64_t size_of(Dtype dtype);

// An uninitialised contiguous CPU tensor of up to two dimensions, on a block that was used before where one is free.
// Like any tensor on memory of others it cannot be resized in place.
struct Made {
  nb::object tensor;
  void* data;
};
Made empty(Dtype dtype, std::initializer_list<std::int64_t> shape);

// Raises the error that names the invalid target at a row.
[[noreturn]] void refuse_target(nb::handle target, std::int64_t row);

}  // namespace cospair
