// What the lock machine says to the server, and how it understands the answers: the C++ side of the
// headers in lua/lock_*.lua.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "primitives/lock.h"
#include "primitives/names.h"

namespace dsync::primitives {
namespace {

using State = Operation::State;

// How long a fence outlives its lease: longer than a server's clock steps back.
constexpr base::Duration kFenceKept = std::chrono::minutes(10);

// Reads the number that `text` starts with, and gives what is left.
std::string_view take_number(std::string_view text, std::int64_t& number) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return text.substr(static_cast<std::size_t>(result.ptr - text.data()));
}

}  // namespace

client::Cookie LockMachine::cookie(OperationId id, Verb verb) {
  return id << 2 | static_cast<client::Cookie>(verb);
}

// ---- commands ----

void LockMachine::send(OperationId id, Operation& operation, base::Time now) {
  if (!client_.ready()) return;
  operation.in_flight = true;
  switch (operation.state) {
    case State::kWaiting:
      return send_acquire(id, operation, now);
    case State::kReleasing:
      return send_release(id, operation, now);
    case State::kAsking:
      return send_question(id, operation, now);
    case State::kHeld:
    case State::kLost:
      operation.in_flight = false;
      return;
  }
}

void LockMachine::send_acquire(OperationId id, Operation& operation, base::Time now) {
  const auto& claim = *operation.claim;
  const auto queue = beside(claim.key, kQueueSuffix);
  const auto fence = beside(claim.key, kFenceSuffix);
  operation.sent = now;
  operation.reference = std::min(operation.reference, now);
  auto call = client_.run(client::kLockAcquire, 3, 5, cookie(id, Verb::kAcquire), now);
  call << claim.key;
  call.parts({queue[0], queue[1], queue[2]}).parts({fence[0], fence[1], fence[2]});
  call << claim.token << claim.operation << base::milliseconds(claim.lease)
       << (operation.queueing ? base::milliseconds(claim.first_lease()) : -1)
       << base::milliseconds(claim.lease) + base::milliseconds(kFenceKept);
}

void LockMachine::send_release(OperationId id, Operation& operation, base::Time now) {
  const auto& claim = *operation.claim;
  const auto queue = beside(claim.key, kQueueSuffix);
  const auto fence = beside(claim.key, kFenceSuffix);
  operation.resent = std::exchange(operation.release_sent, true);
  auto call = client_.run(client::kLockRelease, 3, 3, cookie(id, Verb::kRelease), now);
  call << claim.key;
  call.parts({queue[0], queue[1], queue[2]}).parts({fence[0], fence[1], fence[2]});
  call << claim.token << claim.operation << base::milliseconds(claim.first_lease());
}

void LockMachine::send_question(OperationId id, Operation& operation, base::Time now) {
  operation.sent = now;
  if (!operation.claim) {
    return client_.command({"EXISTS", operation.question}, cookie(id, Verb::kAsk), now);
  }
  const auto& claim = *operation.claim;
  const auto fence = beside(claim.key, kFenceSuffix);
  auto call = client_.run(client::kLockRenew, 2, 3, cookie(id, Verb::kAsk), now);
  call << claim.key;
  call.parts({fence[0], fence[1], fence[2]});
  call << claim.token << claim.operation << base::milliseconds(operation.wanted);
}

// ---- replies ----

void LockMachine::on_reply(client::Cookie cookie, resp::ReplyView reply, base::Time now) {
  const auto it = operations_.find(cookie >> 2);
  if (it == operations_.end()) return;
  it->second.in_flight = false;
  switch (static_cast<Verb>(cookie & 3)) {
    case Verb::kAcquire:
      return on_acquire_reply(it, reply, now);
    case Verb::kRelease:
      return on_release_reply(it, reply, now);
    case Verb::kAsk:
      return on_answer(it, reply);
  }
}

void LockMachine::on_acquire_reply(Operations::iterator it, resp::ReplyView reply, base::Time now) {
  auto& [id, operation] = *it;
  // Granted by a message, or withdrawn, while the question was on its way: the answer is old.
  if (operation.state != State::kWaiting) return;
  std::int64_t fence = 0;
  if (!reply.is_error()) take_number(reply.text(), fence);
  if (fence > 0) {
    grant(id, operation, fence, operation.sent, operation.claim->lease);
  } else if (reply.integer() == 0) {
    complete(id, Outcome::kBusy);
    stop_waiting(id, operation);
    operations_.erase(it);
  } else if (reply.size() == 5) {
    on_queued(id, operation, reply, now);
  } else {
    complete(id, Outcome::kFailed, {base::ErrorKind::kServer, std::string(reply.text())});
    withdraw(it, now);
  }
}

