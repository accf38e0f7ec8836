// Points in time as the core sees them: the driver reads a clock and passes the value in.
#pragma once

#include <chrono>
#include <cstdint>

namespace dsync::base {

using Duration = std::chrono::nanoseconds;

// The clock of the driver: monotonic, and going on while the machine sleeps. It has no now(),
// because the core never asks for the time.
struct Clock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;
};

using Time = Clock::time_point;

inline constexpr Time kNever = Time::max();

// `time + duration`, or kNever where that lies beyond the end of time.
constexpr Time after(Time time, Duration duration) {
  return duration >= kNever - time ? kNever : time + duration;
}

// In the unit of the scripts.
constexpr std::int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace dsync::base
