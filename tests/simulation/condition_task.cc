#include "condition_task.h"

#include <array>

#include "world.h"

namespace dsync::simulation {

using namespace std::chrono_literals;
using primitives::Kind;
using primitives::Outcome;

namespace {

constexpr std::array<base::Duration, 4> kPatience{5ms, 100ms, 1s, 8s};

}  // namespace

// ---- waiting ----

void WaiterTask::acquire() {
  has_waited_ = is_cancelled_ = false;
  has_lock_ = world_.random.one_in(2);
  if (has_lock_) return LeasedTask::acquire();
  --rounds_;
  const auto id = node_.machine().acquire({.key = key_,
                                           .token = {},
                                           .lease = primitives::kNoExpiry,
                                           .renewed = false,
                                           .queueing = true,
                                           .poll_delay = world_.plan.poll_delay,
                                           .deadline = base::kNever,
                                           .kind = Kind::kCondition},
                                          node_.now());
  wait_for(id);
}

void WaiterTask::use() {
  if (has_waited_) return end_hold();
  world_.leases().end_hold(node_, id_);
  former_ = id_;
  wait_for(node_.machine().relock(id_, world_.plan.poll_delay, node_.now()));
}

void WaiterTask::wait_for(OperationId id) {
  id_ = id;
  has_waited_ = true;
  state_ = State::kElsewhere;
  node_.route(id_, *this);
  world_.trace(node_.name(), [&] {
    return "waits by " + std::to_string(id_) + (has_lock_ ? " with the lock" : "");
  });
  if (world_.random.one_in(4)) node_.plan(*this, world_.random.pick(kPatience));
}

void WaiterTask::act_elsewhere() {
  if (world_.is_calm()) return;
  is_cancelled_ = true;
  world_.trace(node_.name(), [&] { return "is cancelled in " + std::to_string(id_); });
  if (!has_lock_) {
    node_.machine().abandon(id_, node_.now());
    return end_round();
  }
  // It has the lock again before the cancellation goes on.
  if (node_.machine().rejoin(id_, node_.now()) == Outcome::kNotHeld) end_round();
}

void WaiterTask::completed(const primitives::Completion& completion) {
  if (state_ != State::kElsewhere) return LeasedTask::completed(completion);
  if (completion.id != id_) return;
  world_.trace(node_.name(), [&] {
    return std::to_string(id_) + " ends to wait with " +
           std::to_string(static_cast<int>(completion.outcome));
  });
  if (completion.outcome != Outcome::kGranted) {
    if (has_lock_ && node_.machine().holds(former_)) {
      // The server has refused to begin, so the lock was never given back.
      id_ = former_;
      return hold();
    }
    if (completion.outcome == Outcome::kFailed) node_.machine().abandon(id_, node_.now());
    return end_round();
  }
  on_woken();
}

void WaiterTask::on_woken() {
  if (!is_cancelled_) world_.notifications().check_woken(node_, id_);
  const bool is_used = !is_cancelled_ && !world_.random.one_in(6);
  node_.machine().settle(id_, is_used, node_.now());
  if (!has_lock_) return end_round();
  on_granted();
}

// ---- notifying ----

void NotifierTask::acquire() {
  call_ = 0;
  LeasedTask::acquire();
}

std::int64_t NotifierTask::count() {
  return world_.random.one_in(4) ? -1 : world_.random.between(std::int64_t{0}, std::int64_t{3});
}

void NotifierTask::use() {
  if (call_ != 0) return end_hold();
  call_ = node_.machine().notify(id_, count(), node_.now());
  node_.route(call_, *this);
  world_.trace(node_.name(), [&] { return "notifies by " + std::to_string(call_); });
}

void NotifierTask::completed(const primitives::Completion& completion) {
  if (completion.id != call_ || state_ != State::kHolding) {
    return LeasedTask::completed(completion);
  }
  // What was not held is told as a loss as well.
  if (completion.outcome != Outcome::kNotHeld) node_.plan(*this, 1ms);
}

bool FinisherTask::goes_on() const { return !world_.users_are_done(); }

}  // namespace dsync::simulation
