#include "primitives/commands.h"
#include "primitives/names.h"

namespace dsync::primitives {
namespace {

constexpr std::string_view kCounterSuffix = "_notify_counter";

std::string counter_of(const Topic& topic) { return topic.channel + std::string(kCounterSuffix); }

void write_keys(client::Client::Call& call, const Claim& claim) {
  call << claim.key;
  for (const auto suffix : {kQueueSuffix, kFenceSuffix, kWaitingSuffix, kToldSuffix}) {
    write_beside(call, claim.key, suffix);
  }
}

// Only a relock waits as a lock object.
std::string_view token_of(const Claim& claim) {
  return claim.kind == Kind::kRelock ? std::string_view(claim.token) : std::string_view();
}

}  // namespace

void send_condition_wait(const Route& route, const Operation& operation, std::string_view former) {
  const auto& claim = *operation.claim;
  const auto topic = topic_of(claim.kind, claim.key);
  const bool migrating = claim.window != base::Duration::zero();
  const std::size_t extra = migrating ? 1 : 0;
  auto call =
      route.client.run(client::kConditionWait, 7 + extra, 10 + extra, route.cookie, route.now);
  write_keys(call, claim);
  call << counter_of(topic);
  write_beside(call, claim.key, kReservedSuffix);
  if (migrating) write_beside(call, claim.key, kWindowSuffix);
  call << token_of(claim) << claim.operation << base::milliseconds(claim.lease)
       << base::milliseconds(claim.first_lease())
       << base::milliseconds(claim.lease) + base::milliseconds(kFenceKept) << former
       << std::string_view(operation.leaving ? "leave" : "wait")
       << std::string_view(operation.heard == Operation::Heard::kNothing ? "" : "1")
       << topic.channel << topic.companion;
  if (migrating) call << base::milliseconds(claim.window);
}

void send_condition_leave(const Route& route, const Claim& claim, bool knows) {
  auto call = route.client.run(client::kConditionLeave, 5, 4, route.cookie, route.now);
  write_keys(call, claim);
  call << token_of(claim) << claim.operation << base::milliseconds(claim.first_lease())
       << std::string_view(knows ? "confirm" : "leave");
}

Question notify_call(const Claim& holder, std::int64_t count) {
  const auto& key = holder.key;
  const auto topic = topic_of(Kind::kCondition, key);
  std::vector<std::string> keys{key};
  for (const auto suffix : {kQueueSuffix, kFenceSuffix, kWaitingSuffix, kToldSuffix}) {
    keys.push_back(name_beside(key, suffix));
  }
  keys.push_back(counter_of(topic));
  keys.push_back(name_beside(key, kReservedSuffix));
  keys.push_back(name_beside(key, kDoneSuffix));
  std::vector<std::string> arguments{holder.token, holder.operation, std::to_string(count),
                                     topic.channel, topic.companion};
  if (holder.window != base::Duration::zero()) arguments.emplace_back("1");
  return {Question::Meaning::kCall, &client::kConditionNotify, std::move(keys),
          std::move(arguments), true};
}

}  // namespace dsync::primitives
