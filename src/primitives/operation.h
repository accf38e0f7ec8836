// The records of the lock machine, and what it tells its caller.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "primitives/claim.h"

namespace dsync::primitives {

// How an operation ended, or went on: the number that the bindings show.
enum class Outcome : int {
  kGranted = 1,  // an acquire holds the lock now
  kBusy,         // the lock is taken, and the acquire was not to queue
  kTimedOut,     // the deadline of an acquire passed
  kReleased,     // a release freed the lock or handed it over
  kNotHeld,      // the server says that the lock is not held by that operation
  kHeld,         // a confirmation: the lock is held, for the time that was asked for
  kLocked,       // the lock is held by somebody
  kFree,         // the lock is held by nobody
  kFailed,       // the error says why; of a release or acquire, whether it happened is not known
  kLost,         // not an end: what was granted is held no more
};

struct Completion {
  OperationId id;
  Outcome outcome;
  base::Error error{};  // of kFailed
};

struct Operation {
  enum class State {
    kWaiting,    // acquire: wants the lock
    kHeld,       // acquire: has it
    kLost,       // acquire: had it, until the server or the clock said otherwise
    kReleasing,  // release or withdrawal is on its way to the server
    kAsking,     // a question: confirmation of a hold, or whether a key is locked
  };

  State state;
  std::shared_ptr<Claim> claim;  // of an acquire or a confirmation; a plain question has only a key
  std::string question;          // the key of a plain question
  OperationId subject = 0;       // of a confirmation: the acquire that it is about
  base::Duration wanted{};       // of a confirmation: the lease, at least
  base::Duration poll_delay{};
  base::Time deadline = base::kNever;  // of an acquire
  base::Time sent = base::kNever;      // when its latest command left; kNever: none ever did
  // A moment of our clock that is not after `server_us` of the server's clock (0: not known, but
  // the server executed nothing of this operation before it).
  base::Time reference = base::kNever;
  std::int64_t server_us = 0;
  std::int64_t fence = 0;  // of a held lock: its fencing token
  bool queueing = false;
  bool in_flight = false;     // a command of it has no answer yet
  bool queued = false;        // the server said so
  bool orphan = false;        // nobody waits for the completion
  bool release_sent = false;  // and perhaps executed
  bool resent = false;        // its release was sent again after that

  // Whether it needs nothing of the server.
  bool rests() const { return state == State::kHeld || state == State::kLost; }
};

}  // namespace dsync::primitives
