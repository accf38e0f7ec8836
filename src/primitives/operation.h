// The records of the machine, and what it tells its caller.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "client/scripts.h"
#include "primitives/claim.h"
#include "primitives/local_queues.h"

namespace dsync::primitives {

// How an operation ended, or went on: the number that the bindings show.
enum class Outcome : int {
  kGranted = 1,  // an acquire holds the lock or permit now; a wait is over
  kBusy,         // the lock is taken, and the acquire was not to queue
  kTimedOut,     // the deadline of an acquire passed
  kReleased,     // a release freed what was held, or handed it over
  kNotHeld,      // the server says that it is not held by that operation
  kHeld,         // a confirmation: it is held, for the time that was asked for
  kLocked,       // the lock is held by somebody
  kFree,         // the lock is held by nobody
  kFailed,       // the error says why; of a release or acquire, whether it happened is not known
  kLost,         // not an end: what was granted is held no more
  kBroken,       // the round of a barrier was broken
  kDisagrees,    // the other parties of a barrier want another number of them
  kOverLimit,    // the release of a bounded semaphore would exceed its limit; nothing has changed
  kDone,         // a call was executed
  kNumber,       // a question is answered: the completion has the number
};

struct Completion {
  OperationId id;
  Outcome outcome;
  base::Error error{};      // of kFailed
  std::int64_t number = 0;  // of kNumber
};

// A command that is sent once, and answered with one number.
struct Question {
  enum class Meaning { kHolds, kLocked, kCall, kNumber };

  Meaning meaning;
  const client::Script* script;        // null: a plain command
  std::vector<std::string> keys;       // of a plain command: all its words
  std::vector<std::string> arguments;  // beside those that mark a call
  bool is_call = false;  // its first arguments are the operation, and whether it is sent again
};

struct Operation {
  enum class State {
    kWaiting,    // wants what it asks for
    kHeld,       // has it, until it is released or lost
    kTold,       // its waiting is over; the server is to hear that it knows
    kLost,       // had it, until the server or the clock said otherwise
    kReleasing,  // release, withdrawal or confirmation is on its way to the server
    kAsking,     // a question or call
  };
  // What an old process has said on the primitive's channel since the last question.
  enum class Heard : std::uint8_t { kNothing, kGo, kOther };

  State state = State::kWaiting;
  std::shared_ptr<Claim> claim;  // of all but plain questions
  std::unique_ptr<Question> question;
  OperationId subject =
      0;  // of a confirmation: what it is about; of a relock: who had the lock before
  base::Duration wanted{};  // of a confirmation: the lease, at least
  base::Duration poll_delay{};
  base::Time deadline = base::kNever;  // of an acquire
  base::Time sent = base::kNever;      // when its latest command left; kNever: none ever did
  // A moment of our clock that is not after `server_us` of the server's clock (0: not known, but
  // the server executed nothing of this operation before it).
  base::Time reference = base::kNever;
  std::int64_t server_us = 0;
  std::int64_t fence = 0;  // of a held lock: its fencing token
  base::Time since{};  // when its waiting at the server began; of a held lock: when it was granted
  int turn = 0;        // of a held lock: how often it has changed hands here since then
  LocalQueue* local = nullptr;  // while it has or wants a lock that may change hands here
  bool queueing = false;
  bool stays = false;              // away from the server, waiting to inherit
  bool in_flight = false;          // a command of it has no answer yet
  bool queued = false;             // the server said so
  bool orphan = false;             // nobody waits for the completion
  bool released = false;           // by its caller
  bool release_sent = false;       // and perhaps executed
  bool resent = false;             // its release, or call, was sent again after that
  bool granted = false;            // it was, at some time
  bool only_notification = false;  // releasing: of a relock, whose lock stays held
  bool knows = false;    // releasing: what it was told stands, and needs only to be confirmed
  bool leaving = false;  // a relock: wants the lock without a notification
  bool unsent = false;   // its command waits until there is room on the link
  bool stale = false;    // something has changed since its command left, so the answer is old
  Heard heard = Heard::kNothing;

  // Whether it is a question whose answer nobody wants. Calls are carried out even so.
  bool is_unwanted() const {
    return state == State::kAsking && orphan && question->meaning != Question::Meaning::kCall;
  }

  // Whether it needs nothing of the server.
  bool rests() const {
    return state == State::kHeld || state == State::kTold || state == State::kLost;
  }
};

}  // namespace dsync::primitives
