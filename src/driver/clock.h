// The clock of every driver.
#pragma once

#include <ctime>

#include "base/time.h"

namespace dsync::driver {

// Monotonic, and it counts the time in which the machine slept: leases run out meanwhile.
inline base::Time now() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return base::Time(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

}  // namespace dsync::driver
