// The parts of DLPack's C interface that are needed to read and make tensors:
// https://dmlc.github.io/dlpack/latest/c_api.html. It is a standard of its own, so nothing here is tied to one torch.
#pragma once

#include <cstdint>

namespace cospair::dlpack {

struct Version {
  std::uint32_t major, minor;
};

enum DeviceType : std::int32_t { kCpu = 1 };
enum TypeCode : std::uint8_t { kInteger = 0, kFloat = 2, kBrainFloat = 4, kBool = 6 };

struct Device {
  std::int32_t type, id;
};

struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

// A tensor whose last user calls the deleter.
struct ManagedTensor {
  Version version;
  void* context;
  void (*deleter)(ManagedTensor*);
  std::uint64_t flags;
  Tensor tensor;
};

// The same from before versions, in a capsule of the name "dltensor".
struct UnversionedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(UnversionedTensor*);
};

// What the type of a library's tensors carries as `__dlpack_c_exchange_api__`, torch's from 2.10 on. The functions
// return 0, or -1 with the interpreter's error set.
struct ExchangeApi {
  Version version;
  const void* previous;
  void* allocate;
  void* managed_from_object;
  int (*object_from_managed)(ManagedTensor*, void** object);
  int (*tensor_from_object)(void* object, Tensor*);
  void* current_stream;
};

}  // namespace cospair::dlpack
