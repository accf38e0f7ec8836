#include "bindings/idleness.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "bindings/conversions.h"

namespace dsync::bindings {
namespace {

// A reply that takes longer is waited for with a turn of the loop.
constexpr base::Duration kLongest = std::chrono::milliseconds(5);

py::object first(const py::object& sequence) {
  const auto item = PySequence_GetItem(sequence.ptr(), 0);
  if (item == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(item);
}

}  // namespace

Idleness::Idleness(py::object loop)
    : loop_(std::move(loop)),
      selector_name_("_selector"),
      ready_name_("_ready"),
      timers_name_("_scheduled"),
      stopping_name_("_stopping"),
      when_name_("_when") {
  if (!is_known()) return;
  ready_ = get(ready_name_);
  epoll_ = get(selector_name_).attr("fileno")().cast<int>();
}

bool Idleness::is_known() const {
  for (const auto& name : {selector_name_, ready_name_, timers_name_, stopping_name_}) {
    if (!py::hasattr(loop_, name)) return false;
  }
  // The timers of a loop with a clock of its own say nothing here.
  const auto usual = py::module_::import("asyncio").attr("BaseEventLoop").attr("time");
  return py::type::of(loop_).attr("time").is(usual) &&
         py::isinstance(get(selector_name_),
                        py::module_::import("selectors").attr("EpollSelector"));
}

base::Duration Idleness::left(py::handle own) const {
  constexpr auto kNone = base::Duration::zero();
  if (!ready_ || get(stopping_name_).ptr() == Py_True) return kNone;
  const auto waiting = py::len(ready_);
  if (waiting > 1 || (waiting == 1 && !first(ready_).is(own))) return kNone;
  const auto timers = get(timers_name_);  // a heap; now and then it is another list
  if (py::len(timers) == 0) return kLongest;
  const auto due = py::object(first(timers).attr(when_name_)).cast<double>();
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::clamp(to_duration(due) - now, kNone, kLongest);
}

}  // namespace dsync::bindings
