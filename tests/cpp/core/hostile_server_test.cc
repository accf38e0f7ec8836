// What no script answers or publishes: found by fuzzing the core (tests/fuzz), and told apart here.
#include <gtest/gtest.h>

#include <string>

#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::Kind;

constexpr auto kMost = INT64_MAX;
constexpr auto kLeast = INT64_MIN;

class HostileServerTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  // Something is planned, and when its time has come something else is.
  void expect_progress() {
    for (int i = 0; i < 2; ++i) {
      EXPECT_GE(machine().deadline(), now_);
      EXPECT_LE(machine().deadline(), now_ + 30s);
      now_ = machine().deadline();
      machine().tick(now_);
    }
  }
};

TEST_F(HostileServerTest, AnUnexpectedReplySaysSo) {
  for (const auto& bytes : {nil(), array({}), simple(""), failure(""), bulk("text")}) {
    const auto id = std::to_string(acquire());
    answer(bytes);
    EXPECT_EQ(completed(), Texts{id + " failed: ERR unexpected reply of the server"});
    answer(number(0));
  }
}

TEST_F(HostileServerTest, AnEmptyErrorRefusesASubscription) {
  acquire({.key = "event_a", .kind = Kind::kEvent});
  push(failure(""));
  EXPECT_EQ(completed(), Texts{"1 failed: ERR"});
}

TEST_F(HostileServerTest, TimesBeyondAllClocksMoveNone) {
  for (const auto time : {kMost, kLeast}) {
    wait({}, {.ttl_ms = time, .rank = 1, .length = time, .server_us = time});
    expect_progress();
    take();
    answer(reply({.ttl_ms = time, .rank = time, .length = time, .server_us = time, .added = time}));
    expect_progress();
    machine().abandon_all(now_);
    take();
    answer(number(1));
    answer(number(1));
  }
}

TEST_F(HostileServerTest, AGrantAtAnImpossibleTimeIsNotValidForLonger) {
  for (const auto server_us : {kMost, kLeast, std::int64_t{1'000'000'000}}) {
    for (const std::string time : {"9223372036854775807 9223372036854775807",
                                   "-9223372036854775808 -9223372036854775808", "0 0"}) {
      const auto id = wait({}, {.server_us = server_us});
      now_ += 1s;
      push(told("s:" + std::to_string(id) + " 1700000000000001 " + time));
      ASSERT_EQ(completed(), Texts{std::to_string(id) + " granted"});
      EXPECT_LE(machine().valid_for(id, now_), 5s);
    }
  }
}

TEST_F(HostileServerTest, AMessageThatIsNoGrantGrantsNothing) {
  wait();
  for (const auto* text : {"s:1", "s:1 ", "s:1 0 0 0", "s:1 -5 1 1", "s:1abcdef", "s:1 a b c",
                           "s:99999999999999999999 1 1 1", "s:1 99999999999999999999 1 1"}) {
    push(told(text));
    EXPECT_EQ(completed(), Texts{}) << text;
  }
}

// A round is of parties, and cannot end the waiting of others.
TEST_F(HostileServerTest, AMessageOfARoundGrantsNoLock) {
  wait();
  push(told("s open 1"));
  push(told("s broken 1"));
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(HostileServerTest, NobodyIsToldWhatTheyHaveNotAskedFor) {
  acquire({.key = "distributed_barrier_count_a", .kind = Kind::kBarrier, .number = 2});
  acquire({.key = "distributed_lock_a", .kind = Kind::kCondition});
  EXPECT_EQ(take(), Texts{});
  push(told("s open 1"));
  push(grant_message("s:2", 1, 0));
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(HostileServerTest, OnlySemaphoresHaveALimit) {
  const auto id = hold();
  machine().release(id, now_);
  answer(number(3));
  EXPECT_EQ(completed(), Texts{"1 not held"});
  EXPECT_FALSE(machine().holds(id));
  EXPECT_FALSE(looked_after());
}

}  // namespace
}  // namespace dsync::tests
