// The caller of a fuzzed session: it keeps to the contract of machine.h, whatever the server says,
// and checks that the session keeps its own.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fuzz/input.h"
#include "primitives/session.h"

namespace dsync::fuzz {

class Caller {
 public:
  using OperationId = primitives::OperationId;
  using Kind = primitives::Kind;

  Caller(primitives::Session& session, const base::Time& now) : session_(session), now_(now) {}

  // One call of the machine, where one is possible that the input asks for.
  void call(Input& input);

  // Reads what the session has to tell. Nothing good comes from anywhere but the server, so
  // `server_spoke` tells whether it just did.
  void hear(bool server_spoke);

  // Nobody waits for anything any more.
  void leave();

  // Notes which operations the session has told the server of; returns how many commands it wrote.
  std::size_t see_output();

  // An id that the server may speak of.
  OperationId any_id(Input& input) const { return input.choice(last_id_ + 2); }

 private:
  enum class Phase { kWaiting, kHeld, kTold, kLentOut, kReleasing, kAsking };
  struct Record {
    Phase phase;
    Kind kind;
    bool is_held = false;    // what is granted lasts until it is released
    base::Duration lease{};  // the longest that was asked for
    OperationId former = 0;  // of a relock: what held the lock before
  };
  using Records = std::map<OperationId, Record>;

  void begin(OperationId id, const Record& record);
  void acquire(Input& input);
  void ask(Input& input);
  void use(Input& input, Records::iterator it);
  void use_held(Input& input, Records::iterator it);
  void end(OperationId id);
  void end_wait(OperationId id, primitives::Outcome outcome);
  void be_granted(OperationId id);
  bool has_inherited(OperationId id);
  void complete(const primitives::Completion& completion, bool server_spoke);
  primitives::Machine& machine() { return session_.machine(); }

  primitives::Session& session_;
  const base::Time& now_;
  OperationId last_id_ = 0;
  Records records_;                  // of what has not ended
  std::set<std::string> asked_for_;  // operations that the server has heard of
};

}  // namespace dsync::fuzz
