// Randomness that can be repeated.
#pragma once

#include <cstdlib>
#include <iostream>
#include <random>

namespace dsync::tests {

// Prints the seed. Set DSYNC_SEED to run again what failed.
inline std::mt19937 seeded() {
  const char* given = std::getenv("DSYNC_SEED");
  const auto seed =
      given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device()();
  std::cout << "DSYNC_SEED=" << seed << std::endl;
  return std::mt19937(seed);
}

}  // namespace dsync::tests
