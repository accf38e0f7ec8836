// Between Python's values and those of the core: seconds as float, texts of any bytes as str.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/time.h"
#include "client/handshake.h"
#include "primitives/operation.h"

namespace dsync::bindings {

namespace py = pybind11;

// Numbers in the event stream beside those of primitives::Outcome.
enum class LinkEvent : int { kReady = 101, kHealthy, kLost, kOutput };

// Infinity is the longest duration.
inline base::Duration to_duration(double seconds) {
  constexpr double kLimit = 9e9;  // nanoseconds in 64 bits
  if (!(seconds < kLimit)) return base::Duration::max();
  return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(seconds));
}

// A lease in the server's unit; never rounded to none.
inline base::Duration to_lease(double seconds) {
  constexpr base::Duration kLongest = std::chrono::years(100);
  return std::chrono::ceil<std::chrono::milliseconds>(std::min(to_duration(seconds), kLongest));
}

inline double to_seconds(base::Duration duration) {
  if (duration == base::Duration::max()) return std::numeric_limits<double>::infinity();
  return std::chrono::duration<double>(duration).count();
}

// Seconds until `deadline`, not negative.
inline double seconds_until(base::Time deadline, base::Time now) {
  if (deadline == base::kNever) return std::numeric_limits<double>::infinity();
  return to_seconds(std::max(deadline - now, base::Duration::zero()));
}

client::Login to_login(const py::object& username, const py::object& password,
                       std::int64_t database, std::string client_name);

// Empties `output`; None where there is nothing.
py::object take_bytes(std::string& output);

// A server may send any bytes as its error.
py::str to_str(const std::string& text);

}  // namespace dsync::bindings
