// A lock changes hands within the session, without the server.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

#include "primitives/local_queues.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::kLocalTime;
using primitives::kLocalTurns;
using primitives::kStayTime;

constexpr std::int64_t kFenceOfFirst = 1'700'000'000'000'000;

class LocalTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  static Wish wish() { return {.local = true}; }
  // Returns whether another one has inherited.
  bool release(OperationId id) { return machine().release(id, now_); }

  // Asks for the lock while somebody here has it, or waits for it.
  OperationId stay(const Wish& wish = LocalTest::wish()) {
    const auto id = acquire(wish);
    EXPECT_EQ(take(), Texts{});
    return id;
  }

  // That the lock, which the server granted to "s:1", goes back there.
  void expect_at_server(OperationId holder) {
    EXPECT_FALSE(release(holder));
    EXPECT_EQ(completed(), Texts{});
    EXPECT_EQ(take().at(0), "lock_release s:1");
  }
};

TEST_F(LocalTest, AWaiterInheritsWithoutTheServer) {
  hold(wish(), kFenceOfFirst);
  stay({.token = "other", .local = true});
  EXPECT_TRUE(release(1));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().holds(1));
  EXPECT_TRUE(machine().holds(2));
  EXPECT_EQ(machine().fence(2), kFenceOfFirst + 1);
}

TEST_F(LocalTest, TheHeirReleasesWhatTheServerGranted) {
  hold(wish());
  stay({.token = "other", .local = true});
  release(1);
  EXPECT_EQ(machine().claim(2).token, "token");
  release(2);
  const auto command = take_commands().at(0);
  EXPECT_EQ(arguments_of(command), (Texts{"token", "s:1", "5000"}));
  answer(number(1));
  EXPECT_EQ(completed(), (Texts{"2 granted", "2 released"}));
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_FALSE(looked_after());
}

TEST_F(LocalTest, TheOldestInherits) {
  hold(wish());
  stay();
  stay();
  release(1);
  EXPECT_EQ(completed(), Texts{"2 granted"});
  release(2);
  EXPECT_EQ(completed(), Texts{"3 granted"});
}

TEST_F(LocalTest, TheLeaseGoesOnAndIsRenewed) {
  hold(wish());
  stay();
  now_ += 4ms;
  release(1);
  EXPECT_EQ(machine().valid_for(2, now_), 30s - 4ms);
  const auto due = table_->scan(now_ + 10s).due;
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0]->operation, "s:1");
  table_->renewed(*due[0], now_ + 10s);
  EXPECT_EQ(machine().valid_for(2, now_), 40s);
}

TEST_F(LocalTest, TheHeirHearsOfALoss) {
  hold(wish());
  stay();
  release(1);
  completed();
  table_->lost(machine().claim(2));
  EXPECT_EQ(machine().take_losses(), std::vector<OperationId>{2});
  EXPECT_EQ(machine().valid_for(2, now_), 0s);
}

TEST_F(LocalTest, WhatIsLostIsNotInherited) {
  hold(wish());
  stay();
  // Found by the renewal, but not told yet.
  table_->lost(machine().claim(1));
  release(1);
  EXPECT_EQ(take(), (Texts{"lock_release s:1", "lock_acquire s:2"}));
}

TEST_F(LocalTest, SoManyTimesInARow) {
  hold(wish(), kFenceOfFirst);
  OperationId holder = 1;
  for (int turn = 0; turn < kLocalTurns; ++turn) {
    const auto heir = stay();
    release(holder);
    holder = heir;
    EXPECT_TRUE(machine().holds(heir));
  }
  EXPECT_EQ(machine().fence(holder), kFenceOfFirst + kLocalTurns);
  completed();
  stay();
  expect_at_server(holder);
}

TEST_F(LocalTest, TheGreatestTokenHasNoNext) {
  hold(wish(), std::numeric_limits<std::int64_t>::max());
  stay();
  expect_at_server(1);
}

TEST_F(LocalTest, ForSoLong) {
  hold(wish());
  stay();
  stay();
  now_ += kLocalTime - 1us;
  release(1);
  EXPECT_EQ(completed(), Texts{"2 granted"});
  now_ += 1us;
  // The time counts from the grant of the server.
  release(2);
  EXPECT_EQ(take(), (Texts{"lock_release s:1", "lock_acquire s:3"}));
}

TEST_F(LocalTest, ANewGrantBeginsANewCount) {
  hold(wish());
  stay();
  now_ += kLocalTime;
  release(1);
  EXPECT_EQ(take(), (Texts{"lock_release s:1", "lock_acquire s:2"}));
  stay();
  answer(number(1) + granted(kFenceOfFirst + 100));
  release(2);
  EXPECT_EQ(machine().fence(3), kFenceOfFirst + 101);
}

