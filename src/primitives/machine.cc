#include "primitives/machine.h"

#include <algorithm>
#include <utility>

#include "primitives/commands.h"

namespace dsync::primitives {

using State = Operation::State;

Machine::Machine(client::Client& client, std::string session, std::shared_ptr<LeaseTable> leases,
                 std::shared_ptr<LossInbox> losses, std::uint32_t seed)
    : client_(client),
      session_(std::move(session)),
      leases_(std::move(leases)),
      losses_(std::move(losses)),
      plan_(seed),
      notification_plan_(seed),
      topics_(client) {}

void Machine::complete(OperationId id, Outcome outcome, base::Error error) {
  completions_.push_back({id, outcome, std::move(error)});
}

std::vector<OperationId> Machine::ids() const {
  std::vector<OperationId> result;
  for (const auto& [id, operation] : operations_) result.push_back(id);
  std::ranges::sort(result);
  return result;
}

PollPlan& Machine::plan(const Operation& operation) {
  const auto kind = operation.claim->kind;
  const bool notification = kind == Kind::kCondition || kind == Kind::kRelock;
  return notification ? notification_plan_ : plan_;
}

// ---- calls ----

OperationId Machine::acquire(const Request& request, base::Time now) {
  auto claim = std::make_shared<Claim>();
  claim->key = request.key;
  claim->token = request.token;
  claim->lease = request.lease;
  claim->renewed = request.renewed;
  claim->kind = request.kind;
  claim->bounded = request.bounded;
  claim->number = request.number;
  claim->window = request.window;
  Operation operation;
  operation.queueing = request.queueing;
  operation.poll_delay = request.poll_delay;
  operation.deadline = request.deadline;
  // What leaves the lock free for old processes must not keep it from them either.
  const bool local = request.local && request.queueing && request.window == base::Duration::zero();
  return begin_waiting(std::move(claim), std::move(operation), local, now);
}

OperationId Machine::relock(OperationId held, base::Duration poll_delay, base::Time now) {
  const auto& former = *operations_.at(held).claim;
  // Nothing renews it from here on: it may be given back at any moment.
  stop_holding(operations_.at(held));
  auto claim = std::make_shared<Claim>();
  claim->key = former.key;
  claim->token = former.token;
  claim->lease = former.lease;
  claim->renewed = former.renewed;
  claim->kind = Kind::kRelock;
  claim->window = former.window;
  Operation operation;
  operation.queueing = true;
  operation.poll_delay = poll_delay;
  operation.subject = held;
  const auto id = begin_waiting(std::move(claim), std::move(operation), false, now);
  call_oldest(operations_.at(held), now);
  return id;
}

OperationId Machine::begin_waiting(std::shared_ptr<Claim> claim, Operation operation, bool local,
                                   base::Time now) {
  const auto id = next_id();
  claim->id = id;
  claim->operation = session_ + ':' + std::to_string(id);
  operation.claim = std::move(claim);
  auto& added = operations_.emplace(id, std::move(operation)).first->second;
  if (added.deadline != base::kNever) deadlines_.emplace(added.deadline, id);
  if (has_topic(added.claim->kind)) topics_.add(id, *added.claim, now);
  if (local) join_local_queue(id, added, now);
  send(id, added, now);
  return id;
}

Outcome Machine::rejoin(OperationId id, base::Time now) {
  const auto it = operations_.find(id);
  if (it == operations_.end()) return Outcome::kNotHeld;
  auto& operation = it->second;
  if (operation.state == State::kHeld) return Outcome::kHeld;
  if (operation.state != State::kWaiting) return Outcome::kNotHeld;
  operation.leaving = true;
  operation.queued = false;
  if (operation.in_flight) {
    operation.stale = true;
  } else {
    send(id, operation, now);
  }
  return Outcome::kBusy;
}

void Machine::settle(OperationId id, bool is_used, base::Time now) {
  auto& operation = operations_.at(id);
  if (operation.state == State::kTold) {
    operation.state = State::kReleasing;
    operation.orphan = true;
    operation.knows = is_used;
    return send(id, operation, now);
  }
  if (operation.claim->kind != Kind::kRelock) return;
  const auto notification = next_id();
  auto& added = operations_[notification];
  added.state = State::kReleasing;
  added.claim = operations_.at(id).claim;
  added.orphan = added.only_notification = true;
  added.knows = is_used;
  send(notification, added, now);
}

OperationId Machine::confirm(OperationId id, base::Duration lease, base::Time now) {
  const auto& subject = operations_.at(id);
  if (subject.state != State::kHeld) {
    const auto answered = next_id();
    complete(answered, Outcome::kNotHeld);
    return answered;
  }
  const auto claim = subject.claim;
  const auto asked = ask(confirm_question(*claim, lease), now);
  auto& operation = operations_.at(asked);
  operation.claim = claim;
  operation.subject = id;
  operation.wanted = lease;
  return asked;
}

OperationId Machine::notify(OperationId holder, std::int64_t count, base::Time now) {
  const auto called = ask(notify_call(*operations_.at(holder).claim, count), now);
  operations_.at(called).subject = holder;
  return called;
}

OperationId Machine::ask(Question question, base::Time now) {
  const auto id = next_id();
  auto& operation = operations_[id];
  operation.state = State::kAsking;
  operation.question = std::make_unique<Question>(std::move(question));
  send(id, operation, now);
  return id;
}

base::Duration Machine::valid_for(OperationId id, base::Time now) const {
  const auto valid = operations_.at(id).claim->valid();
  if (valid == base::kNever) return base::Duration::max();
  return std::max(valid - now, base::Duration::zero());
}

bool Machine::holds(OperationId id) const {
  const auto it = operations_.find(id);
  return it != operations_.end() && it->second.state == State::kHeld;
}

bool Machine::wants_link(bool awaited) const {
  return std::ranges::any_of(operations_, [awaited](const auto& entry) {
    return !entry.second.rests() && !(awaited && entry.second.orphan);
  });
}

// ---- changes of state ----

void Machine::grant(OperationId id, Operation& operation, std::int64_t fence, base::Time from,
                    base::Duration lease, base::Time now) {
  const auto& claim = operation.claim;
  if (!claim->is_held()) return tell(id, Outcome::kGranted, now);
  if (operation.local != nullptr) operation.local->holder = id;
  stop_waiting(id, operation, now);
  end_former(operation, false);
  operation.state = State::kHeld;
  operation.granted = true;
  operation.fence = fence;
  operation.since = now;
  claim->extend_to(claim->lease_end(from, lease));
  leases_->add(claim, losses_, claim->next_renewal(from, lease));
  complete(id, Outcome::kGranted);
}

void Machine::tell(OperationId id, Outcome outcome, base::Time now) {
  auto& operation = operations_.at(id);
  stop_waiting(id, operation, now);
  complete(id, outcome);
  switch (operation.claim->kind) {
    case Kind::kEvent:
      operations_.erase(id);
      return;
    case Kind::kBarrier:
      operation.orphan = true;
      operation.state = State::kReleasing;
      return send(id, operation, now);
    default:
      operation.state = State::kTold;
  }
}

void Machine::end_former(Operation& operation, bool still_held) {
  const auto it = operations_.find(std::exchange(operation.subject, 0));
  if (it == operations_.end()) return;
  const auto& claim = it->second.claim;
  if (still_held) {
    // It is to be renewed at once: nothing did that meanwhile.
    leases_->add(claim, losses_, base::Time());
  } else {
    operations_.erase(it);
  }
}

void Machine::stop_waiting(OperationId id, Operation& operation, base::Time now) {
  if (operation.deadline != base::kNever) deadlines_.erase({operation.deadline, id});
  plan(operation).remove(operation.claim->key, id);
  plan(operation).remove(operation.claim->operation, id);
  if (has_topic(operation.claim->kind)) topics_.remove(id, *operation.claim, now);
  if (operation.local == nullptr) return;
  operation.local->remove(id);
  if (operation.local->holder != id) leave_local_queue(operation);
}

// ---- time and links ----

void Machine::on_ready(base::Time now) {
  topics_.on_ready(now);
  // In the order in which they were asked, so that waiters queue again as they stood.
  for (const auto id : ids()) send(id, operations_.at(id), now);
}

void Machine::on_room(base::Time now) {
  topics_.on_room(now);
  for (const auto id : ids()) {
    auto& operation = operations_.at(id);
    if (operation.unsent) send(id, operation, now);
  }
}

void Machine::on_lost(base::Time now) {
  std::erase_if(operations_, [](const auto& entry) { return entry.second.is_unwanted(); });
  plan_.clear();
  notification_plan_.clear();
  topics_.on_lost();
  for (auto& [id, operation] : operations_) {
    // A call that was on its way may have been executed.
    if (operation.state == State::kAsking && operation.in_flight) operation.resent = true;
    operation.in_flight = operation.queued = operation.stale = operation.unsent = false;
    // The next server may have another clock; what it grants, it grants after this.
    operation.reference = now;
    operation.server_us = 0;
  }
}

void Machine::tick(base::Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto it = operations_.find(deadlines_.begin()->second);
    complete(it->first, Outcome::kTimedOut);
    withdraw(it, now);
  }
  for (auto* plan : {&plan_, &notification_plan_}) {
    for (const auto id : plan->take_due(now)) {
      auto& operation = operations_.at(id);
      if (!operation.in_flight) send(id, operation, now);
    }
  }
  for (const auto id : local_.take_due(now)) {
    const auto it = operations_.find(id);
    if (it != operations_.end()) go_to_server(id, it->second, now);
  }
  topics_.tick(now);
}

base::Time Machine::deadline() const {
  const auto first = deadlines_.empty() ? base::kNever : deadlines_.begin()->first;
  return std::min(
      {first, plan_.next(), notification_plan_.next(), topics_.deadline(), local_.next()});
}

}  // namespace dsync::primitives
