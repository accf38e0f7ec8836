// The scripts of the lock, called as their headers say.
#pragma once

#include <string>
#include <vector>

#include "support/script_fixture.h"

namespace dsync::tests {

class LockScriptTest : public ScriptTest {
 protected:
  static constexpr const char* kWindow = "{key}:dsync:window";
  static constexpr const char* kDone = "{key}:dsync:done";

  struct Acquire {
    std::string operation = "a:1";
    std::string token = "token";
    std::string lease = "30000";
    std::string first = "5000";
    std::string kept = "630000";
    std::string width{};  // empty: no fleet migrates
  };
  struct Release {
    std::string operation = "a:1";
    std::string token = "token";
    std::string first = "5000";
    std::string width{};
  };
  struct Drop {
    std::string operation = "x:1";
    std::string again = "0";
  };
  struct Renew {
    std::string key = kKey;
    std::string operation = "a:1";
    std::string token = "token";
    std::string lease = "30000";
  };

  std::string acquire(const Acquire& call) {
    return run_with_window(client::kLockAcquire,
                           {call.token, call.operation, call.lease, call.first, call.kept},
                           call.width);
  }
  std::string acquire() { return acquire(Acquire()); }

  std::string release(const Release& call) {
    return run_with_window(client::kLockRelease, {call.token, call.operation, call.first},
                           call.width);
  }
  std::string release() { return release(Release()); }

  std::string drop(const Drop& call) {
    return run(client::kKeyValueDelete, {kKey, kQueue, kFence, kDone},
               {call.operation, call.again});
  }
  std::string drop() { return drop(Drop()); }

  std::string renew(const std::vector<Renew>& locks) {
    Texts keys;
    Texts arguments;
    for (const auto& lock : locks) {
      keys.insert(keys.end(), {lock.key, '{' + lock.key + "}:dsync:fence"});
      arguments.insert(arguments.end(), {lock.token, lock.operation, lock.lease});
    }
    return run(client::kLockRenew, keys, arguments);
  }

 private:
  std::string run_with_window(const client::Script& script, Texts arguments,
                              const std::string& width) {
    Texts keys{kKey, kQueue, kFence};
    if (!width.empty()) {
      keys.emplace_back(kWindow);
      arguments.push_back(width);
    }
    return run(script, keys, arguments);
  }
};

}  // namespace dsync::tests
