#include "tensors.hpp"

#include <algorithm>
#include <memory>
#include <new>

#include "blocks.hpp"
#include "dlpack.hpp"

namespace cospair {
namespace {

struct Failed {};  // a Python call raised; the error indicator is set

// References are leaked on purpose: torch outlives every call.
PyObject* kept(nb::object x) { return x.release().ptr(); }
PyObject* name(const char* text) { return PyUnicode_InternFromString(text); }

// torch's table of DLPack functions; null where it is older than them.
const dlpack::ExchangeApi* exchange_of(nb::handle tensor) {
  const nb::object capsule = nb::getattr(tensor, "__dlpack_c_exchange_api__", nb::none());
  if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return nullptr;
  const auto* const found =
      static_cast<const dlpack::ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  return found->version.major == 1 && found->tensor_from_object ? found : nullptr;
}

struct Torch {
  nb::module_ torch = nb::module_::import_("torch");
  nb::module_ functorch = nb::module_::import_("torch._C._functorch");
  PyObject* tensor = kept(torch.attr("Tensor"));
  PyObject* parameter = kept(torch.attr("nn").attr("Parameter"));
  PyObject* dtypes[7] = {kept(torch.attr("float32")),  kept(torch.attr("float64")), kept(torch.attr("float16")),
                         kept(torch.attr("bfloat16")), kept(torch.attr("int64")),   kept(torch.attr("int32")),
                         kept(torch.attr("bool"))};
  PyObject* transforms = kept(functorch.attr("peek_interpreter_stack"));
  PyObject* forward_ad = kept(nb::module_::import_("torch.autograd.forward_ad"));
  PyObject* modes = kept(torch.attr("_C").attr("_len_torch_dispatch_stack"));
  PyObject* tracing = kept(torch.attr("_C").attr("_get_tracing_state"));
  PyObject* autocast = kept(torch.attr("is_autocast_enabled"));
  PyObject* thread_count = kept(torch.attr("get_num_threads"));
  PyObject* from_dlpack = kept(nb::module_::import_("torch.utils.dlpack").attr("from_dlpack"));
  const dlpack::ExchangeApi* exchange = exchange_of(tensor);
  PyObject* cpu = name("cpu");
  PyObject *is_cpu = name("is_cpu"), *dtype = name("dtype"), *shape = name("shape"), *stride = name("stride"),
           *data_ptr = name("data_ptr"), *is_neg = name("is_neg"), *current_level = name("_current_level");
};

const Torch* found_torch = nullptr;

const Torch& torch() { return *found_torch; }

nb::object checked(PyObject* result) {
  if (!result) throw Failed{};
  return nb::steal(result);
}

nb::object get(nb::handle x, PyObject* attribute) { return checked(PyObject_GetAttr(x.ptr(), attribute)); }

nb::object call_method(nb::handle x, PyObject* method) {
  PyObject* arguments[] = {x.ptr()};
  return checked(PyObject_VectorcallMethod(method, arguments, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
}

nb::object call(PyObject* function) { return checked(PyObject_CallNoArgs(function)); }

std::int64_t integer(nb::handle x) {
  const long long value = PyLong_AsLongLong(x.ptr());
  if (value == -1 && PyErr_Occurred()) throw Failed{};
  return value;
}

bool is_true(nb::handle x) { return x.ptr() == Py_True; }

constexpr dlpack::DataType kTypes[] = {
    {dlpack::kFloat, 32, 1},   {dlpack::kFloat, 64, 1},   {dlpack::kFloat, 16, 1}, {dlpack::kBrainFloat, 16, 1},
    {dlpack::kInteger, 64, 1}, {dlpack::kInteger, 32, 1}, {dlpack::kBool, 8, 1}};

Dtype dtype_from(dlpack::DataType type) {
  int code = 0;
  while (code < 7 && (type.code != kTypes[code].code || type.bits != kTypes[code].bits)) ++code;
  return static_cast<Dtype>(code);
}

bool read_by_dlpack(nb::handle x, View& view) {
  dlpack::Tensor found;
  if (torch().exchange->tensor_from_object(x.ptr(), &found)) throw Failed{};
  if (found.device.type != dlpack::kCpu || found.ndim > 2) return false;
  view.dtype = dtype_from(found.dtype);
  view.ndim = found.ndim;
  for (int i = 0; i < found.ndim; ++i) {
    view.shape[i] = found.shape[i];
    view.strides[i] = found.strides[i];
  }
  view.data = found.data ? static_cast<char*>(found.data) + found.byte_offset : nullptr;
  return view.data != nullptr;
}

bool read_by_attributes(nb::handle x, View& view) {
  const Torch& t = torch();
  if (!is_true(get(x, t.is_cpu))) return false;
  view.dtype = dtype_of(get(x, t.dtype));
  const nb::object shape = get(x, t.shape), strides = call_method(x, t.stride);
  const Py_ssize_t ndim = PyTuple_Size(shape.ptr());
  if (ndim > 2) return false;
  view.ndim = static_cast<int>(ndim);
  for (Py_ssize_t i = 0; i < ndim; ++i) {
    view.shape[i] = integer(PyTuple_GetItem(shape.ptr(), i));
    view.strides[i] = integer(PyTuple_GetItem(strides.ptr(), i));
  }
  view.data = PyLong_AsVoidPtr(call_method(x, t.data_ptr).ptr());
  return view.data != nullptr;
}

bool read_or_fail(nb::handle x, View& view) {
  const Torch& t = torch();
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(x.ptr()));
  if ((type != t.tensor && type != t.parameter) || is_true(call_method(x, t.is_neg))) return false;
  return t.exchange ? read_by_dlpack(x, view) : read_by_attributes(x, view);
}

nb::object raise_if_null(PyObject* result) {
  if (!result) nb::raise_python_error();
  return nb::steal(result);
}

// A block that is lent to a tensor, in both forms that DLPack has for it.
struct Lent {
  void* block;
  std::size_t bytes;
  std::int64_t shape[2], strides[2];
  dlpack::ManagedTensor managed;
  dlpack::UnversionedTensor unversioned;

  static void end(void* context) {
    const Lent* const lent = static_cast<Lent*>(context);
    put_back_block(lent->block, lent->bytes);
    delete lent;
  }
};

nb::object tensor_of(Lent* lent, const dlpack::Tensor& tensor) {
  const Torch& t = torch();
  if (t.exchange) {
    lent->managed = {{1, 0}, lent, [](dlpack::ManagedTensor* m) { Lent::end(m->context); }, 0, tensor};
    void* made = nullptr;
    if (t.exchange->object_from_managed(&lent->managed, &made) || !made) nb::raise_python_error();
    return nb::steal(static_cast<PyObject*>(made));
  }
  lent->unversioned = {tensor, lent, [](dlpack::UnversionedTensor* u) { Lent::end(u->context); }};
  const nb::object capsule =
      raise_if_null(PyCapsule_New(&lent->unversioned, "dltensor", [](PyObject* dropped) {  // named otherwise once taken
        if (!PyCapsule_IsValid(dropped, "dltensor")) return;
        auto* const u = static_cast<dlpack::UnversionedTensor*>(PyCapsule_GetPointer(dropped, "dltensor"));
        u->deleter(u);
      }));
  return nb::borrow(t.from_dlpack)(capsule);
}

}  // namespace

void find_torch() { found_torch = new Torch; }

bool eager() {
  const Torch& t = torch();
  try {
    PyObject* arguments[] = {t.cpu};
    return call(t.transforms).is_none() && integer(get(t.forward_ad, t.current_level)) < 0 &&
           integer(call(t.modes)) == 0 && call(t.tracing).is_none() &&
           !is_true(checked(PyObject_Vectorcall(t.autocast, arguments, 1, nullptr)));
  } catch (const Failed&) {
    PyErr_Clear();
    return false;
  }
}

bool read(nb::handle x, View& view) {
  try {
    return read_or_fail(x, view);
  } catch (const Failed&) {  // sparse, nested, without storage
    PyErr_Clear();
    return false;
  }
}

bool is_one(nb::handle x) {
  View view;
  if (!read(x, view) || view.ndim) return false;
  switch (view.dtype) {
    case Dtype::f32:
      return *static_cast<const float*>(view.data) == 1;
    case Dtype::f64:
      return *static_cast<const double*>(view.data) == 1;
    case Dtype::f16:
      return *static_cast<const std::uint16_t*>(view.data) == 0x3C00;
    case Dtype::bf16:
      return *static_cast<const std::uint16_t*>(view.data) == 0x3F80;
    default:
      return false;
  }
}

int thread_count() {
  return static_cast<int>(PyLong_AsLong(raise_if_null(PyObject_CallNoArgs(torch().thread_count)).ptr()));
}

Dtype dtype_of(nb::handle dtype) {
  int code = 0;
  while (code < 7 && dtype.ptr() != torch().dtypes[code]) ++code;
  return static_cast<Dtype>(code);
}

std::int64_t size_of(Dtype dtype) { return kTypes[static_cast<int>(dtype)].bits / 8; }

Made empty(Dtype dtype, std::initializer_list<std::int64_t> shape) {
  std::size_t bytes = static_cast<std::size_t>(size_of(dtype));
  for (const std::int64_t length : shape) bytes *= static_cast<std::size_t>(length);
  std::unique_ptr<Lent> lent(new Lent{nullptr, bytes, {1, 1}, {1, 1}, {}, {}});
  std::copy(shape.begin(), shape.end(), lent->shape);
  lent->strides[0] = lent->shape[1];
  void* const block = lent->block = take_block(bytes);
  if (!block) throw std::bad_alloc();
  const int ndim = static_cast<int>(shape.size());
  const dlpack::DataType type = kTypes[static_cast<int>(dtype)];
  const dlpack::Tensor tensor{block, {dlpack::kCpu, 0}, ndim, type, lent->shape, lent->strides, 0};
  return {tensor_of(lent.release(), tensor), block};
}

void refuse_target(nb::handle target, std::int64_t row) {
  nb::module_::import_("cospair._checks").attr("refuse_target")(target, row);
  throw nb::value_error("target must hold only +1 and -1");
}

}  // namespace cospair
