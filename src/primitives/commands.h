// What the primitives say to the server: the C++ side of the headers in lua/. How the answers are
// understood stands in machine_wire.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "client/client.h"
#include "primitives/claim.h"
#include "primitives/operation.h"

namespace dsync::primitives {

// Where a command goes, and what comes back with its answer.
struct Route {
  client::Client& client;
  client::Cookie cookie;
  base::Time now;
};

// The command that asks for what the operation waits for. `former` is the operation that has the
// lock which a relock gives back, while that is not known to have happened.
void send_wait(const Route& route, const Operation& operation, std::string_view former);

// The command that ends it: a release, a withdrawal or a confirmation. Not for events, which leave
// nothing.
void send_leave(const Route& route, const Operation& operation);

// Ends the part of a relock that is about the notification; nobody asks what came of it.
void send_condition_leave(const Route& route, const Claim& claim, bool knows);

// `operation` is the name of the call itself, "<session>:<id>".
void send_question(const Route& route, const Question& question, std::string_view operation,
                   bool again);

// Whether a claim is held, which makes its lease last at least `lease`.
Question confirm_question(const Claim& claim, base::Duration lease);
Question locked_question(std::string_view lock);
Question free_slots_question(std::string_view semaphore, std::int64_t value);
Question waiting_question(std::string_view barrier);
Question is_set_question(std::string_view event);

Question drop_call(std::string_view lock);
Question add_call(std::string_view semaphore, std::int64_t value, bool bounded);
Question notify_call(const Claim& holder, std::int64_t count);
Question end_call(std::string_view barrier, std::string_view word);
Question set_call(std::string_view event, bool value);

// The kinds' own parts of send_wait() and send_leave().
void send_lock_acquire(const Route& route, const Operation& operation);
void send_lock_release(const Route& route, const Operation& operation);
void send_semaphore_acquire(const Route& route, const Operation& operation);
void send_semaphore_release(const Route& route, const Operation& operation);
void send_condition_wait(const Route& route, const Operation& operation, std::string_view former);
void send_barrier_wait(const Route& route, const Operation& operation);
void send_barrier_leave(const Route& route, const Operation& operation);

// How long a fence outlives its lease: longer than a server's clock steps back.
inline constexpr base::Duration kFenceKept = std::chrono::minutes(10);

// Writes the name of a key beside `main`.
void write_beside(client::Client::Call& call, std::string_view main,
                  std::string_view braced_suffix);

// Writes the lease that a grant by message begins with; -1 where the operation is not to queue.
inline std::int64_t first_lease_ms(const Operation& operation) {
  return operation.queueing ? base::milliseconds(operation.claim->first_lease()) : -1;
}

}  // namespace dsync::primitives
