// What condition_wait and condition_notify say to old processes, and hear from them.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "support/condition_calls.h"

namespace dsync::tests {
namespace {

class ConditionFleetScriptTest : public ConditionScriptTest {
 protected:
  // Of dsync, and subscribed as its sessions are.
  std::unique_ptr<Listener> listen() {
    return std::make_unique<Listener>(server_, Texts{kChannel, kListeners});
  }

  std::string counter() { return redis_({"GET", kCounter}); }
  void notify_as_old(int count = 1) { redis_({"INCRBY", kCounter, std::to_string(count)}); }
  // An old waiter that has heard of it.
  bool wake_as_old() {
    const bool woken = redis_.integer({"DECR", kCounter}) >= 0;
    if (!woken) redis_({"INCR", kCounter});
    return woken;
  }
  std::string wait_and_hear(const std::string& operation) {
    return wait({.operation = operation, .heard = "1"});
  }

  Inbox a_{server_, "a"};
};

TEST_F(ConditionFleetScriptTest, OldWaitersAreNotified) {
  Listener old(server_, {kChannel});
  hold();
  notify();
  EXPECT_EQ(old.messages(redis_), Texts{"1"});
  EXPECT_EQ(counter(), "'1'");
  EXPECT_TRUE(wake_as_old());
  EXPECT_FALSE(wake_as_old());
}

TEST_F(ConditionFleetScriptTest, AsManyAsThereAre) {
  Listener first(server_, {kChannel});
  Listener second(server_, {kChannel});
  const auto ours = listen();
  hold();
  wake("5");
  EXPECT_EQ(counter(), "'2'");
  // They have not come yet, but nobody else is there.
  wake("-1");
  EXPECT_EQ(counter(), "'2'");
}

TEST_F(ConditionFleetScriptTest, OursComeFirst) {
  Listener old(server_, {kChannel});
  wait_as("a:1");
  wait_as("a:2");
  hold();
  notify();
  EXPECT_EQ(counter(), "nil");
  EXPECT_EQ(old.messages(redis_), Texts{});
  notify({.count = "2", .operation = "h:3"});
  EXPECT_EQ(a_.messages(redis_), (Texts{"a open 1", "a open 2"}));
  EXPECT_EQ(counter(), "'1'");
}

TEST_F(ConditionFleetScriptTest, EachComesFirstAtTimesWhileAFleetMigrates) {
  Listener old(server_, {kChannel});
  hold();
  bool ours_came = false;
  bool old_came = false;
  for (int i = 1; i <= 1000 && !(ours_came && old_came); ++i) {
    const auto waiter = "a:" + std::to_string(i);
    wait_as(waiter);
    notify({.operation = "h:" + std::to_string(i), .width = "1"});
    const bool woken = wait_as(waiter) == "'1'";
    (woken ? ours_came : old_came) = true;
    EXPECT_EQ(wake_as_old(), !woken);
    woken ? confirm(waiter) : leave_as(waiter);
  }
  EXPECT_TRUE(ours_came);
  EXPECT_TRUE(old_came);
}

TEST_F(ConditionFleetScriptTest, OldNotificationsWakeOurs) {
  const auto ours = listen();
  for (const auto* operation : {"a:1", "a:2", "a:3"}) wait_as(operation);
  notify_as_old(2);
  EXPECT_EQ(wait_and_hear("a:1"), "'1'");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1 2"});
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kWaiting), Texts{"a:3"});
  EXPECT_EQ(numbers_in(wait_and_hear("a:3"))[0], -1);
}

TEST_F(ConditionFleetScriptTest, OldNotificationsWakeThoseWithTheLock) {
  const auto ours = listen();
  wait_with_lock("a");
  notify_as_old();
  fence_in(wait({.operation = "a:2", .token = "of a", .heard = "1"}));
  EXPECT_EQ(redis_({"GET", kKey}), "'of a'");
}

// It may be meant for an old waiter, which takes it when it hears of it.
TEST_F(ConditionFleetScriptTest, WhatWasNotHeardIsNotTaken) {
  const auto ours = listen();
  Listener old(server_, {kChannel});
  wait_as("a:1");
  notify_as_old();
  EXPECT_EQ(numbers_in(wait_as("a:1"))[4], 0);
  EXPECT_EQ(counter(), "'1'");
}

// The link was down when it was said.
TEST_F(ConditionFleetScriptTest, WhatWasMissedIsTakenWhereItIsForNobodyElse) {
  const auto ours = listen();
  wait_as("a:1");
  wait_as("a:2");
  notify_as_old();
  EXPECT_EQ(numbers_in(wait_as("a:2"))[4], 0);
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(ConditionFleetScriptTest, MoreThanThereAreWaitersIsLeft) {
  const auto ours = listen();
  Listener old(server_, {kChannel});
  wait_as("a:1");
  notify_as_old(3);
  EXPECT_EQ(wait_and_hear("a:1"), "'1'");
  EXPECT_EQ(counter(), "'2'");
  EXPECT_TRUE(wake_as_old());
}

TEST_F(ConditionFleetScriptTest, WhatIsMeantForOldWaitersIsNotTaken) {
  Listener old(server_, {kChannel});
  hold();
  notify();
  const auto ours = listen();
  wait_as("a:1");
  const auto place = numbers_in(wait_and_hear("a:1"));
  // When it may be taken after all.
  EXPECT_GT(place[0], 0);
  EXPECT_LE(place[0], 1'000);
  EXPECT_EQ(counter(), "'1'");
  redis_({"DEL", kReserved});
  EXPECT_EQ(wait_and_hear("a:1"), "'1'");
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(ConditionFleetScriptTest, WhatWasGivenWhenNobodyWaitedIsForNobody) {
  notify_as_old(2);
  const auto ours = listen();
  wait_as("a:1");
  EXPECT_EQ(numbers_in(wait_and_hear("a:1"))[0], -1);
  EXPECT_EQ(a_.messages(redis_), Texts{});
  EXPECT_EQ(members(kWaiting), Texts{"a:1"});
}

TEST_F(ConditionFleetScriptTest, WhatOldWaitersHaveNotTakenYetIsLeftToThem) {
  Listener old(server_, {kChannel});
  notify_as_old();
  const auto ours = listen();
  wait_as("a:1");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_TRUE(wake_as_old());
}

TEST_F(ConditionFleetScriptTest, OldNotificationsAreNotLostToTheDead) {
  const auto ours = listen();
  wait_as("dead:1");
  wait_as("a:1");
  notify_as_old();
  EXPECT_EQ(wait_and_hear("a:1"), "'1'");
  EXPECT_EQ(counter(), "'0'");
}

}  // namespace
}  // namespace dsync::tests
