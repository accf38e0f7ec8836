// condition_notify, as its header describes it.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/condition_calls.h"

namespace dsync::tests {
namespace {

class ConditionNotifyScriptTest : public ConditionScriptTest {
 protected:
  void expect_no_waiters() {
    EXPECT_EQ(members(kWaiting), Texts{});
    EXPECT_EQ(members(kTold), Texts{});
  }

  // Sessions that are alive.
  Inbox a_{server_, "a"};
  Inbox b_{server_, "b"};
};

TEST_F(ConditionNotifyScriptTest, WakesTheOldest) {
  for (const auto* operation : {"a:1", "b:1", "a:2"}) wait_as(operation);
  hold();
  EXPECT_EQ(wake("2"), "1");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
  EXPECT_EQ(members(kWaiting), Texts{"a:2"});
  EXPECT_EQ(members(kTold), (Texts{"a:1", "b:1"}));
  EXPECT_GT(ttl(kTold), 500'000);
  EXPECT_EQ(redis_({"GET", kKey}), "'holder'");
}

TEST_F(ConditionNotifyScriptTest, WakesNotMoreThanThereAre) {
  for (const auto* operation : {"a:1", "a:2"}) wait_as(operation);
  hold();
  wake("5");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1 2"});
  // What is left over is for nobody that comes later.
  EXPECT_EQ(numbers_in(wait_as("a:3"))[4], 1);
  EXPECT_EQ(numbers_in(wait({.operation = "a:3", .heard = "1"}))[4], 0);
  EXPECT_EQ(a_.messages(redis_), Texts{});
}

TEST_F(ConditionNotifyScriptTest, WakesAllWithOneMessageASession) {
  for (const auto* operation : {"a:1", "b:9", "a:2", "gone:1", "b:8"}) wait_as(operation);
  hold();
  wake("-1");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1 2"});
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 9 8"});
  EXPECT_EQ(members(kTold), (Texts{"a:1", "a:2", "b:8", "b:9", "gone:1"}));
  EXPECT_EQ(members(kWaiting), Texts{});
}

TEST_F(ConditionNotifyScriptTest, WakesMoreThanOneMessageNames) {
  for (int i = 1; i <= 1'001; ++i) redis_({"ZADD", kWaiting, "1", "a:" + std::to_string(i)});
  hold();
  wake("-1");
  EXPECT_EQ(a_.messages(redis_).size(), 2U);
  EXPECT_EQ(members(kTold).size(), 1'001U);
  EXPECT_EQ(members(kWaiting), Texts{});
}

TEST_F(ConditionNotifyScriptTest, WakesNobody) {
  wait_as("a:1");
  hold();
  EXPECT_EQ(wake("0"), "1");
  EXPECT_EQ(a_.messages(redis_), Texts{});
  EXPECT_EQ(members(kWaiting), Texts{"a:1"});
}

TEST_F(ConditionNotifyScriptTest, WithoutWaitersLeavesNothing) {
  hold();
  EXPECT_EQ(wake("3"), "1");
  EXPECT_EQ(redis_.keys(), (Texts{kKey, kDone, kFence}));
  EXPECT_GT(ttl(kDone), 0);
  EXPECT_EQ(numbers_in(wait_as("a:1"))[4], 1);
  EXPECT_EQ(a_.messages(redis_), Texts{});
}

TEST_F(ConditionNotifyScriptTest, ThoseWithTheLockWakeOneByOne) {
  wait_with_lock("a");
  wait_with_lock("b");
  hold();
  wake("-1");
  EXPECT_EQ(members(kQueue), (Texts{place("a"), place("b")}));
  EXPECT_EQ(a_.messages(redis_), Texts{});
  free_lock();
  EXPECT_EQ(a_.message().substr(0, 4), "a:2 ");
  EXPECT_EQ(redis_({"GET", kKey}), "'of a'");
  EXPECT_EQ(b_.messages(redis_), Texts{});
  EXPECT_EQ(release_as("a"), "1");
  EXPECT_EQ(b_.message().substr(0, 4), "b:2 ");
  EXPECT_EQ(release_as("b"), "1");
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
  confirm("a:2", "of a");
  confirm("b:2", "of b");
  expect_no_waiters();
}

TEST_F(ConditionNotifyScriptTest, ThoseWithTheLockQueueBehindOthers) {
  wait_with_lock("a");
  hold();
  acquire({.operation = "b:1", .token = "of b"});
  notify();
  EXPECT_EQ(members(kQueue), (Texts{"b:1 5000 of b", place("a")}));
}

TEST_F(ConditionNotifyScriptTest, EachKindInItsTurn) {
  wait_as("a:9");
  wait_with_lock("b");
  wait_as("a:10");
  hold();
  wake("2");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 9"});
  EXPECT_EQ(members(kQueue), Texts{place("b")});
  EXPECT_EQ(members(kWaiting), Texts{"a:10"});
}

TEST_F(ConditionNotifyScriptTest, NeedsTheLock) {
  wait_as("a:1");
  const auto free = state();
  EXPECT_EQ(notify(), "-1");
  EXPECT_EQ(state(), free);
  acquire({.operation = "b:1", .token = "holder"});
  const auto held = state();
  // Another object; and another operation of the same one.
  EXPECT_EQ(notify({.token = "of b", .holder = "b:1"}), "-1");
  EXPECT_EQ(notify(), "-1");
  EXPECT_EQ(state(), held);
  EXPECT_EQ(a_.messages(redis_), Texts{});
}

TEST_F(ConditionNotifyScriptTest, ByOneThatWokeWithTheLock) {
  wait_with_lock("a");
  wait_as("b:1");
  hold();
  notify();
  free_lock();
  EXPECT_EQ(notify({.operation = "a:3", .token = "of a", .holder = "a:2"}), "1");
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
}

TEST_F(ConditionNotifyScriptTest, HappensOnce) {
  for (const auto* operation : {"a:1", "a:2", "a:3"}) wait_as(operation);
  hold();
  notify();
  EXPECT_EQ(notify({.again = "1"}), "1");
  EXPECT_EQ(a_.messages(redis_).size(), 1U);
  EXPECT_EQ(notify({.operation = "h:3", .again = "1"}), "1");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 2"});
}

TEST_F(ConditionNotifyScriptTest, PassesByThoseThatAreGone) {
  wait_as("gone:1");
  wait_with_lock("dead");
  wait_as("a:1");
  wait_as("a:2");
  hold();
  notify();
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
  EXPECT_EQ(members(kTold), Texts{"a:1"});
}

TEST_F(ConditionNotifyScriptTest, WhoIsConnectingAnewMissesNothing) {
  wait_as("gone:1");
  wait_with_lock("away");
  hold();
  wake("2");
  // Nobody else wanted them.
  EXPECT_EQ(wait_as("gone:1"), "'1'");
  EXPECT_EQ(numbers_in(ask_with_lock("away"))[2], 1);
  Inbox away(server_, "away");
  free_lock();
  EXPECT_EQ(away.message().substr(0, 7), "away:2 ");
}

TEST_F(ConditionNotifyScriptTest, WhoWasPassedByKeepsItsPlace) {
  wait_as("away:1");
  wait_as("a:1");
  wait_as("a:2");
  hold();
  notify();
  Inbox away(server_, "away");
  wait_as("away:1");
  notify({.operation = "h:3"});
  EXPECT_EQ(away.messages(redis_), Texts{"away open 1"});
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
}

TEST_F(ConditionNotifyScriptTest, EverythingOfTheDeadGoesAwayByItself) {
  wait_as("gone:1");
  wait_with_lock("dead");
  hold();
  wake("-1");
  free_lock();
  for (const auto& key : redis_.keys()) EXPECT_GT(ttl(key), 0) << key;
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
}

TEST_F(ConditionNotifyScriptTest, WithoutMemoryNothingHappens) {
  wait_as("a:1");
  hold();
  fill_memory();
  const auto before = state();
  EXPECT_EQ(notify().find("(error) OOM"), 0U);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(a_.messages(redis_), Texts{});
}

TEST_F(ConditionNotifyScriptTest, TheLockIsAList) {
  make_list(kKey);
  const auto before = state();
  expect_wrong_type(notify(), before);
}

}  // namespace
}  // namespace dsync::tests
