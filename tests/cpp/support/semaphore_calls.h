// The scripts of the semaphore, called as their headers say.
#pragma once

#include <string>
#include <vector>

#include "support/script_fixture.h"

namespace dsync::tests {

class SemaphoreScriptTest : public ScriptTest {
 protected:
  static constexpr const char* kPermits = "{key}:dsync:permits";
  static constexpr const char* kDone = "{key}:dsync:done";
  static constexpr const char* kLimit = "key_max_value";
  static constexpr const char* kWindow = "{key}:dsync:window";

  struct Acquire {
    std::string operation = "a:1";
    std::string lease = "30000";
    std::string first = "5000";
    std::string value = "2";
    std::string width{};  // empty: no fleet migrates
  };
  struct Release {
    std::string operation = "a:1";
    std::string first = "5000";
    std::string value = "2";
    std::string verb = "release";
    std::string width{};
  };
  struct Add {
    std::string operation = "a:1";
    std::string again = "0";
    std::string value = "2";
    std::string verb = "release";
  };
  struct Renew {
    std::string operation = "a:1";
    std::string lease = "30000";
    std::string key = kKey;
  };

  std::string acquire(const Acquire& call) {
    return run_with_window(client::kSemaphoreAcquire, {kKey, kQueue, kPermits},
                           {call.operation, call.lease, call.first, call.value}, call.width);
  }
  std::string acquire() { return acquire(Acquire()); }
  // One without a lease, and one that does not queue.
  std::string acquire_unleased(const std::string& operation) {
    return acquire({.operation = operation, .lease = "0", .first = "0"});
  }
  std::string try_acquire(const std::string& operation) {
    return acquire({.operation = operation, .first = "-1"});
  }

  std::string release(const Release& call) {
    return run_with_window(client::kSemaphoreRelease, {kKey, kQueue, kPermits, kLimit},
                           {call.operation, call.first, call.value, call.verb}, call.width);
  }
  std::string release() { return release(Release()); }
  std::string confirm(const std::string& operation) {
    return release({.operation = operation, .first = "0", .verb = "confirm"});
  }

  std::string add(const Add& call) {
    return run(client::kSemaphoreAdd, {kKey, kQueue, kPermits, kDone, kLimit},
               {call.operation, call.again, call.value, call.verb});
  }
  std::string add() { return add(Add()); }

  std::string free_slots(const std::string& value = "2") {
    return run(client::kSemaphoreFree, {kKey, kQueue, kPermits}, {value});
  }

  std::string renew(const std::vector<Renew>& permits) {
    Texts keys;
    Texts arguments;
    for (const auto& permit : permits) {
      const auto tag = '{' + permit.key + '}';
      keys.insert(keys.end(), {permit.key, tag + ":dsync:queue", tag + ":dsync:permits"});
      arguments.insert(arguments.end(), {permit.operation, permit.lease});
    }
    return run(client::kSemaphoreRenew, keys, arguments);
  }

  // The counter as every process of the fleet sees it.
  std::string counter() { return redis_({"GET", kKey}); }

  // How long (ms) a lease still lasts.
  std::int64_t lease_left(const std::string& permit) {
    return score(kPermits, permit) - server_ms();
  }
  void set_lease(const std::string& permit, std::int64_t left) {
    redis_({"ZADD", kPermits, std::to_string(server_ms() + left), permit});
  }
  // Lets a lease be over.
  void end_lease(const std::string& permit) { set_lease(permit, -1); }

 private:
  std::string run_with_window(const client::Script& script, Texts keys, Texts arguments,
                              const std::string& width) {
    if (!width.empty()) {
      keys.emplace_back(kWindow);
      arguments.push_back(width);
    }
    return run(script, keys, arguments);
  }
};

}  // namespace dsync::tests
