#include "signal_task.h"

#include <array>
#include <utility>

#include "primitives/commands.h"
#include "world.h"

namespace dsync::simulation {

using namespace std::chrono_literals;
using primitives::Kind;
using primitives::Outcome;

namespace {

constexpr std::array<base::Duration, 4> kPatience{5ms, 50ms, 500ms, 5s};
constexpr std::array<base::Duration, 4> kPauses{1ms, 10ms, 200ms, 2s};

bool is_barrier(const World& world) { return world.plan.subject == Subject::kBarrier; }

}  // namespace

// ---- waiting ----

SignalTask::SignalTask(World& world, Node& node, std::string key)
    : world_(world), node_(node), key_(std::move(key)), rounds_(2 * world.plan.rounds) {}

void SignalTask::act() {
  if (state_ == State::kIdle) {
    if (world_.is_calm() || rounds_ == 0) {
      state_ = State::kDone;
    } else {
      wait();
    }
  } else if (state_ == State::kWaiting && !world_.is_calm()) {
    world_.trace(node_.name(), [&] { return "abandons " + std::to_string(id_); });
    node_.machine().abandon(id_, node_.now());
    end_round();
  }
}

void SignalTask::wait() {
  --rounds_;
  began_ = world_.timeline.now();
  id_ = node_.machine().acquire({.key = key_,
                                 .token = {},
                                 .lease = primitives::kNoExpiry,
                                 .renewed = false,
                                 .queueing = true,
                                 .poll_delay = world_.plan.poll_delay,
                                 .deadline = base::kNever,
                                 .kind = is_barrier(world_) ? Kind::kBarrier : Kind::kEvent,
                                 .number = world_.plan.value},
                                node_.now());
  node_.route(id_, *this);
  state_ = State::kWaiting;
  world_.trace(node_.name(), [&] { return "waits for " + key_ + " by " + std::to_string(id_); });
  if (world_.random.one_in(5)) node_.plan(*this, world_.random.pick(kPatience));
}

void SignalTask::completed(const primitives::Completion& completion) {
  if (completion.id != id_ || state_ != State::kWaiting) return;
  world_.trace(node_.name(), [&] {
    return std::to_string(id_) + " completes with " +
           std::to_string(static_cast<int>(completion.outcome));
  });
  if (completion.outcome == Outcome::kFailed) {
    node_.machine().abandon(id_, node_.now());
  } else if (is_barrier(world_)) {
    world_.barriers().check_end_of_wait(node_, id_, completion.outcome);
  } else {
    world_.events().check_woken(node_, id_, key_, began_);
  }
  end_round();
}

void SignalTask::end_round() {
  state_ = State::kIdle;
  node_.plan(*this, world_.is_calm() ? base::Duration(0) : world_.random.pick(kPauses));
}

// ---- calling ----

CallTask::CallTask(World& world, Node& node, std::string key, bool is_helper)
    : world_(world),
      node_(node),
      key_(std::move(key)),
      is_helper_(is_helper),
      rounds_(2 * world.plan.rounds) {}

void CallTask::act() {
  if (id_ != 0) return;
  if (is_helper_ ? world_.users_are_done() : world_.is_calm() || rounds_-- == 0) {
    is_done_ = true;
    return;
  }
  const bool sets = is_helper_ || world_.random.one_in(2);
  auto call = is_barrier(world_) ? primitives::end_call(key_, sets ? "reset" : "abort")
                                 : primitives::set_call(key_, sets);
  id_ = node_.machine().ask(std::move(call), node_.now());
  node_.route(id_, *this);
  world_.trace(node_.name(), [&] { return "calls " + key_ + " by " + std::to_string(id_); });
}

void CallTask::completed(const primitives::Completion& completion) {
  if (completion.id != id_) return;
  id_ = 0;
  node_.plan(*this, is_helper_ ? base::Duration(1s) : world_.random.pick(kPauses));
}

}  // namespace dsync::simulation
