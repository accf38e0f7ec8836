// What a task awaits while its operation is with the server: as much of a future as a task needs.
//
// An asyncio.Future has its loop call the task in the next turn, which costs a system call and a
// good part of a round trip to a server nearby. This one can run its task at once. And what happens
// between a reply and the task is one call, so no exception of a signal handler can come amid it.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace dsync::bindings {

namespace py = pybind11;

// One task awaits it. It shares ownership, as a py::object does.
class Pending {
 public:
  // Without an outcome so far.
  explicit Pending(const py::object& loop);
  // With one.
  explicit Pending(std::int64_t outcome);

  py::object object() const { return object_; }

  // Set the outcome, or what makes the exception, unless it was cancelled; the task does not know
  // yet. The exception is made when the task asks for it: that runs code of Python, and so perhaps
  // a signal handler, whose exception is for that task then.
  void set(std::int64_t outcome);
  void fail(const py::object& failure, int kind, const py::str& text);

  bool is_awaited() const;  // by a task that is to be resumed
  // Run that task until it waits again, or let the loop do so in its next turn.
  void resume();
  void resume_soon();

 private:
  py::object object_;
};

void bind_pending(py::module_& module);

}  // namespace dsync::bindings
