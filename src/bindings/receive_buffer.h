// The memory that a Python transport writes into and a core reads from, without a copy between.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace dsync::bindings {

struct ReceiveBuffer {
  std::array<char, 65536> bytes;

  // The first `size` bytes, as far as there are so many.
  std::span<const char> first(std::size_t size) const {
    return std::span(bytes).first(std::min(size, bytes.size()));
  }
};

}  // namespace dsync::bindings
