#include "primitives/machine.h"

#include <algorithm>
#include <utility>

#include "primitives/commands.h"

namespace dsync::primitives {

using State = Operation::State;

namespace {

// A question whose answer nobody wants. Calls are carried out even so.
bool is_unwanted(const Operation& operation) {
  return operation.state == State::kAsking && operation.orphan &&
         operation.question->meaning != Question::Meaning::kCall;
}

}  // namespace

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
  operation.local = request.local && request.queueing && request.window == base::Duration::zero();
  return begin_waiting(std::move(claim), std::move(operation), now);
}

OperationId Machine::relock(OperationId held, base::Duration poll_delay, base::Time now) {
  const auto& former = *operations_.at(held).claim;
  // Nothing renews it from here on: it may be given back at any moment.
  stop_holding(former);
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
  const auto id = begin_waiting(std::move(claim), std::move(operation), now);
  call_oldest(former.key, now);
  return id;
}

OperationId Machine::begin_waiting(std::shared_ptr<Claim> claim, Operation operation,
                                   base::Time now) {
  const auto id = next_id();
  claim->id = id;
  claim->operation = session_ + ':' + std::to_string(id);
  operation.claim = std::move(claim);
  auto& added = operations_.emplace(id, std::move(operation)).first->second;
  if (added.deadline != base::kNever) deadlines_.emplace(added.deadline, id);
  if (has_topic(added.claim->kind)) topics_.add(id, *added.claim, now);
  if (added.local) join_local_queue(id, added, now);
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

bool Machine::release(OperationId id, base::Time now) {
  auto& operation = operations_.at(id);
  if (hand_on(id, operation, now)) {
    operations_.erase(id);
    return true;
  }
  stop_holding(*operation.claim);
  if (operation.state == State::kLost) {
    // The loss stands, whatever the server says now; but nothing of it may stay there.
    complete(id, Outcome::kNotHeld);
    operation.orphan = true;
  }
  operation.state = State::kReleasing;
  operation.released = true;
  send(id, operation, now);
  call_oldest(operation.claim->key, now);
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
      stop_holding(*it->second.claim);
      it->second.state = State::kReleasing;
      send(id, it->second, now);
      return call_oldest(it->second.claim->key, now);
    case State::kAsking:
      if (!it->second.in_flight && is_unwanted(it->second)) operations_.erase(it);
      return;
    case State::kReleasing:
      return;
  }
}

void Machine::forget(OperationId id, base::Time now) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || !it->second.rests()) return;
  const auto& claim = *it->second.claim;
  stop_holding(claim);
  if (it->second.state == State::kHeld) {
    forgotten_.emplace(claim.valid(), id);
  } else {
    operations_.erase(it);
  }
  while (!forgotten_.empty() && forgotten_.begin()->first <= now) {
    operations_.erase(forgotten_.begin()->second);
    forgotten_.erase(forgotten_.begin());
  }
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

std::vector<OperationId> Machine::take_losses() {
  for (const auto id : losses_->take()) lose(id);
  return std::exchange(lost_, {});
}

bool Machine::holds(OperationId id) const {
  const auto it = operations_.find(id);
  return it != operations_.end() && it->second.state == State::kHeld;
}

void Machine::lose(OperationId id) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || it->second.state != State::kHeld) return;
  it->second.state = State::kLost;
  it->second.claim->invalidate();
  stop_holding(*it->second.claim);
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
  stop_waiting(id, operation, now);
  end_former(operation, false);
  operation.state = State::kHeld;
  operation.granted = true;
  operation.fence = fence;
  operation.since = now;
  if (operation.local) local_.hold(claim->key, id);
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

void Machine::stop_waiting(OperationId id, const Operation& operation, base::Time now) {
  if (operation.deadline != base::kNever) deadlines_.erase({operation.deadline, id});
  plan(operation).remove(operation.claim->key, id);
  plan(operation).remove(operation.claim->operation, id);
  if (has_topic(operation.claim->kind)) topics_.remove(id, *operation.claim, now);
  if (operation.local) local_.leave(operation.claim->key, id);
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
  std::erase_if(operations_, [](const auto& entry) { return is_unwanted(entry.second); });
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
