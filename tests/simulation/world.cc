#include "world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "condition_task.h"
#include "leased_task.h"
#include "lock_checks.h"
#include "permit_checks.h"
#include "signal_task.h"

namespace dsync::simulation {

using namespace std::chrono_literals;

namespace {

// Where the server's clock stands when a schedule begins, in microseconds.
constexpr std::int64_t kEpochUs = 1'700'000'000'000'000;
// Longer than every lease, pause and poll together.
constexpr base::Duration kPatience = 200s;
// Longer than anything outlives its use.
constexpr base::Duration kLongest = 25h;
constexpr std::uint64_t kMostSteps = 200'000;

std::string prefix_of(Subject subject) {
  constexpr const char* kPrefixes[] = {"distributed_lock_", "distributed_semaphore_",
                                       "distributed_lock_", "distributed_barrier_count_", "event_"};
  return kPrefixes[static_cast<std::size_t>(subject)];
}

}  // namespace

std::string show(base::Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6fs", std::chrono::duration<double>(duration).count());
  return text;
}

World::World(std::uint64_t seed, const std::vector<Subject>& subjects, ScriptEngine& engine,
             bool is_traced)
    : is_traced_(is_traced),
      random(seed),
      plan(plan_of(random, subjects)),
      server(engine, *this, this),
      network(server, timeline, random, plan.weather) {
  for (const auto* name : {"one", "two"}) keys_.push_back(prefix_of(plan.subject) + name);
  make_checks();
}

World::~World() = default;

void World::make_checks() {
  switch (plan.subject) {
    case Subject::kLock:
      return add_checks<LeaseChecks, LockChecks>(leases_);
    case Subject::kSemaphore:
      return add_checks<LeaseChecks, PermitChecks>(leases_);
    case Subject::kCondition:
      add_checks<LeaseChecks, LockChecks>(leases_);
      return add_checks(notifications_);
    case Subject::kBarrier:
      return add_checks(barriers_);
    case Subject::kEvent:
      return add_checks(events_);
    case Subject::kCount:
      return;
  }
}

void World::before_script(const client::Script& script, Words keys, Words arguments) {
  for (auto* checks : checks_) checks->before_script(script, keys, arguments);
}

void World::after_script(const client::Script& script, Words keys, Words arguments,
                         const Value& reply) {
  trace("server", [&] {
    std::string text(script.name);
    for (const auto argument : arguments) text.append(" ").append(argument);
    return text + " → " + show(reply);
  });
  for (auto* checks : checks_) checks->after_script(script, keys, arguments, reply);
}

std::int64_t World::next_us() {
  // A command takes time, so no two are executed in the same microsecond.
  do {
    timeline.spend(random.between(base::Duration(1us), base::Duration(20us)));
  } while (kEpochUs + timeline.now() / 1us <= server.shown_us());
  return kEpochUs + timeline.now() / 1us;
}

void World::run() {
  start();
  run_until(plan.horizon, [this] { return tasks_are_done(); });
  begin_calm();
  run_until(timeline.now() + kPatience, [this] { return tasks_are_done() && all_rest(); });
  if (!tasks_are_done()) throw Violation("somebody waits for ever");
  if (!all_rest()) throw Violation("a session does not come to rest");
  check_end();
}

void World::start() {
  server.set_frozen_time(random.one_in(2));
  for (std::size_t i = 0; i < plan.nodes; ++i) spawn();
  for (const auto fault : plan.faults) {
    timeline.at(random.between(base::Duration(0), plan.horizon), [this, fault] {
      if (!calm_) suffer(fault);
    });
  }
}

Node& World::add_node() {
  const auto name = "n" + std::to_string(nodes_.size() + 1);
  return *nodes_.emplace_back(std::make_unique<Node>(*this, name));
}

Node& World::spawn() {
  auto& node = add_node();
  for (std::size_t i = 0; i < plan.tasks; ++i) {
    node.add(make_task(node), random.between(base::Duration(0), base::Duration(20ms)));
  }
  return node;
}

std::unique_ptr<Task> World::make_task(Node& node) {
  // Most meet at one key. Tasks of one process may share a lock object, and so its token.
  const auto& key = keys_[random.one_in(6) ? 1 : 0];
  const auto token = node.name() + "-token" + std::to_string(random.below(2));
  switch (plan.subject) {
    case Subject::kCondition:
      if (random.one_in(2)) return std::make_unique<NotifierTask>(*this, node, key, token);
      return std::make_unique<WaiterTask>(*this, node, key, token);
    case Subject::kBarrier:
    case Subject::kEvent:
      // Few break a barrier.
      if (random.one_in(plan.subject == Subject::kBarrier ? 12 : 3)) {
        return std::make_unique<CallTask>(*this, node, key, false);
      }
      return std::make_unique<SignalTask>(*this, node, key);
    default:
      return std::make_unique<LeasedTask>(*this, node, key, token);
  }
}

// Who sees to it that those end who still wait when all is calm.
std::unique_ptr<Task> World::make_helper(Node& node, const std::string& key) {
  switch (plan.subject) {
    case Subject::kCondition:
      return std::make_unique<FinisherTask>(*this, node, key, node.name() + "-token");
    case Subject::kBarrier:
    case Subject::kEvent:
      return std::make_unique<CallTask>(*this, node, key, true);
    default:
      return nullptr;
  }
}

void World::run_until(base::Duration end, const std::function<bool()>& done) {
  while (!done() && !timeline.empty() && timeline.next() <= end) {
    timeline.step();
    for (auto* checks : checks_) checks->check();
    if (++steps_ > kMostSteps) throw Violation("there is no end of commands");
  }
}

bool World::tasks_are_done() const {
  return std::ranges::all_of(nodes_, [](const auto& node) {
    return std::ranges::all_of(node->tasks(), [](const auto& task) { return task->is_done(); });
  });
}

bool World::users_are_done() const {
  return std::ranges::all_of(nodes_, [](const auto& node) {
    return std::ranges::all_of(
        node->tasks(), [](const auto& task) { return task->is_done() || task->is_helper(); });
  });
}

bool World::all_rest() const {
  return std::ranges::all_of(nodes_,
                             [](const auto& node) { return !node->is_alive() || node->rests(); });
}

void World::begin_calm() {
  trace("world", [] { return std::string("all is calm"); });
  calm_ = true;
  server_is_up_ = true;
  server.set_loading(false);
  network.calm();
  if (plan.subject == Subject::kLock || plan.subject == Subject::kSemaphore) return;
  for (const auto& key : keys_) {
    auto& node = add_node();
    node.add(make_helper(node, key), 0s);
  }
}

void World::check_end() {
  // What is left may have an end of its life.
  timeline.spend(kLongest);
  server.execute(std::vector<std::string_view>{"PING"});
  for (auto* checks : checks_) checks->check_end();
}

}  // namespace dsync::simulation
