// How a lock changes hands within the session, without the server.
//
// The heir takes over the claim of the one that releases: for the server, and for the renewal, it
// still is the same operation that holds the lock. So whatever is said to the server in its name
// (release, renewal, wait of a condition) is right, and a loss reaches whoever has the claim by
// then.
#include <algorithm>
#include <limits>
#include <utility>

#include "primitives/machine.h"

namespace dsync::primitives {

using State = Operation::State;

// Whether a lock that was granted at `since` may be handed on here at `now`.
static bool is_fresh(base::Time since, base::Time now) { return now - since < kLocalTime; }

// Whether a new waiter may soon get the lock from somebody here. Once the others wait at the server
// for long, the order of the server's queue is all that counts.
bool Machine::may_inherit(const LocalQueue& queue, base::Time now) const {
  if (const auto holder = operations_.find(queue.holder); holder != operations_.end()) {
    return holder->second.state == State::kHeld && is_fresh(holder->second.since, now);
  }
  const auto oldest = operations_.find(queue.oldest());
  return oldest != operations_.end() && is_fresh(oldest->second.since, now);
}

void Machine::join_local_queue(OperationId id, Operation& operation, base::Time now) {
  auto& queue = local_.join(operation.claim->key);
  operation.local = &queue;
  operation.since = now;
  operation.stays = may_inherit(queue, now);
  if (operation.stays) {
    local_.stay_until(now + kStayTime, id);
  } else {
    send_those_who_stay(queue, now);
  }
  queue.waiters.push_back(id);
}

// Nobody here overtakes another, so those at the server are always older than those who stay.
void Machine::send_those_who_stay(const LocalQueue& queue, base::Time now) {
  const auto& waiters = queue.waiters;
  const auto at_server = [&](OperationId id) { return !operations_.at(id).stays; };
  const auto first = std::find_if(waiters.rbegin(), waiters.rend(), at_server).base();
  for (auto it = first; it != waiters.end(); ++it) go_to_server(*it, operations_.at(*it), now);
}

bool Machine::hand_on(OperationId id, Operation& operation, base::Time now) {
  auto* const queue = operation.local;
  if (queue == nullptr || queue->holder != id || operation.state != State::kHeld) return false;
  const auto next = queue->oldest();
  if (next == 0 || operation.turn == kLocalTurns || !is_fresh(operation.since, now)) return false;
  // Whatever a server says is the token.
  if (operation.fence == std::numeric_limits<std::int64_t>::max()) return false;
  const auto& claim = operation.claim;
  auto& heir = operations_.at(next);
  const bool alike = heir.claim->lease == claim->lease && heir.claim->renewed == claim->renewed;
  // The heir is promised a lease of its own, which only renewals can make it.
  const bool lasts = claim->lease == kNoExpiry ||
                     (claim->renewed && claim->valid() - now > claim->first_lease() / 2);
  if (!alike || !lasts) return false;
  queue->holder = next;
  stop_waiting(next, heir, now);
  if (heir.sent != base::kNever) withdraw_place(heir, now);
  heir.claim = claim;
  // From here on the renewal tells the heir of a loss. One that was told to its predecessor has
  // ended the claim before, so the heir does not take it for valid.
  claim->id = next;
  heir.stays = false;
  heir.state = State::kHeld;
  heir.granted = true;
  heir.fence = operation.fence + 1;
  heir.turn = operation.turn + 1;
  heir.since = operation.since;
  leave_local_queue(operation);
  complete(next, Outcome::kGranted);
  return true;
}

// Takes back the place that the operation has at the server, which is an operation of its own now.
void Machine::withdraw_place(const Operation& operation, base::Time now) {
  const auto id = next_id();
  auto& place = operations_[id];
  place.state = State::kReleasing;
  place.orphan = true;
  place.claim = operation.claim;
  send(id, place, now);
}

void Machine::call_oldest(Operation& operation, base::Time now) {
  if (operation.local == nullptr) return;
  const auto it = operations_.find(operation.local->oldest());
  if (it != operations_.end()) go_to_server(it->first, it->second, now);
  leave_local_queue(operation);
}

void Machine::go_to_server(OperationId id, Operation& operation, base::Time now) {
  if (!std::exchange(operation.stays, false)) return;
  operation.since = now;
  send(id, operation, now);
}

void Machine::stop_holding(Operation& operation) {
  leases_->remove(*operation.claim);
  auto* const queue = operation.local;
  if (queue != nullptr && queue->holder == operation.claim->id) queue->holder = 0;
}

void Machine::leave_local_queue(Operation& operation) {
  auto* const queue = std::exchange(operation.local, nullptr);
  if (queue != nullptr) local_.leave(operation.claim->key, *queue);
}

}  // namespace dsync::primitives
