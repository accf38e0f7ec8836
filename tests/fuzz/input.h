// A fuzzer's input, read as a list of small choices. Beyond its end everything is zero.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "fuzz/targets.h"

namespace dsync::fuzz {

class Input {
 public:
  explicit Input(Bytes bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }

  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto result = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return result;
  }

  // Less than `count`.
  std::size_t choice(std::size_t count) { return byte() % count; }

  template <typename T, std::size_t N>
  const T& pick(const std::array<T, N>& values) {
    return values[choice(N)];
  }

  // As long as the first byte says.
  std::string text() {
    const std::size_t wanted = byte();
    const auto size = std::min(wanted, bytes_.size());
    std::string result(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(size));
    bytes_ = bytes_.subspan(size);
    return result;
  }

  // Small, or one of those that overflow something, or any.
  std::int64_t number() {
    using Limits = std::numeric_limits<std::int64_t>;
    constexpr std::array<std::int64_t, 10> kAwkward{-1,
                                                    -2,
                                                    -3,
                                                    1'000'000'000,
                                                    1'700'000'000'000'000,
                                                    1'700'000'000'000'001,
                                                    INT32_MIN,
                                                    INT32_MAX,
                                                    Limits::min(),
                                                    Limits::max()};
    const auto first = byte();
    if (first < 200) return first;
    if (first < 250) return kAwkward[(first - 200U) % kAwkward.size()];
    std::uint64_t result = 0;
    for (int i = 0; i < 8; ++i) result = result << 8 | byte();
    return static_cast<std::int64_t>(result);
  }

 private:
  Bytes bytes_;
};

}  // namespace dsync::fuzz
