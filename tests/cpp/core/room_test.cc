// A server that does not read: what has not left may be given up, so nothing piles up.
#include <gtest/gtest.h>

#include <string>

#include "primitives/commands.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using client::Channel;
using primitives::Kind;

const std::string kLong(200 << 10, 'x');

class RoomTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  // Two long commands, each with several keys, take the place of all that busy callers send.
  void fill() {
    for (int i = 0; i < 2; ++i) acquire({.key = kLong});
  }
  std::size_t length(Channel channel = Channel::kCommands) {
    return session_.client().output(channel).size();
  }
  // The driver has sent everything, and asks what there is to do.
  Texts drain() {
    auto result = take();
    EXPECT_EQ(tick(), 0s);
    return result;
  }
};

TEST_F(RoomTest, WhatHasNoRoomWaitsForIt) {
  fill();
  const auto before = length();
  for (const auto* key : {"a", "b", "c"}) acquire({.key = key});
  EXPECT_EQ(length(), before);
  EXPECT_GT(session_.deadline(), now_);
  EXPECT_EQ(drain(), (Texts{"lock_acquire s:1", "lock_acquire s:2"}));
  EXPECT_EQ(take(), (Texts{"lock_acquire s:3", "lock_acquire s:4", "lock_acquire s:5"}));
  EXPECT_GT(session_.deadline(), now_);
}

TEST_F(RoomTest, TheRestWaitsAgain) {
  for (int i = 0; i < 3; ++i) fill();
  EXPECT_EQ(drain(), (Texts{"lock_acquire s:1", "lock_acquire s:2"}));
  EXPECT_EQ(drain(), (Texts{"lock_acquire s:3", "lock_acquire s:4"}));
  EXPECT_EQ(take(), (Texts{"lock_acquire s:5", "lock_acquire s:6"}));
}

TEST_F(RoomTest, WhoGivesUpBeforeThereIsRoomSendsNothing) {
  fill();
  acquire({.key = "a", .timeout = 10ms});
  const auto abandoned = acquire({.key = "b"});
  const auto question = machine().ask(primitives::locked_question("c"), now_);
  tick();
  EXPECT_EQ(completed(), Texts{"3 timed out"});
  machine().abandon(abandoned, now_);
  machine().abandon(question, now_);
  drain();
  EXPECT_EQ(take(), Texts{});
}

TEST_F(RoomTest, ACallIsCarriedOutThoughNobodyWaitsForIt) {
  fill();
  machine().abandon(machine().ask(primitives::set_call("event_e", true), now_), now_);
  drain();
  EXPECT_EQ(take(), Texts{"event_set s:3"});
}

TEST_F(RoomTest, AReleaseWaitsForRoom) {
  const auto held = hold();
  fill();
  machine().release(held, now_);
  EXPECT_EQ(drain(), (Texts{"lock_acquire s:2", "lock_acquire s:3"}));
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
}

TEST_F(RoomTest, SubscriptionsWaitForRoom) {
  for (const auto* end : {"1", "2", "3", "4", "5", "6"}) {
    acquire({.key = "event_" + kLong + end, .kind = Kind::kEvent});
  }
  const auto before = length(Channel::kInbox);
  acquire({.key = "event_a", .kind = Kind::kEvent});
  const auto abandoned = acquire({.key = "event_b", .kind = Kind::kEvent});
  EXPECT_EQ(length(Channel::kInbox), before);
  machine().abandon(abandoned, now_);
  take_inbox();
  EXPECT_EQ(tick(), 0s);
  EXPECT_EQ(take_inbox(), Texts{"SUBSCRIBE event_a_channel"});
}

TEST_F(RoomTest, ANewLinkHasRoom) {
  fill();
  acquire({.key = "a"});
  lose();
  connect();
  EXPECT_EQ(drain(), (Texts{"lock_acquire s:1", "lock_acquire s:2"}));
  EXPECT_EQ(take(), Texts{"lock_acquire s:3"});
}

TEST_F(RoomTest, AQuestionThatNobodyAsksAnyMoreIsNotSentAgain) {
  machine().abandon(machine().ask(primitives::locked_question("a"), now_), now_);
  take();
  lose();
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(RoomTest, ACallThatNobodyWaitsForEndsWhenTheServerStaysAway) {
  lose();
  machine().abandon(machine().ask(primitives::set_call("event_e", true), now_), now_);
  EXPECT_TRUE(machine().wants_link(false));
  machine().give_up({base::ErrorKind::kConnection, "away"});
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

}  // namespace
}  // namespace dsync::tests
