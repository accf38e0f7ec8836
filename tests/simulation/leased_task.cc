#include "lock_task.h"

#include <array>
#include <utility>

#include "world.h"

namespace dsync::simulation {

using namespace std::chrono_literals;
using primitives::Outcome;

namespace {

constexpr std::array<base::Duration, 6> kHoldTimes{1ms, 1ms, 50ms, 50ms, 1s, 12s};
constexpr std::array<base::Duration, 3> kPatience{5ms, 200ms, 5s};

}  // namespace

LockTask::LockTask(World& world, Node& node, std::string key, std::string token)
    : world_(world),
      node_(node),
      key_(std::move(key)),
      token_(std::move(token)),
      rounds_(world.plan.rounds) {}

void LockTask::act() {
  switch (state_) {
    case State::kIdle:
      return world_.is_calm() || rounds_ == 0 ? void(state_ = State::kDone) : acquire();
    case State::kWaiting:
    case State::kConfirming:
      // Cancelled. Not when all is calm: then everybody must be served.
      if (world_.is_calm()) return;
      world_.trace(node_.name(), [&] { return "abandons " + std::to_string(id_); });
      node_.machine().abandon(id_, node_.now());
      return end_round();
    case State::kHolding:
      return end_hold();
    case State::kReleasing:
    case State::kDone:
      return;
  }
}

void LockTask::acquire() {
  --rounds_;
  auto& random = world_.random;
  const auto& plan = world_.plan;
  const bool has_timeout = random.one_in(5);
  const auto now = node_.now();
  id_ = node_.machine().acquire(
      {.key = key_,
       .token = token_,
       .lease = plan.lease,
       .renewed = plan.renewed,
       .queueing = !random.one_in(8),
       .poll_delay = plan.poll_delay,
       .deadline = has_timeout ? base::after(now, random.pick(kPatience)) : base::kNever},
      now);
  node_.route(id_, *this);
  state_ = State::kWaiting;
  world_.trace(node_.name(), [&] { return "acquires " + key_ + " by " + std::to_string(id_); });
  if (random.one_in(5)) node_.plan(*this, random.pick(kPatience));
}

void LockTask::completed(const primitives::Completion& completion) {
  if (state_ == State::kDone || state_ == State::kIdle) return;
  if (completion.id == question_ && state_ == State::kConfirming) {
    if (completion.outcome == Outcome::kHeld && node_.machine().holds(id_) &&
        node_.machine().valid_for(id_, node_.now()) > 0s) {
      return hold();
    }
    node_.machine().abandon(id_, node_.now());
    return end_round();
  }
  if (completion.id != id_) return;
  world_.trace(node_.name(), [&] {
    return std::to_string(id_) + " completes with " +
           std::to_string(static_cast<int>(completion.outcome));
  });
  switch (completion.outcome) {
    case Outcome::kGranted:
      return on_granted();
    case Outcome::kNotHeld:
      world_.checks.hold_was_lost(node_, id_);
      return end_round();
    case Outcome::kFailed:
      if (state_ == State::kWaiting) node_.machine().abandon(id_, node_.now());
      return end_round();
    default:
      return end_round();
  }
}

// As python/dsync/_leased.py: what may be over is asked for before anybody relies on it.
void LockTask::on_granted() {
  const auto left = node_.machine().valid_for(id_, node_.now());
  if (left > 500ms || (left > 0s && !world_.random.one_in(2))) return hold();
  if (left == 0s) {
    node_.machine().abandon(id_, node_.now());
    return end_round();
  }
  state_ = State::kConfirming;
  question_ = node_.machine().confirm(id_, world_.plan.lease, node_.now());
  node_.route(question_, *this);
}

void LockTask::hold() {
  state_ = State::kHolding;
  world_.checks.begin_hold(node_, id_, key_);
  const auto time = world_.random.pick(kHoldTimes);
  node_.plan(*this, world_.is_calm() ? base::Duration(1ms) : time);
}

void LockTask::end_hold() {
  if (!world_.random.one_in(6)) return release();
  // The task is cancelled just when it releases.
  world_.trace(node_.name(), [&] { return "abandons " + std::to_string(id_); });
  world_.checks.end_hold(node_, id_);
  node_.machine().abandon(id_, node_.now());
  end_round();
}

void LockTask::release() {
  world_.trace(node_.name(), [&] { return "releases " + std::to_string(id_); });
  state_ = State::kReleasing;
  node_.machine().release(id_, node_.now());
}

void LockTask::lost(OperationId id) {
  if (id != id_ || state_ != State::kHolding) return;
  world_.trace(node_.name(), [&] { return "has lost " + std::to_string(id_); });
  world_.checks.hold_was_lost(node_, id_);
  node_.machine().abandon(id_, node_.now());
  end_round();
}

void LockTask::crashed() {
  world_.checks.node_is_gone(node_);
  state_ = State::kDone;
}

void LockTask::end_round() {
  world_.checks.end_hold(node_, id_);
  state_ = State::kIdle;
  const auto pause = world_.random.between(base::Duration(0), base::Duration(20ms));
  node_.plan(*this, world_.is_calm() ? base::Duration(0) : pause);
}

}  // namespace dsync::simulation
