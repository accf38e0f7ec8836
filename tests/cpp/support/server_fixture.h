// A test with a real server of its own.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "support/connection.h"
#include "support/redis_server.h"
#include "support/wire.h"

namespace dsync::tests {

class ServerTest : public ::testing::Test {
 protected:
  static constexpr const char* kKey = "key";
  static constexpr const char* kQueue = "{key}:dsync:queue";
  static constexpr const char* kFence = "{key}:dsync:fence";

  std::int64_t ttl(const std::string& key) { return redis_.integer({"PTTL", key}); }
  std::int64_t queued() { return redis_.integer({"ZCARD", kQueue}); }

  // Nobody holds or waits, and what is left goes away by itself, but for documented keys.
  void expect_nothing_left(const std::set<std::string>& documented = {}) {
    for (const auto& key : redis_.keys()) {
      if (documented.contains(key)) continue;
      EXPECT_TRUE(key.ends_with(":dsync:fence") || key.ends_with(":dsync:done")) << key;
      EXPECT_GT(ttl(key), 0) << key;
    }
  }

  // Waits until the server has noticed that a session is gone.
  void await_death(const std::string& session) {
    const auto inbox = "dsync:inbox:" + session;
    while (redis_({"PUBSUB", "NUMSUB", inbox}).find(", 0]") == std::string::npos) {
    }
  }

  RedisServer server_;
  Connection redis_{server_.unix_address()};
};

}  // namespace dsync::tests