void LockMachine::on_queued(OperationId id, Operation& operation, resp::ReplyView reply,
                            base::Time now) {
  const auto field = [&](std::size_t index) { return reply.at(index).integer().value_or(0); };
  operation.reference = operation.sent;
  operation.server_us = field(3);
  const auto& key = operation.claim->key;
  plan_.queued(key, id,
               {.delay = operation.poll_delay,
                .rank = field(1),
                .length = field(2),
                .ttl = std::chrono::milliseconds(field(0))},
               now);
  const bool forgotten = field(4) == 1 && std::exchange(operation.queued, true);
  operation.queued = true;
  if (!forgotten) return;
  // The server has lost our place, so perhaps the places of the others too.
  for (const auto other : plan_.waiters(key)) {
    auto& waiter = operations_.at(other);
    if (other == id || waiter.in_flight) continue;
    waiter.queued = false;
    send(other, waiter, now);
  }
}

void LockMachine::on_release_reply(Operations::iterator it, resp::ReplyView reply, base::Time now) {
  const auto& [id, operation] = *it;
  if (!operation.orphan) {
    const auto code = reply.integer();
    if (!code) {
      complete(id, Outcome::kFailed, {base::ErrorKind::kServer, std::string(reply.text())});
    } else {
      // Sent twice, the first has done it, unless the lease was over by then.
      const bool done_before = operation.resent && now < operation.claim->valid();
      complete(id, *code == 1 || done_before ? Outcome::kReleased : Outcome::kNotHeld);
    }
  }
  operations_.erase(it);
}

void LockMachine::on_answer(Operations::iterator it, resp::ReplyView reply) {
  const auto operation = std::move(it->second);
  const auto id = it->first;
  operations_.erase(it);
  if (operation.orphan) return;
  const auto answer = reply.size() == 1 ? reply.at(0).integer() : reply.integer();
  if (!answer) {
    complete(id, Outcome::kFailed, {base::ErrorKind::kServer, std::string(reply.text())});
  } else if (!operation.claim) {
    complete(id, *answer == 0 ? Outcome::kFree : Outcome::kLocked);
  } else if (*answer == 0 || !holds(operation.subject)) {
    lose(operation.subject);
    complete(id, Outcome::kNotHeld);
  } else {
    if (operation.wanted != base::Duration::zero()) {
      operation.claim->extend_to(base::after(operation.sent, operation.wanted));
    }
    complete(id, Outcome::kHeld);
  }
}

void LockMachine::on_resend(client::Cookie cookie, base::Time now) {
  const auto it = operations_.find(cookie >> 2);
  if (it == operations_.end()) return;
  auto& [id, operation] = *it;
  const bool release = static_cast<Verb>(cookie & 3) == Verb::kRelease;
  if (release) operation.release_sent = operation.resent;
  // An acquire of an operation that is being released by now is wanted no more.
  if (release == (operation.state == State::kReleasing)) send(id, operation, now);
}

void LockMachine::on_message(std::string_view message, base::Time now) {
  // "<session>:<id> <fencing token> <seconds> <microseconds>", the time being the server's
  if (!message.starts_with(session_)) return;
  std::array<std::int64_t, 4> fields{};
  auto rest = message.substr(session_.size());
  for (auto& field : fields) {
    if (rest.empty()) return;
    rest = take_number(rest.substr(1), field);
  }
  const auto [number, fence, seconds, microseconds] = fields;
  const auto id = static_cast<OperationId>(number);
  const auto it = operations_.find(id);
  // Of an operation that was withdrawn: the withdrawal that follows frees the lock.
  if (it == operations_.end() || it->second.state != State::kWaiting) return;
  auto& operation = it->second;
  auto granted = operation.reference;
  if (operation.server_us != 0) {
    granted += std::chrono::microseconds(seconds * 1'000'000 + microseconds - operation.server_us);
  }
  grant(id, operation, fence, std::clamp(granted, base::Time(), now),
        operation.claim->first_lease());
}

}  // namespace dsync::primitives
