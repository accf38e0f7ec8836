// The scripts of the condition, called as their headers say.
#pragma once

#include <string>

#include "support/lock_calls.h"

namespace dsync::tests {

class ConditionScriptTest : public LockScriptTest {
 protected:
  static constexpr const char* kWaiting = "{key}:dsync:waiting";
  static constexpr const char* kTold = "{key}:dsync:told";
  static constexpr const char* kReserved = "{key}:dsync:reserved";
  static constexpr const char* kDone = "{key}:dsync:done";
  static constexpr const char* kCounter = "channel_notify_counter";
  static constexpr const char* kChannel = "channel";
  static constexpr const char* kListeners = "{key}:dsync:listeners";

  // Without a token it waits without the lock.
  struct Wait {
    std::string operation = "a:1";
    std::string token{};
    std::string former{};
    std::string verb = "wait";
    std::string heard{};
    std::string lease = "30000";
    std::string first = "5000";
    std::string width{};  // empty: no fleet migrates
  };
  struct Leave {
    std::string operation = "a:1";
    std::string token{};
    std::string first = "5000";
    std::string verb = "leave";
  };
  struct Notify {
    std::string count = "1";
    std::string operation = "h:2";
    std::string again = "0";
    std::string token = "holder";
    std::string holder = "h:1";
    std::string width{};
  };

  std::string wait(const Wait& call) {
    Texts keys{kKey, kQueue, kFence, kWaiting, kTold, kCounter, kReserved};
    Texts arguments{call.token,  call.operation, call.lease, call.first, "630000",
                    call.former, call.verb,      call.heard, kChannel,   kListeners};
    if (!call.width.empty()) {
      keys.emplace_back(kWindow);
      arguments.push_back(call.width);
    }
    return run(client::kConditionWait, keys, arguments);
  }
  std::string wait_as(const std::string& operation) { return wait({.operation = operation}); }

  std::string leave(const Leave& call) {
    return run(client::kConditionLeave, {kKey, kQueue, kFence, kWaiting, kTold},
               {call.token, call.operation, call.first, call.verb});
  }
  std::string leave_as(const std::string& operation) { return leave({.operation = operation}); }
  std::string confirm(const std::string& operation, const std::string& token = {}) {
    return leave({.operation = operation, .token = token, .verb = "confirm"});
  }

  std::string notify(const Notify& call) {
    Texts arguments{call.operation, call.again, call.token, call.holder,
                    call.count,     kChannel,   kListeners};
    if (!call.width.empty()) arguments.push_back(call.width);
    return run(client::kConditionNotify,
               {kKey, kQueue, kFence, kWaiting, kTold, kCounter, kReserved, kDone}, arguments);
  }
  std::string notify() { return notify(Notify()); }
  std::string wake(const std::string& count) { return notify({.count = count}); }

  // Lets more than the time pass in which a woken waiter that is not connected is not doubted.
  void let_time_pass() {
    for (const auto* key : {kWaiting, kTold}) {
      for (const auto& member : members(key)) redis_({"ZINCRBY", key, "-2000000", member});
    }
  }

  // The lock, by the object "holder" of the session h.
  void hold() { fence_in(acquire({.operation = "h:1", .token = "holder"})); }
  std::string free_lock() { return release({.operation = "h:1", .token = "holder"}); }

  // One that came with the lock: "a:1" takes it, and "a:2" gives it back to wait.
  std::string wait_with_lock(const std::string& session) {
    const auto former = session + ":1";
    fence_in(acquire({.operation = former, .token = "of " + session}));
    return wait({.operation = session + ":2", .token = "of " + session, .former = former});
  }
  // How it stands in the keys.
  static std::string place(const std::string& session) { return session + ":2 5000 of " + session; }
  // Its next question.
  std::string ask_with_lock(const std::string& session) {
    return wait({.operation = session + ":2", .token = "of " + session});
  }
  std::string release_as(const std::string& session) {
    return release({.operation = session + ":2", .token = "of " + session});
  }
};

}  // namespace dsync::tests
