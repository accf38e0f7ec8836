// Tells for how long an event loop has nothing to do.
#pragma once

#include <pybind11/pybind11.h>

#include "base/time.h"

namespace dsync::bindings {

namespace py = pybind11;

// A look into asyncio's own loops that wait with epoll; nothing is known of others, as uvloop's.
class Idleness {
 public:
  explicit Idleness(py::object loop);

  // What the loop would wait with.
  int epoll() const { return epoll_; }

  // How long nothing is due, at most 5 ms; something may happen before. Zero where nothing is
  // known. `own` is what the loop is to call, and may as well call later.
  base::Duration left(py::handle own) const;

 private:
  bool is_known() const;
  py::object get(const py::str& name) const { return loop_.attr(name); }

  py::object loop_;
  // Where asyncio keeps what it is to do.
  py::str selector_name_, ready_name_, timers_name_, stopping_name_, when_name_;
  py::object ready_;  // a deque of handles; null where nothing is known
  int epoll_ = -1;
};

}  // namespace dsync::bindings
