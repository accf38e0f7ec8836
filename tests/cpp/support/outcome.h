// Outcomes by name, for expectations and failures.
#pragma once

#include <ostream>
#include <string_view>

#include "primitives/operation.h"

namespace dsync::primitives {

inline std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kGranted:
      return "granted";
    case Outcome::kBusy:
      return "busy";
    case Outcome::kTimedOut:
      return "timed out";
    case Outcome::kReleased:
      return "released";
    case Outcome::kNotHeld:
      return "not held";
    case Outcome::kHeld:
      return "held";
    case Outcome::kLocked:
      return "locked";
    case Outcome::kFree:
      return "free";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kLost:
      return "lost";
  }
  return "unknown";
}

// Found by GoogleTest, which prints the number else.
inline void PrintTo(Outcome outcome, std::ostream* out) { *out << name_of(outcome); }

}  // namespace dsync::primitives
