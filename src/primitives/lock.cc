#include "primitives/lock.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "primitives/names.h"

namespace dsync::primitives {
namespace {

using State = Operation::State;

// How long a fence outlives its lease: longer than a server's clock steps back.
constexpr base::Duration kFenceKept = std::chrono::minutes(10);

std::int64_t milliseconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// Reads the number that `text` starts with, and gives what is left.
std::string_view take_number(std::string_view text, std::int64_t& number) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return text.substr(static_cast<std::size_t>(result.ptr - text.data()));
}

// The end of a lease of `lease` that began at `from`.
base::Time lease_end(base::Time from, base::Duration lease) {
  return lease == kNoExpiry ? base::kNever : base::after(from, lease);
}

// Whether it needs nothing of the server.
bool rests(const Operation& operation) {
  return operation.state == State::kHeld || operation.state == State::kLost;
}

}  // namespace

LockMachine::LockMachine(client::Client& client, std::string session,
                         std::shared_ptr<LeaseTable> leases, std::shared_ptr<LossInbox> losses,
                         std::uint32_t seed)
    : client_(client),
      session_(std::move(session)),
      leases_(std::move(leases)),
      losses_(std::move(losses)),
      plan_(seed) {}

client::Cookie LockMachine::cookie(OperationId id, Verb verb) {
  return id << 2 | static_cast<client::Cookie>(verb);
}

void LockMachine::complete(OperationId id, Outcome outcome, base::Error error) {
  completions_.push_back({id, outcome, std::move(error)});
}

// ---- calls ----

OperationId LockMachine::acquire(const Request& request, base::Time now) {
  const auto id = next_id();
  auto claim = std::make_shared<Claim>();
  claim->id = id;
  claim->key = request.key;
  claim->token = request.token;
  claim->operation = session_ + ':' + std::to_string(id);
  claim->lease = request.lease;
  claim->renewed = request.renewed;
  auto& operation = operations_[id];
  operation.state = State::kWaiting;
  operation.claim = std::move(claim);
  operation.queueing = request.queueing;
  operation.poll_delay = request.poll_delay;
  operation.deadline = request.deadline;
  if (operation.deadline != base::kNever) deadlines_.emplace(operation.deadline, id);
  send(id, operation, now);
  return id;
}

void LockMachine::release(OperationId id, base::Time now) {
  auto& operation = operations_.at(id);
  leases_->remove(*operation.claim);
  if (operation.state == State::kLost) {
    // The loss stands, whatever the server says now; but nothing of it may stay there.
    complete(id, Outcome::kNotHeld);
    operation.orphan = true;
  }
  operation.state = State::kReleasing;
  send(id, operation, now);
}

void LockMachine::abandon(OperationId id, base::Time now) {
  const auto it = operations_.find(id);
  if (it == operations_.end()) return;
  it->second.orphan = true;
  switch (it->second.state) {
    case State::kWaiting:
      return withdraw(it, now);
    case State::kHeld:
    case State::kLost:
      leases_->remove(*it->second.claim);
      it->second.state = State::kReleasing;
      return send(id, it->second, now);
    case State::kReleasing:
    case State::kAsking:
      return;
  }
}

void LockMachine::forget(OperationId id) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || !rests(it->second)) return;
  leases_->remove(*it->second.claim);
  operations_.erase(it);
}

OperationId LockMachine::confirm(OperationId id, base::Duration lease, base::Time now) {
  const auto question = next_id();
  auto& operation = operations_[question];
  const auto& subject = operations_.at(id);
  operation.state = State::kAsking;
  operation.claim = subject.claim;
  operation.subject = id;
  operation.wanted = lease;
  if (subject.state == State::kHeld) {
    send(question, operation, now);
  } else {
    operations_.erase(question);
    complete(question, Outcome::kNotHeld);
  }
  return question;
}

OperationId LockMachine::locked(std::string_view key, base::Time now) {
  const auto id = next_id();
  auto& operation = operations_[id];
  operation.state = State::kAsking;
  operation.question = key;
  send(id, operation, now);
  return id;
}

base::Duration LockMachine::valid_for(OperationId id, base::Time now) const {
  const auto valid = operations_.at(id).claim->valid();
  if (valid == base::kNever) return base::Duration::max();
  return std::max(valid - now, base::Duration::zero());
}

std::vector<OperationId> LockMachine::take_losses() {
  for (const auto id : losses_->take()) lose(id);
  return std::exchange(lost_, {});
}

void LockMachine::lose(OperationId id) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || it->second.state != State::kHeld) return;
  it->second.state = State::kLost;
  it->second.claim->invalidate();
  leases_->remove(*it->second.claim);
  lost_.push_back(id);
}

void LockMachine::give_up(const base::Error& error) {
  for (auto it = operations_.begin(); it != operations_.end();) {
    const auto current = it++;
    auto& [id, operation] = *current;
    const bool patient = operation.state == State::kWaiting && operation.deadline != base::kNever;
    if (rests(operation) || patient || operation.orphan) continue;
    complete(id, Outcome::kFailed, error);
    operation.orphan = true;
    if (operation.state == State::kAsking) {
      operations_.erase(current);
    } else if (operation.state == State::kWaiting) {
      withdraw(current, base::Time());
    }
  }
}