TEST_F(LocalTest, WhoStaysTooLongAsksTheServer) {
  hold(wish());
  stay();
  EXPECT_EQ(tick(), kStayTime);
  EXPECT_EQ(take(), Texts{"lock_acquire s:2"});
  answer(reply({.rank = 1, .length = 1}));
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(LocalTest, NobodyStaysForALockThatIsHeldForLong) {
  hold(wish());
  now_ += kLocalTime;
  acquire(wish());
  EXPECT_EQ(take(), Texts{"lock_acquire s:2"});
}

TEST_F(LocalTest, WhoGoesToTheServerTakesThoseBeforeAlong) {
  hold(wish());
  stay();
  stay();
  now_ += kLocalTime;
  acquire(wish());
  EXPECT_EQ(take(), (Texts{"lock_acquire s:2", "lock_acquire s:3", "lock_acquire s:4"}));
}

TEST_F(LocalTest, OneOfManyAsksTheServer) {
  acquire(wish());
  EXPECT_EQ(take(), Texts{"lock_acquire s:1"});
  stay();
  stay();
  answer(granted(kFenceOfFirst));
  release(1);
  EXPECT_EQ(completed(), (Texts{"1 granted", "2 granted"}));
}

TEST_F(LocalTest, NobodyStaysBehindOneThatWaitsForLong) {
  wait(wish());
  now_ += kLocalTime;
  acquire(wish());
  EXPECT_EQ(take(), Texts{"lock_acquire s:2"});
}

TEST_F(LocalTest, WhoIsQueuedAtTheServerInheritsAndLeavesTheQueue) {
  hold(wish());
  stay();
  tick();
  take();
  answer(reply({.rank = 1, .length = 1}));
  now_ += kLocalTime;
  machine().abandon(1, now_);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(1));
  // It has asked later, but finds it free: others had it meanwhile, and the place of "s:2" is lost.
  const auto third = hold(wish());
  release(third);
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_EQ(take(), Texts{"lock_release s:2"});
  EXPECT_TRUE(machine().wants_link(false));
  // A grant that was under way is given back by that.
  push(grant_message("s:2", kFenceOfFirst + 500, 1'000'000'000));
  EXPECT_EQ(machine().fence(2), kFenceOfFirst + 1);
  answer(number(2));
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_TRUE(machine().holds(2));
}

TEST_F(LocalTest, WhoIsCancelledHandsItOn) {
  hold(wish());
  stay();
  machine().abandon(1, now_);
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_EQ(take(), Texts{});
}

TEST_F(LocalTest, WhoIsCancelledWhileItStaysLeavesNothing) {
  hold(wish());
  stay();
  machine().abandon(2, now_);
  EXPECT_EQ(take(), Texts{});
  release(1);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(1));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LocalTest, WhoStaysTimesOut) {
  hold(wish());
  stay({.timeout = 2ms, .local = true});
  EXPECT_EQ(tick(), 2ms);
  EXPECT_EQ(completed(), Texts{"2 timed out"});
  EXPECT_EQ(take(), Texts{});
}

TEST_F(LocalTest, ALockThatIsGivenBackToWaitGoesToTheServer) {
  hold(wish());
  stay();
  machine().relock(1, 100ms, now_);
  serve_inbox();
  const auto commands = take();
  EXPECT_NE(std::ranges::find(commands, "lock_acquire s:2"), commands.end());
}

TEST_F(LocalTest, TheHeirMayWaitForANotification) {
  hold(wish());
  stay();
  release(1);
  machine().relock(2, 100ms, now_);
  serve_inbox();
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "condition_wait s:3");
  const auto arguments = arguments_of(command);
  EXPECT_EQ(arguments.at(0), "token");
  EXPECT_NE(std::ranges::find(arguments, "s:1"), arguments.end());
}

TEST_F(LocalTest, WhileTheServerIsAwayNobodyIsAsked) {
  hold(wish());
  stay();
  lose();
  release(1);
  EXPECT_EQ(completed(), Texts{"2 granted"});
  stay();
  connect();
  EXPECT_EQ(take(), Texts{});
  release(2);
  EXPECT_TRUE(machine().holds(3));
}

TEST_F(LocalTest, TheOneThatIsForgottenLeavesTheOthersToTheServer) {
  hold(wish());
  stay();
  machine().forget(1, now_);
  tick();
  EXPECT_EQ(take(), Texts{"lock_acquire s:2"});
}

// What is no reason to hand a lock on: {the holder's wish, the waiter's}.
class StrangersTest : public LocalTest,
                      public ::testing::WithParamInterface<std::array<Wish, 2>> {};

TEST_P(StrangersTest, GoThroughTheServer) {
  const auto& [first, second] = GetParam();
  hold(first);
  acquire(second);
  take();
  expect_at_server(1);
}

INSTANTIATE_TEST_SUITE_P(
    Wishes, StrangersTest,
    ::testing::Values(
        std::array{Wish{}, Wish{}}, std::array{Wish{.local = true}, Wish{}},
        std::array{Wish{}, Wish{.local = true}},
        std::array{Wish{.local = true}, Wish{.lease = 10s, .local = true}},
        std::array{Wish{.renewed = false, .local = true}, Wish{.renewed = false, .local = true}},
        std::array{Wish{.window = 1s, .local = true}, Wish{.window = 1s, .local = true}},
        std::array{Wish{.local = true}, Wish{.queueing = false, .local = true}},
        std::array{Wish{.local = true}, Wish{.key = "other", .local = true}}));

TEST_F(LocalTest, ALeaseThatIsHalfOverIsNotInherited) {
  const Wish brief{.lease = 6ms, .local = true};
  hold(brief);
  acquire(brief);
  now_ += 4ms;
  expect_at_server(1);
}

TEST_F(LocalTest, ALockWithoutExpiryIsInherited) {
  const Wish endless{.lease = primitives::kNoExpiry, .local = true};
  hold(endless);
  stay(endless);
  release(1);
  EXPECT_EQ(completed(), Texts{"2 granted"});
}

}  // namespace
}  // namespace dsync::tests
