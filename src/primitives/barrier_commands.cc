// Of barriers and events.
#include "primitives/commands.h"
#include "primitives/names.h"

namespace dsync::primitives {
namespace {

using Meaning = Question::Meaning;

constexpr auto kSuffixes = {kPartiesSuffix, kEndedSuffix, kToldSuffix};

void write_keys(client::Client::Call& call, const Claim& claim) {
  call << claim.key;
  for (const auto suffix : kSuffixes) write_beside(call, claim.key, suffix);
}

std::vector<std::string> keys_of(std::string_view barrier) {
  std::vector<std::string> keys{std::string(barrier)};
  for (const auto suffix : kSuffixes) keys.push_back(name_beside(barrier, suffix));
  return keys;
}

std::string_view word_of(Operation::Heard heard) {
  switch (heard) {
    case Operation::Heard::kNothing:
      return "";
    case Operation::Heard::kGo:
      return "release";
    case Operation::Heard::kOther:
      return "reset";
  }
  return "";
}

}  // namespace

void send_barrier_wait(const Route& route, const Operation& operation) {
  const auto& claim = *operation.claim;
  auto call = route.client.run(client::kBarrierWait, 5, 4, route.cookie, route.now);
  write_keys(call, claim);
  call << guard_of(claim.key) << claim.operation << claim.number
       << topic_of(claim.kind, claim.key).channel << word_of(operation.heard);
}

void send_barrier_leave(const Route& route, const Operation& operation) {
  auto call = route.client.run(client::kBarrierLeave, 4, 1, route.cookie, route.now);
  write_keys(call, *operation.claim);
  call << operation.claim->operation;
}

Question waiting_question(std::string_view barrier) {
  return {Meaning::kNumber, &client::kBarrierCount, keys_of(barrier), {}};
}

Question end_call(std::string_view barrier, std::string_view word) {
  auto keys = keys_of(barrier);
  keys.push_back(name_beside(barrier, kDoneSuffix));
  return {Meaning::kCall,
          &client::kBarrierEnd,
          std::move(keys),
          {topic_of(Kind::kBarrier, barrier).channel, std::string(word)},
          true};
}

Question is_set_question(std::string_view event) {
  return {Meaning::kNumber, nullptr, {"GET", std::string(event)}, {}};
}

Question set_call(std::string_view event, bool value) {
  return {Meaning::kCall,
          &client::kEventSet,
          {std::string(event), name_beside(event, kDoneSuffix)},
          {value ? "1" : "0", topic_of(Kind::kEvent, event).channel},
          true};
}

}  // namespace dsync::primitives
