#include "meeting_commands.h"

#include <array>

#include "client/scripts.h"
#include "primitives/names.h"

namespace dsync::bench {
namespace {

using primitives::name_beside;

// Milliseconds; a waiter without the lock has no lease.
constexpr std::string_view kNoLease = "0";
constexpr std::string_view kKeptWithoutLease = "600000";

}  // namespace

// ---- condition ----

Condition::Condition(std::string_view key, std::string_view session)
    : lock(key, session, 0),
      waiting(name_beside(lock.lock, primitives::kWaitingSuffix)),
      told(name_beside(lock.lock, primitives::kToldSuffix)),
      reserved(name_beside(lock.lock, primitives::kReservedSuffix)),
      done(name_beside(lock.lock, primitives::kDoneSuffix)) {
  const auto topic = primitives::topic_of(primitives::Kind::kCondition, lock.lock);
  channel = topic.channel;
  listeners = topic.companion;
  counter = channel + "_notify_counter";
}

ConditionScripts::ConditionScripts(Connection& connection)
    : wait_(LoadScript(connection, client::kConditionWait.source)),
      leave_(LoadScript(connection, client::kConditionLeave.source)),
      notify_(LoadScript(connection, client::kConditionNotify.source)) {}

void ConditionScripts::Wait(Connection& connection, const Condition& condition,
                            std::string_view operation, std::string_view former) const {
  const auto& lock = condition.lock;
  const bool with_lock = !former.empty();
  const std::string_view token = with_lock ? std::string_view(lock.token) : "";
  const std::array<std::string_view, 20> command{"EVALSHA",
                                                 wait_,
                                                 "7",
                                                 lock.lock,
                                                 lock.queue,
                                                 lock.fence,
                                                 condition.waiting,
                                                 condition.told,
                                                 condition.counter,
                                                 condition.reserved,
                                                 token,
                                                 operation,
                                                 with_lock ? kLease : kNoLease,
                                                 with_lock ? kFirstLease : kNoLease,
                                                 with_lock ? kKept : kKeptWithoutLease,
                                                 former,
                                                 "wait",
                                                 "",
                                                 condition.channel,
                                                 condition.listeners};
  connection.Append(command);
}

void ConditionScripts::Confirm(Connection& connection, const Condition& condition,
                               std::string_view operation, bool with_lock) const {
  const auto& lock = condition.lock;
  const std::string_view token = with_lock ? std::string_view(lock.token) : "";
  const std::array<std::string_view, 12> command{"EVALSHA",
                                                 leave_,
                                                 "5",
                                                 lock.lock,
                                                 lock.queue,
                                                 lock.fence,
                                                 condition.waiting,
                                                 condition.told,
                                                 token,
                                                 operation,
                                                 with_lock ? kFirstLease : kNoLease,
                                                 "confirm"};
  connection.Append(command);
}

void ConditionScripts::Notify(Connection& connection, const Condition& condition,
                              std::string_view operation, std::string_view holder) const {
  const auto& lock = condition.lock;
  const std::array<std::string_view, 18> command{"EVALSHA",
                                                 notify_,
                                                 "8",
                                                 lock.lock,
                                                 lock.queue,
                                                 lock.fence,
                                                 condition.waiting,
                                                 condition.told,
                                                 condition.counter,
                                                 condition.reserved,
                                                 condition.done,
                                                 operation,
                                                 "0",
                                                 lock.token,
                                                 holder,
                                                 "1",
                                                 condition.channel,
                                                 condition.listeners};
  connection.Append(command);
}

// ---- barrier ----

Barrier::Barrier(std::string_view key, int number)
    : count("distributed_barrier_count_" + std::string(key)),
      parties(name_beside(count, primitives::kPartiesSuffix)),
      ended(name_beside(count, primitives::kEndedSuffix)),
      told(name_beside(count, primitives::kToldSuffix)),
      guard(primitives::guard_of(count)),
      channel(primitives::topic_of(primitives::Kind::kBarrier, count).channel),
      wanted(std::to_string(number)) {}

BarrierScripts::BarrierScripts(Connection& connection)
    : wait_(LoadScript(connection, client::kBarrierWait.source)),
      leave_(LoadScript(connection, client::kBarrierLeave.source)) {}

void BarrierScripts::Wait(Connection& connection, const Barrier& barrier,
                          std::string_view operation) const {
  const std::array<std::string_view, 12> command{
      "EVALSHA",    wait_,         "5",       barrier.count,  barrier.parties, barrier.ended,
      barrier.told, barrier.guard, operation, barrier.wanted, barrier.channel, ""};
  connection.Append(command);
}

void BarrierScripts::Confirm(Connection& connection, const Barrier& barrier,
                             std::string_view operation) const {
  const std::array<std::string_view, 8> command{"EVALSHA",     leave_,          "4",
                                                barrier.count, barrier.parties, barrier.ended,
                                                barrier.told,  operation};
  connection.Append(command);
}

}  // namespace dsync::bench
