// How what an operation has, or waits for, comes to its end.
#include <utility>

#include "primitives/machine.h"

namespace dsync::primitives {

using State = Operation::State;

bool Machine::release(OperationId id, base::Time now) {
  auto& operation = operations_.at(id);
  if (hand_on(id, operation, now)) {
    operations_.erase(id);
    return true;
  }
  stop_holding(operation);
  if (operation.state == State::kLost) {
    // The loss stands, whatever the server says now; but nothing of it may stay there.
    complete(id, Outcome::kNotHeld);
    operation.orphan = true;
  }
  operation.state = State::kReleasing;
  operation.released = true;
  send(id, operation, now);
  call_oldest(operation, now);
  return false;
}

void Machine::abandon(OperationId id, base::Time now) {
  const auto it = operations_.find(id);
  if (it == operations_.end()) return;
  it->second.orphan = true;
  switch (it->second.state) {
    case State::kWaiting:
      return withdraw(it, now);
    case State::kHeld:
    case State::kTold:
    case State::kLost:
      if (hand_on(id, it->second, now)) {
        operations_.erase(id);
        return;
      }
      stop_holding(it->second);
      it->second.state = State::kReleasing;
      send(id, it->second, now);
      return call_oldest(it->second, now);
    case State::kAsking:
      if (!it->second.in_flight && it->second.is_unwanted()) operations_.erase(it);
      return;
    case State::kReleasing:
      return;
  }
}

void Machine::forget(OperationId id, base::Time now) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || !it->second.rests()) return;
  stop_holding(it->second);
  leave_local_queue(it->second);
  // What was not to be renewed is not to depend on this process.
  if (it->second.state == State::kHeld && it->second.claim->renewed) {
    forgotten_.emplace(it->second.claim->valid(), id);
  } else {
    operations_.erase(it);
  }
  while (!forgotten_.empty() && forgotten_.begin()->first <= now) {
    operations_.erase(forgotten_.begin()->second);
    forgotten_.erase(forgotten_.begin());
  }
}

std::vector<OperationId> Machine::take_losses() {
  for (const auto id : losses_->take()) lose(id);
  return std::exchange(lost_, {});
}

void Machine::lose(OperationId id) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || it->second.state != State::kHeld) return;
  it->second.state = State::kLost;
  it->second.claim->invalidate();
  stop_holding(it->second);
  leave_local_queue(it->second);
  lost_.push_back(id);
}

void Machine::give_up(const base::Error& error) {
  for (auto it = operations_.begin(); it != operations_.end();) {
    const auto current = it++;
    auto& [id, operation] = *current;
    const bool patient = operation.state == State::kWaiting && operation.deadline != base::kNever;
    const bool asks = operation.state == State::kAsking;
    if (operation.rests() || patient || (operation.orphan && !asks)) continue;
    if (!std::exchange(operation.orphan, true)) complete(id, Outcome::kFailed, error);
    if (asks) {
      operations_.erase(current);
    } else if (operation.state == State::kWaiting) {
      withdraw(current, base::Time());
    }
  }
}

void Machine::abandon_all(base::Time now) {
  for (const auto id : ids()) abandon(id, now);
}

void Machine::forget_all() {
  for (const auto& [id, operation] : operations_) {
    if (operation.claim) leases_->remove(*operation.claim);
  }
  operations_.clear();
  deadlines_.clear();
  plan_.clear();
  notification_plan_.clear();
  topics_.clear();
  local_.clear();
  forgotten_.clear();
}

void Machine::withdraw(Operations::iterator it, base::Time now) {
  auto& [id, operation] = *it;
  stop_waiting(id, operation, now);
  const auto former = std::exchange(operation.subject, 0);
  const auto claim = operation.claim;
  const auto heard = operation.heard;
  if (operation.sent == base::kNever || operation.claim->kind == Kind::kEvent) {
    operations_.erase(it);
  } else {
    operation.orphan = true;
    operation.state = State::kReleasing;
    send(id, operation, now);
  }
  if (former != 0) abandon(former, now);
  if (heard != Operation::Heard::kNothing) {
    hear(topic_of(claim->kind, claim->key).channel, heard, now);
  }
}

}  // namespace dsync::primitives
