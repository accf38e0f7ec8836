#include "plan.h"

#include <algorithm>
#include <array>

namespace dsync::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::array<base::Duration, 8> kLeases{1s, 1s, 2s, 2s, 5s, 10s, 30s, 0s};
constexpr std::array<base::Duration, 6> kHorizons{1s, 1s, 3s, 3s, 10s, 40s};
constexpr std::array<base::Duration, 4> kPollDelays{100ms, 300ms, 1s, 1s};
constexpr std::array<base::Duration, 3> kLingers{0s, 1s, 20s};
constexpr std::array<Weather, 4> kWeathers{{
    {.usual = 300us, .worst = 300us, .spikes = 0},
    {.usual = 300us, .worst = 20ms, .spikes = 8},
    {.usual = 1ms, .worst = 500ms, .spikes = 10},
    {.usual = 5ms, .worst = 4s, .spikes = 25},
}};

}  // namespace

std::string_view name_of(Subject subject) {
  constexpr std::string_view kNames[] = {"lock", "semaphore", "condition", "barrier", "event"};
  return kNames[static_cast<std::size_t>(subject)];
}

Plan plan_of(Random& random, const std::vector<Subject>& subjects) {
  Plan plan;
  plan.subject = subjects[random.below(subjects.size())];
  plan.nodes = 2 + random.below(3);
  plan.tasks = 1 + random.below(2);
  plan.rounds = static_cast<int>(1 + random.below(3));
  plan.horizon = random.pick(kHorizons);
  plan.lease = random.pick(kLeases);
  plan.renewed = !random.one_in(4);
  if (plan.subject == Subject::kSemaphore) {
    plan.value = random.between(std::int64_t{1}, std::int64_t{3});
    plan.bounded = random.one_in(3);
  }
  if (plan.subject == Subject::kBarrier)
    plan.value = random.between(std::int64_t{1}, std::int64_t{3});
  // Most of what a long schedule does is to poll.
  plan.poll_delay = plan.horizon > 5s ? 1s : random.pick(kPollDelays);
  plan.weather = random.pick(kWeathers);
  plan.weather.linger = random.pick(kLingers);
  // A lock without lease could be taken by a late command for ever.
  plan.weather.has_late_commands = plan.lease != base::Duration(0) && random.one_in(4);
  // Most faults hide others, so few are in one schedule, and none in some.
  const auto count = random.below(5);
  for (std::uint64_t i = 0; i < count; ++i) {
    plan.faults.push_back(
        static_cast<Fault>(random.below(static_cast<std::uint64_t>(Fault::kCount))));
  }
  plan.local = random.one_in(2);
  if (plan.local) plan.tasks += random.below(3);
  // Nothing ends a lock without lease whose holder is gone.
  if (plan.lease == base::Duration(0)) std::erase(plan.faults, Fault::kCrash);
  return plan;
}

}  // namespace dsync::simulation
