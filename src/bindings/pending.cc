#include "bindings/pending.h"

#include <stdexcept>
#include <utility>

namespace dsync::bindings {
namespace {

enum class State : char { kWaiting, kDone, kFailed, kCancelled };

struct Object {
  PyObject base;      // as every object of Python begins
  PyObject* loop;     // null where there was an outcome from the start
  PyObject* wakeup;   // what the task gave to be called; null before and after
  PyObject* context;  // in which that is called
  PyObject* reason;   // (what makes the exception, kind, text), or the message of a cancellation
  std::int64_t outcome;
  State state;
  bool blocking;  // between yielding itself and the task's notice of that
};

PyTypeObject* type = nullptr;

Object* cast(PyObject* self) { return reinterpret_cast<Object*>(self); }

Object* allocate() {
  auto* const self = PyObject_GC_New(Object, type);
  if (self == nullptr) throw py::error_already_set();
  self->loop = self->wakeup = self->context = self->reason = nullptr;
  self->outcome = 0;
  self->state = State::kWaiting;
  self->blocking = false;
  PyObject_GC_Track(self);
  return self;
}

void call_wakeup(Object* self) {
  const auto wakeup = py::reinterpret_steal<py::object>(std::exchange(self->wakeup, nullptr));
  const auto context = py::reinterpret_steal<py::object>(std::exchange(self->context, nullptr));
  if (!wakeup) return;
  static PyObject* const run = PyUnicode_InternFromString("run");
  const auto result = py::reinterpret_steal<py::object>(
      PyObject_CallMethodObjArgs(context.ptr(), run, wakeup.ptr(), self, nullptr));
  if (!result) throw py::error_already_set();
}

void call_wakeup_soon(Object* self) {
  const auto wakeup = py::reinterpret_steal<py::object>(std::exchange(self->wakeup, nullptr));
  const auto context = py::reinterpret_steal<py::object>(std::exchange(self->context, nullptr));
  if (!wakeup) return;
  py::handle(self->loop)
      .attr("call_soon")(wakeup, py::handle(reinterpret_cast<PyObject*>(self)),
                         py::arg("context") = context);
}

// For functions that the interpreter calls: an exception is told by `failure`.
template <typename Result, typename Function>
Result guarded(Result failure, Function function) {
  try {
    return function();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return failure;
}

// ---- what a task calls ----

py::object exception(const Object* self) {
  const auto reason = py::reinterpret_borrow<py::object>(self->reason);
  if (self->state == State::kFailed)
    return reason[py::int_(0)](reason[py::int_(1)], reason[py::int_(2)]);
  const auto cancelled = py::module_::import("asyncio").attr("CancelledError");
  return reason ? cancelled(reason) : cancelled();
}

PyObject* result(PyObject* self, PyObject*) {
  return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
    if (cast(self)->state == State::kDone) return PyLong_FromLongLong(cast(self)->outcome);
    if (cast(self)->state == State::kWaiting) throw std::runtime_error("there is no outcome yet");
    const auto raised = exception(cast(self));
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
    return nullptr;
  });
}

PySendResult send(PyObject* self, PyObject*, PyObject** value) {
  if (cast(self)->state != State::kWaiting) {
    *value = result(self, nullptr);
    return *value == nullptr ? PYGEN_ERROR : PYGEN_RETURN;
  }
  cast(self)->blocking = true;
  *value = Py_NewRef(self);
  return PYGEN_NEXT;
}

PyObject* next(PyObject* self) {
  PyObject* value = nullptr;
  const auto sent = send(self, nullptr, &value);
  if (sent != PYGEN_RETURN) return value;
  PyErr_SetObject(PyExc_StopIteration, value);
  Py_DECREF(value);
  return nullptr;
}

PyObject* done(PyObject* self, PyObject*) {
  return PyBool_FromLong(cast(self)->state != State::kWaiting);
}

PyObject* get_loop(PyObject* self, PyObject*) {
  return Py_NewRef(cast(self)->loop == nullptr ? Py_None : cast(self)->loop);
}

// (callback, *, context=None)
PyObject* add_done_callback(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                            PyObject* keywords) {
  const bool with_context = keywords != nullptr && PyTuple_GET_SIZE(keywords) == 1;
  if (count != 1) {
    PyErr_SetString(PyExc_TypeError, "add_done_callback needs one callback");
    return nullptr;
  }
  PyObject* const context =
      with_context && !Py_IsNone(arguments[1]) ? Py_NewRef(arguments[1]) : PyContext_CopyCurrent();
  if (context == nullptr) return nullptr;
  Py_XSETREF(cast(self)->context, context);
  Py_XSETREF(cast(self)->wakeup, Py_NewRef(arguments[0]));
  return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
    if (cast(self)->state != State::kWaiting) call_wakeup_soon(cast(self));
    Py_RETURN_NONE;
  });
}

