// Names of the keys beside a primitive's main key.
#pragma once

#include <array>
#include <string_view>

namespace dsync::primitives {

// Text in up to three parts, so that nothing is copied before it is written.
using NameParts = std::array<std::string_view, 3>;

// A key that hashes to the cluster slot of `main`: "{main}suffix", or "main suffix" without the
// space where `main` has a hash tag of its own. The parts are views into both arguments.
NameParts beside(std::string_view main, std::string_view braced_suffix);

// Suffixes for beside(), with the brace that closes the tag.
inline constexpr std::string_view kQueueSuffix = "}:dsync:queue";
inline constexpr std::string_view kFenceSuffix = "}:dsync:fence";

// The channel of a session's inbox is this and the session's name.
inline constexpr std::string_view kInboxPrefix = "dsync:inbox:";

}  // namespace dsync::primitives
