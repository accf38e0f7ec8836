// The only source of chance in a schedule. The distributions are our own, because those of the
// standard library differ from one library to another, and a seed must replay everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <random>

#include "base/time.h"

namespace dsync::simulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed * 0x9E3779B97F4A7C15U + 1) {}

  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  base::Duration between(base::Duration low, base::Duration high) {
    return base::Duration(between(low.count(), high.count()));
  }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

  template <typename T, std::size_t N>
  const T& pick(const std::array<T, N>& choices) {
    return choices[below(N)];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace dsync::simulation
