// Names of the keys and channels beside a primitive's main key.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "primitives/claim.h"

namespace dsync::primitives {

// Text in up to three parts, so that nothing is copied before it is written.
using NameParts = std::array<std::string_view, 3>;

// A key that hashes to the cluster slot of `main`: "{main}suffix", or "main suffix" without the
// space where `main` has a hash tag of its own. The parts are views into both arguments.
NameParts beside(std::string_view main, std::string_view braced_suffix);

// The same in one piece.
std::string name_beside(std::string_view main, std::string_view braced_suffix);

// Suffixes for beside(), with the brace that closes the tag.
inline constexpr std::string_view kQueueSuffix = "}:dsync:queue";
inline constexpr std::string_view kFenceSuffix = "}:dsync:fence";
inline constexpr std::string_view kPermitsSuffix = "}:dsync:permits";
inline constexpr std::string_view kWaitingSuffix = "}:dsync:waiting";
inline constexpr std::string_view kToldSuffix = "}:dsync:told";
inline constexpr std::string_view kReservedSuffix = "}:dsync:reserved";
inline constexpr std::string_view kListenersSuffix = "}:dsync:listeners";
inline constexpr std::string_view kPartiesSuffix = "}:dsync:parties";
inline constexpr std::string_view kEndedSuffix = "}:dsync:ended";
inline constexpr std::string_view kDoneSuffix = "}:dsync:done";
inline constexpr std::string_view kWindowSuffix = "}:dsync:window";

// The channel of a session's inbox is this and the session's name.
inline constexpr std::string_view kInboxPrefix = "dsync:inbox:";

// Where old processes tell of what happens to a primitive, and a channel to which all of dsync that
// listen there subscribe as well, so that the others can be counted. Empty where there is none.
struct Topic {
  std::string channel;
  std::string companion;
};
bool has_topic(Kind kind);
Topic topic_of(Kind kind, std::string_view main);

// The lock of a barrier's old processes, and the limit of a bounded semaphore.
std::string guard_of(std::string_view barrier);
std::string limit_of(std::string_view semaphore);

}  // namespace dsync::primitives
