// The scripts of the lock, called as their headers say.
#pragma once

#include <string>
#include <vector>

#include "client/scripts.h"
#include "support/server_fixture.h"

namespace dsync::tests {

class ScriptTest : public ServerTest {
 protected:
  struct Acquire {
    std::string operation = "a:1";
    std::string token = "token";
    std::string lease = "30000";
    std::string first = "5000";
    std::string kept = "630000";
  };
  struct Release {
    std::string operation = "a:1";
    std::string token = "token";
    std::string first = "5000";
  };
  struct Renew {
    std::string key = kKey;
    std::string operation = "a:1";
    std::string token = "token";
    std::string lease = "30000";
  };

  std::string acquire(const Acquire& call) {
    return redis_({"EVAL", std::string(client::kLockAcquire.source), "3", kKey, kQueue, kFence,
                   call.token, call.operation, call.lease, call.first, call.kept});
  }
  std::string acquire() { return acquire(Acquire()); }

  std::string release(const Release& call) {
    return redis_({"EVAL", std::string(client::kLockRelease.source), "3", kKey, kQueue, kFence,
                   call.token, call.operation, call.first});
  }
  std::string release() { return release(Release()); }

  std::string renew(const std::vector<Renew>& locks) {
    std::vector<std::string> words{"EVAL", std::string(client::kLockRenew.source),
                                   std::to_string(2 * locks.size())};
    for (const auto& lock : locks) {
      words.push_back(lock.key);
      words.push_back('{' + lock.key + "}:dsync:fence");
    }
    for (const auto& lock : locks) {
      words.insert(words.end(), {lock.token, lock.operation, lock.lease});
    }
    return redis_(words);
  }

  // The fencing token in "'1700000000000000'".
  static std::int64_t fence_in(const std::string& shown) {
    EXPECT_EQ(shown.size(), 18U) << shown;
    return std::stoll(shown.substr(1));
  }

  std::int64_t server_us() {
    const auto time = redis_.ask({"TIME"});
    return std::stoll(std::string(time.view().at(0).text())) * 1'000'000 +
           std::stoll(std::string(time.view().at(1).text()));
  }

  // Listens to an inbox: its session counts as alive.
  struct Inbox : Connection {
    Inbox(const RedisServer& server, const std::string& session)
        : Connection(server.unix_address()) {
      ask({"SUBSCRIBE", "dsync:inbox:" + session});
    }
    std::string message() { return std::string(read().view().at(2).text()); }
  };
};

}  // namespace dsync::tests
