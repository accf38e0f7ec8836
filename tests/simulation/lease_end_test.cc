// When a lease ends, to the microsecond: only a server whose clock obeys can tell.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server.h"

namespace dsync::simulation {
namespace {

constexpr std::int64_t kGrantedUs = 1'700'000'000'000'900;
constexpr std::int64_t kLeaseUs = 1'000'000;

struct SetTime : Server::TimeSource {
  std::int64_t next_us() override { return us; }
  std::int64_t us = kGrantedUs;
};

class LeaseEndTest : public ::testing::Test {
 protected:
  using Texts = std::vector<std::string_view>;

  Value run(const client::Script& script, const Texts& keys, const Texts& arguments) {
    const auto count = std::to_string(keys.size());
    Texts words{"EVAL", script.source, count};
    words.insert(words.end(), keys.begin(), keys.end());
    words.insert(words.end(), arguments.begin(), arguments.end());
    return server_.execute(words);
  }

  Value take_permit(std::string_view operation) {
    return run(client::kSemaphoreAcquire, {"slots", "queue", "permits"},
               {operation, "1000", "-1", "1"});
  }
  Value renew_permit() {
    return run(client::kSemaphoreRenew, {"slots", "queue", "permits"}, {"a:1", "1000"});
  }
  Value take_lock(std::string_view operation) {
    return run(client::kLockAcquire, {"lock", "queue", "fence"},
               {"token", operation, "1000", "-1", "601000"});
  }

  ScriptEngine engine_{nullptr};
  SetTime time_;
  Server server_{engine_, time_, nullptr};
};

TEST_F(LeaseEndTest, APermitLastsForItsWholeLease) {
  EXPECT_EQ(take_permit("a:1"), Value::bulk("1"));
  time_.us = kGrantedUs + kLeaseUs;
  EXPECT_EQ(take_permit("b:1"), Value::number(0));
  EXPECT_EQ(renew_permit(), Value::array({Value::number(1)}));
}

TEST_F(LeaseEndTest, APermitEndsWithinAMillisecond) {
  EXPECT_EQ(take_permit("a:1"), Value::bulk("1"));
  time_.us = kGrantedUs + kLeaseUs + 1000;
  EXPECT_EQ(renew_permit(), Value::array({Value::number(0)}));
  EXPECT_EQ(take_permit("b:1"), Value::bulk("1"));
}

TEST_F(LeaseEndTest, ALockLastsForItsWholeLease) {
  EXPECT_EQ(take_lock("a:1").kind, Value::Kind::kBulk);
  time_.us = kGrantedUs + kLeaseUs;
  EXPECT_EQ(take_lock("b:1"), Value::number(0));
  time_.us += 1000;
  EXPECT_EQ(take_lock("b:1").kind, Value::Kind::kBulk);
}

}  // namespace
}  // namespace dsync::simulation