void LockMachine::abandon_all(base::Time now) {
  std::vector<OperationId> ids;
  for (const auto& [id, operation] : operations_) ids.push_back(id);
  for (const auto id : ids) abandon(id, now);
}

void LockMachine::forget_all() {
  for (const auto& [id, operation] : operations_) {
    if (operation.claim) leases_->remove(*operation.claim);
  }
  operations_.clear();
  deadlines_.clear();
  plan_.clear();
}

bool LockMachine::wants_link(bool awaited) const {
  return std::ranges::any_of(operations_, [awaited](const auto& entry) {
    return !rests(entry.second) && !(awaited && entry.second.orphan);
  });
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
  call << claim.token << claim.operation << milliseconds(claim.lease)
       << (operation.queueing ? milliseconds(claim.first_lease()) : -1)
       << milliseconds(claim.lease + kFenceKept);
}

void LockMachine::send_release(OperationId id, Operation& operation, base::Time now) {
  const auto& claim = *operation.claim;
  const auto queue = beside(claim.key, kQueueSuffix);
  const auto fence = beside(claim.key, kFenceSuffix);
  operation.resent = std::exchange(operation.release_sent, true);
  auto call = client_.run(client::kLockRelease, 3, 3, cookie(id, Verb::kRelease), now);
  call << claim.key;
  call.parts({queue[0], queue[1], queue[2]}).parts({fence[0], fence[1], fence[2]});
  call << claim.token << claim.operation << milliseconds(claim.first_lease());
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
  call << claim.token << claim.operation << milliseconds(operation.wanted);
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
      return on_release_reply(it, reply);
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
    if (other != id && !waiter.in_flight) send(other, waiter, now);
  }
}

void LockMachine::on_release_reply(Operations::iterator it, resp::ReplyView reply) {
  const auto& [id, operation] = *it;
  if (!operation.orphan) {
    const auto code = reply.integer();
    if (!code) {
      complete(id, Outcome::kFailed, {base::ErrorKind::kServer, std::string(reply.text())});
    } else {
      // Sent twice, the first may have done it.
      complete(id, *code == 1 || operation.resent ? Outcome::kReleased : Outcome::kNotHeld);
    }
  }
  operations_.erase(it);
}

void LockMachine::on_answer(Operations::iterator it, resp::ReplyView reply) {
  const auto operation = std::move(it->second);
  const auto id = it->first;
  operations_.erase(it);
  const auto answer = reply.size() == 1 ? reply.at(0).integer() : reply.integer();
  if (!answer) {
    complete(id, Outcome::kFailed, {base::ErrorKind::kServer, std::string(reply.text())});
  } else if (!operation.claim) {
    complete(id, *answer == 0 ? Outcome::kFree : Outcome::kLocked);
  } else if (*answer == 0) {
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
  if (release) operation.release_sent = false;
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

void LockMachine::grant(OperationId id, Operation& operation, std::int64_t fence, base::Time from,
                        base::Duration lease) {
  stop_waiting(id, operation);
  operation.state = State::kHeld;
  operation.fence = fence;
  const auto& claim = operation.claim;
  claim->extend_to(lease_end(from, lease));
  leases_->add(claim, losses_, claim->next_renewal(from, lease));
  complete(id, Outcome::kGranted);
}

void LockMachine::withdraw(Operations::iterator it, base::Time now) {
  auto& [id, operation] = *it;
  stop_waiting(id, operation);
  if (operation.sent == base::kNever) {
    operations_.erase(it);
    return;
  }
  operation.orphan = true;
  operation.state = State::kReleasing;
  send(id, operation, now);
}

void LockMachine::stop_waiting(OperationId id, const Operation& operation) {
  if (operation.deadline != base::kNever) deadlines_.erase({operation.deadline, id});
  if (operation.queued) plan_.remove(operation.claim->key, id);
}

// ---- time and links ----

void LockMachine::on_ready(base::Time now) {
  // In the order in which they were asked, so that waiters queue again as they stood.
  std::vector<OperationId> ids;
  for (const auto& [id, operation] : operations_) ids.push_back(id);
  std::ranges::sort(ids);
  for (const auto id : ids) {
    auto& operation = operations_.at(id);
    send(id, operation, now);
  }
}

void LockMachine::on_lost() {
  plan_.clear();
  for (auto& [id, operation] : operations_) {
    operation.in_flight = operation.queued = false;
  }
}

void LockMachine::tick(base::Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto it = operations_.find(deadlines_.begin()->second);
    complete(it->first, Outcome::kTimedOut);
    withdraw(it, now);
  }
  for (const auto id : plan_.take_due(now)) {
    auto& operation = operations_.at(id);
    if (!operation.in_flight) send(id, operation, now);
  }
}

base::Time LockMachine::deadline() const {
  const auto first = deadlines_.empty() ? base::kNever : deadlines_.begin()->first;
  return std::min(first, plan_.next());
}

}  // namespace dsync::primitives
