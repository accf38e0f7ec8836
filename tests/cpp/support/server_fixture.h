// A test with a real server of its own.
#pragma once

#include <gtest/gtest.h>

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

  // Nobody holds or waits, and what is left goes away by itself.
  void expect_nothing_left() {
    for (const auto& key : redis_.keys()) {
      EXPECT_EQ(key, kFence);
      EXPECT_GT(ttl(key), 0) << key;
    }
  }

  RedisServer server_;
  Connection redis_{server_.unix_address()};
};

}  // namespace dsync::tests
