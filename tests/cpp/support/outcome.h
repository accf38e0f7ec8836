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
    case Outcome::kBroken:
      return "broken";
    case Outcome::kDisagrees:
      return "disagrees";
    case Outcome::kOverLimit:
      return "over limit";
    case Outcome::kDone:
      return "done";
    case Outcome::kNumber:
      return "number";
  }
  return "unknown";
}

// Found by GoogleTest, which prints the number else.
inline void PrintTo(Outcome outcome, std::ostream* out) { *out << name_of(outcome); }

}  // namespace dsync::primitives
