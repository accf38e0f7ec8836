#include "primitives/lock.h"

#include <algorithm>
#include <utility>

namespace dsync::primitives {

using State = Operation::State;

LockMachine::LockMachine(client::Client& client, std::string session,
                         std::shared_ptr<LeaseTable> leases, std::shared_ptr<LossInbox> losses,
                         std::uint32_t seed)
    : client_(client),
      session_(std::move(session)),
      leases_(std::move(leases)),
      losses_(std::move(losses)),
      plan_(seed) {}

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
  if (it == operations_.end() || !it->second.rests()) return;
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

bool LockMachine::holds(OperationId id) const {
  const auto it = operations_.find(id);
  return it != operations_.end() && it->second.state == State::kHeld;
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
    if (operation.rests() || patient || operation.orphan) continue;
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
    return !entry.second.rests() && !(awaited && entry.second.orphan);
  });
}

// ---- changes of state ----

void LockMachine::grant(OperationId id, Operation& operation, std::int64_t fence, base::Time from,
                        base::Duration lease) {
  stop_waiting(id, operation);
  operation.state = State::kHeld;
  operation.fence = fence;
  const auto& claim = operation.claim;
  claim->extend_to(claim->lease_end(from, lease));
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
  plan_.remove(operation.claim->key, id);
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

void LockMachine::on_lost(base::Time now) {
  plan_.clear();
  for (auto& [id, operation] : operations_) {
    operation.in_flight = operation.queued = false;
    // The next server may have another clock; what it grants, it grants after this.
    operation.reference = now;
    operation.server_us = 0;
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
