#include "leased_task.h"

#include <array>
#include <utility>

#include "primitives/commands.h"
#include "world.h"

namespace dsync::simulation {

using namespace std::chrono_literals;
using primitives::Outcome;

namespace {

constexpr std::array<base::Duration, 6> kHoldTimes{1ms, 1ms, 50ms, 50ms, 1s, 12s};
constexpr std::array<base::Duration, 3> kPatience{5ms, 200ms, 5s};

}  // namespace

LeasedTask::LeasedTask(World& world, Node& node, std::string key, std::string token)
    : world_(world),
      node_(node),
      key_(std::move(key)),
      token_(std::move(token)),
      rounds_(world.plan.rounds) {}

void LeasedTask::act() {
  switch (state_) {
    case State::kIdle:
      return goes_on() ? acquire() : void(state_ = State::kDone);
    case State::kWaiting:
    case State::kConfirming:
      // Cancelled. Not when all is calm: then everybody must be served.
      if (world_.is_calm()) return;
      world_.trace(node_.name(), [&] { return "abandons " + std::to_string(id_); });
      node_.machine().abandon(id_, node_.now());
      return end_round();
    case State::kHolding:
      return use();
    case State::kElsewhere:
      return act_elsewhere();
    case State::kReleasing:
    case State::kDone:
      return;
  }
}

bool LeasedTask::goes_on() const { return !world_.is_calm() && rounds_ > 0; }

void LeasedTask::acquire() {
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
       .deadline = has_timeout ? base::after(now, random.pick(kPatience)) : base::kNever,
       .kind = is_permit() ? primitives::Kind::kPermit : primitives::Kind::kLock,
       .bounded = plan.bounded,
       .number = plan.value,
       .local = plan.local},
      now);
  node_.route(id_, *this);
  state_ = State::kWaiting;
  world_.trace(node_.name(), [&] { return "acquires " + key_ + " by " + std::to_string(id_); });
  if (random.one_in(5)) node_.plan(*this, random.pick(kPatience));
}

void LeasedTask::completed(const primitives::Completion& completion) {
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
      world_.leases().hold_was_lost(node_, id_);
      return end_round();
    case Outcome::kOverLimit:
      on_over_limit();
      return end_round();
    case Outcome::kFailed:
      if (is_counted() && state_ == State::kReleasing) {
        // Whether the slot was added is not known; one too many is better than one too few.
        world_.note_doubt();
        return add_slot();
      }
      if (state_ == State::kWaiting) node_.machine().abandon(id_, node_.now());
      return end_round();
    default:
      return end_round();
  }
}

bool LeasedTask::is_permit() const { return world_.plan.subject == Subject::kSemaphore; }

// As python/dsync/_leased.py: what may be over is asked for before anybody relies on it.
void LeasedTask::on_granted() {
  if (is_counted()) {
    // From here on nothing is known of it but the counter.
    node_.machine().settle(id_, true, node_.now());
    return hold();
  }
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

void LeasedTask::hold() {
  state_ = State::kHolding;
  world_.leases().begin_hold(node_, id_, key_);
  const auto time = world_.random.pick(kHoldTimes);
  node_.plan(*this, world_.is_calm() ? base::Duration(1ms) : time);
}

void LeasedTask::end_hold() {
  if (is_counted()) return add_slot();
  if (!world_.random.one_in(6)) return release();
  // The task is cancelled just when it releases.
  world_.trace(node_.name(), [&] { return "abandons " + std::to_string(id_); });
  world_.leases().end_hold(node_, id_);
  node_.machine().abandon(id_, node_.now());
  end_round();
}

bool LeasedTask::is_counted() const {
  return is_permit() && world_.plan.lease == base::Duration(0);
}

void LeasedTask::add_slot() {
  world_.leases().end_hold(node_, id_);
  state_ = State::kReleasing;
  auto call = primitives::add_call(key_, world_.plan.value, world_.plan.bounded);
  id_ = node_.machine().ask(std::move(call), node_.now());
  node_.route(id_, *this);
  world_.trace(node_.name(), [&] { return "adds a slot by " + std::to_string(id_); });
}

void LeasedTask::release() {
  world_.trace(node_.name(), [&] { return "releases " + std::to_string(id_); });
  state_ = State::kReleasing;
  if (node_.machine().release(id_, node_.now())) end_round();
}

// Only a counter that was lost may have more free slots than there were.
void LeasedTask::on_over_limit() {
  if (!world_.has_lost_data()) throw Violation(key_ + " has too many slots");
  if (!is_counted()) node_.machine().abandon(id_, node_.now());
}

void LeasedTask::lost(OperationId id) {
  if (id != id_ || state_ != State::kHolding) return;
  world_.trace(node_.name(), [&] { return "has lost " + std::to_string(id_); });
  world_.leases().hold_was_lost(node_, id_);
  node_.machine().abandon(id_, node_.now());
  end_round();
}

void LeasedTask::crashed() { state_ = State::kDone; }

void LeasedTask::end_round() {
  world_.leases().end_hold(node_, id_);
  state_ = State::kIdle;
  const auto pause = world_.random.between(base::Duration(0), base::Duration(20ms));
  node_.plan(*this, world_.is_calm() ? calm_pause() : pause);
}

}  // namespace dsync::simulation