// (msg=None)
PyObject* cancel(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
  if (cast(self)->state != State::kWaiting) Py_RETURN_FALSE;
  const auto named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  cast(self)->state = State::kCancelled;
  if (count + named > 0 && !Py_IsNone(arguments[0])) {
    Py_XSETREF(cast(self)->reason, Py_NewRef(arguments[0]));
  }
  return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
    call_wakeup_soon(cast(self));
    Py_RETURN_TRUE;
  });
}

PyObject* get_blocking(PyObject* self, void*) { return PyBool_FromLong(cast(self)->blocking); }

int set_blocking(PyObject* self, PyObject* value, void*) {
  cast(self)->blocking = value == Py_True;
  return 0;
}

// ---- the type ----

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(cast(self)->loop);
  Py_VISIT(cast(self)->wakeup);
  Py_VISIT(cast(self)->context);
  Py_VISIT(cast(self)->reason);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(cast(self)->loop);
  Py_CLEAR(cast(self)->wakeup);
  Py_CLEAR(cast(self)->context);
  Py_CLEAR(cast(self)->reason);
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  auto* const its_type = Py_TYPE(self);
  PyObject_GC_Del(self);
  Py_DECREF(its_type);
}

template <typename Function>
PyCFunction method(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

template <typename Function>
void* slot(Function function) {
  return reinterpret_cast<void*>(function);
}

PyTypeObject* make_type() {
  static PyMethodDef methods[] = {
      {"add_done_callback", method(add_done_callback), METH_FASTCALL | METH_KEYWORDS, nullptr},
      {"cancel", method(cancel), METH_FASTCALL | METH_KEYWORDS, nullptr},
      {"done", done, METH_NOARGS, nullptr},
      {"get_loop", get_loop, METH_NOARGS, nullptr},
      {"result", result, METH_NOARGS, nullptr},
      {nullptr, nullptr, 0, nullptr},
  };
  static PyGetSetDef properties[] = {
      {"_asyncio_future_blocking", get_blocking, set_blocking, nullptr, nullptr},
      {nullptr, nullptr, nullptr, nullptr, nullptr},
  };
  static PyType_Slot slots[] = {
      {Py_tp_methods, methods},          {Py_tp_getset, properties},
      {Py_tp_traverse, slot(traverse)},  {Py_tp_clear, slot(clear)},
      {Py_tp_dealloc, slot(deallocate)}, {Py_am_await, slot(PyObject_SelfIter)},
      {Py_am_send, slot(send)},          {Py_tp_iter, slot(PyObject_SelfIter)},
      {Py_tp_iternext, slot(next)},      {0, nullptr},
  };
  static PyType_Spec spec = {
      "dsync._core.Pending", sizeof(Object), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  auto* const made = PyType_FromSpec(&spec);
  if (made == nullptr) throw py::error_already_set();
  return reinterpret_cast<PyTypeObject*>(made);
}

Object* of(const py::object& object) { return cast(object.ptr()); }

}  // namespace

Pending::Pending(const py::object& loop)
    : object_(py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(allocate()))) {
  of(object_)->loop = Py_NewRef(loop.ptr());
}

Pending::Pending(std::int64_t outcome)
    : object_(py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(allocate()))) {
  set(outcome);
}

void Pending::set(std::int64_t outcome) {
  if (of(object_)->state != State::kWaiting) return;
  of(object_)->outcome = outcome;
  of(object_)->state = State::kDone;
}

void Pending::fail(const py::object& failure, int kind, const py::str& text) {
  if (of(object_)->state != State::kWaiting) return;
  of(object_)->reason = py::make_tuple(failure, kind, text).release().ptr();
  of(object_)->state = State::kFailed;
}

bool Pending::is_awaited() const { return of(object_)->wakeup != nullptr; }

void Pending::resume() { call_wakeup(of(object_)); }

void Pending::resume_soon() { call_wakeup_soon(of(object_)); }

void bind_pending(py::module_& module) {
  type = make_type();
  module.attr("Pending") = py::handle(reinterpret_cast<PyObject*>(type));
}

}  // namespace dsync::bindings
