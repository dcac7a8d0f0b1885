#include "tensors.hpp"

#include <atomic>

namespace cospair {
namespace {

struct Failed {};  // a Python call raised; the error indicator is set

// References are leaked on purpose: torch outlives every call.
PyObject* kept(nb::object x) { return x.release().ptr(); }
PyObject* name(const char* text) { return PyUnicode_InternFromString(text); }

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
  PyObject* empty = kept(torch.attr("empty"));
  PyObject* empty_like = kept(torch.attr("empty_like"));
  PyObject* pooled = kept(nb::module_::import_("cospair.kernels.buffers").attr("empty"));
  PyObject* contiguous = kept(torch.attr("contiguous_format"));
  PyObject* cpu = name("cpu");
  PyObject *is_cpu = name("is_cpu"), *dtype = name("dtype"), *shape = name("shape"), *stride = name("stride"),
           *data_ptr = name("data_ptr"), *is_neg = name("is_neg"), *current_level = name("_current_level");
  PyObject* like_words = kept(nb::make_tuple("memory_format"));
  PyObject* empty_words = kept(nb::make_tuple("dtype", "device"));
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

bool read_or_fail(nb::handle x, View& view) {
  const Torch& t = torch();
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(x.ptr()));
  if (type != t.tensor && type != t.parameter) return false;
  if (!is_true(get(x, t.is_cpu)) || is_true(call_method(x, t.is_neg))) return false;
  const nb::object dtype = get(x, t.dtype);
  int code = 0;
  while (code < 7 && dtype.ptr() != t.dtypes[code]) ++code;
  view.dtype = static_cast<Dtype>(code);
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

nb::object raise_if_null(PyObject* result) {
  if (!result) nb::raise_python_error();
  return nb::steal(result);
}

// Gradients from this size on come from blocks that are used again.
constexpr std::size_t kPooledBytes = std::size_t{1} << 20;

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

void* data_of(nb::handle x) {
  PyObject* arguments[] = {x.ptr()};
  const std::size_t count = 1 | PY_VECTORCALL_ARGUMENTS_OFFSET;
  return PyLong_AsVoidPtr(raise_if_null(PyObject_VectorcallMethod(torch().data_ptr, arguments, count, nullptr)).ptr());
}

int thread_count() {
  return static_cast<int>(PyLong_AsLong(raise_if_null(PyObject_CallNoArgs(torch().thread_count)).ptr()));
}

nb::object empty_like(nb::handle x, std::size_t bytes) {
  const Torch& t = torch();
  if (bytes >= kPooledBytes) {
    return nb::borrow(t.pooled)(x.attr("shape"), x.attr("dtype"));
  }
  PyObject* arguments[] = {x.ptr(), t.contiguous};
  return raise_if_null(PyObject_Vectorcall(t.empty_like, arguments, 1, t.like_words));
}

nb::object empty(std::int64_t n, Dtype dtype) {
  const Torch& t = torch();
  const nb::object shape = raise_if_null(PyLong_FromLongLong(n));
  PyObject* arguments[] = {shape.ptr(), t.dtypes[static_cast<int>(dtype)], t.cpu};
  return raise_if_null(PyObject_Vectorcall(t.empty, arguments, 1, t.empty_words));
}

nb::object scalar(Dtype dtype) {
  static std::atomic<PyObject*> templates[4] = {};
  std::atomic<PyObject*>& found = templates[static_cast<int>(dtype)];
  if (!found) {  // two threads at once make two, and one of them is kept
    const Torch& t = torch();
    found = kept(t.torch.attr("empty")(nb::tuple(), nb::arg("dtype") = nb::borrow(t.dtypes[static_cast<int>(dtype)]),
                                       nb::arg("device") = "cpu"));
  }
  return empty_like(nb::borrow(found.load()), 0);
}

void refuse_target(nb::handle target, std::int64_t row) {
  nb::module_::import_("cospair._checks").attr("refuse_target")(target, row);
  throw nb::value_error("target must hold only +1 and -1");
}

}  // namespace cospair
