// condition_leave, as its header describes it.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/condition_calls.h"

namespace dsync::tests {
namespace {

class ConditionLeaveScriptTest : public ConditionScriptTest {
 protected:
  std::string leave_with_lock(const std::string& session) {
    return leave({.operation = session + ":2", .token = "of " + session});
  }

  Inbox a_{server_, "a"};
  Inbox b_{server_, "b"};
};

TEST_F(ConditionLeaveScriptTest, EndsTheWaiting) {
  wait_as("a:1");
  wait_with_lock("b");
  EXPECT_EQ(leave_as("a:1"), "2");
  EXPECT_EQ(leave_as("a:1"), "0");
  EXPECT_EQ(leave_with_lock("b"), "2");
  EXPECT_EQ(leave_with_lock("b"), "0");
  EXPECT_EQ(members(kWaiting), Texts{});
  hold();
  wake("-1");
  EXPECT_EQ(members(kTold), Texts{});
}

TEST_F(ConditionLeaveScriptTest, NobodyLeavesWhatIsEmpty) {
  EXPECT_EQ(leave_as("a:1"), "0");
  EXPECT_EQ(confirm("a:1"), "0");
  EXPECT_EQ(redis_.keys(), Texts{});
}

TEST_F(ConditionLeaveScriptTest, ConfirmsThatItWasWoken) {
  wait_as("a:1");
  wait_with_lock("b");
  wait_as("a:3");
  hold();
  wake("2");
  EXPECT_EQ(confirm("a:1"), "1");
  EXPECT_EQ(confirm("a:1"), "0");
  EXPECT_EQ(confirm("b:2", "of b"), "1");
  // The notifications are used.
  EXPECT_EQ(leave_as("a:1"), "0");
  EXPECT_EQ(members(kWaiting), Texts{"a:3"});
  EXPECT_EQ(members(kTold), Texts{});
}

TEST_F(ConditionLeaveScriptTest, PassesTheNotificationOn) {
  for (const auto* operation : {"a:1", "b:1", "b:2"}) wait_as(operation);
  hold();
  notify();
  EXPECT_EQ(leave_as("a:1"), "1");
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
  EXPECT_EQ(leave_as("a:1"), "0");
  EXPECT_EQ(leave_as("b:1"), "1");
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 2"});
}

TEST_F(ConditionLeaveScriptTest, PassesItOnToNobodyThatCameLater) {
  wait_as("a:1");
  hold();
  notify();
  wait_as("b:1");
  EXPECT_EQ(leave_as("a:1"), "1");
  EXPECT_EQ(b_.messages(redis_), Texts{});
  EXPECT_EQ(members(kWaiting), Texts{"b:1"});
  EXPECT_EQ(members(kTold), Texts{});
}

TEST_F(ConditionLeaveScriptTest, PassesItOnToNobodyThatCameLaterTheSecondTimeEither) {
  wait_as("a:1");
  wait_as("b:1");
  hold();
  notify();
  wait_as("b:2");
  leave_as("a:1");
  EXPECT_EQ(leave_as("b:1"), "1");
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
  EXPECT_EQ(members(kWaiting), Texts{"b:2"});
}

TEST_F(ConditionLeaveScriptTest, PassesItOnPastTheDead) {
  for (const auto* operation : {"a:1", "dead:1", "b:1"}) wait_as(operation);
  hold();
  notify();
  leave_as("a:1");
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
}

TEST_F(ConditionLeaveScriptTest, PassesItOnToOneThatIsConnectingAnew) {
  wait_as("a:1");
  wait_as("away:1");
  hold();
  notify();
  leave_as("a:1");
  EXPECT_EQ(wait_as("away:1"), "'1'");
}

TEST_F(ConditionLeaveScriptTest, PassesItOnWithTheLock) {
  wait_as("a:1");
  wait_with_lock("b");
  hold();
  notify();
  leave_as("a:1");
  EXPECT_EQ(members(kQueue), Texts{place("b")});
  free_lock();
  EXPECT_EQ(b_.message().substr(0, 4), "b:2 ");
}

TEST_F(ConditionLeaveScriptTest, GivesAFreeLockToTheOneThatItWakes) {
  wait_as("a:1");
  wait_with_lock("b");
  hold();
  notify();
  free_lock();
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
  leave_as("a:1");
  EXPECT_EQ(b_.message().substr(0, 4), "b:2 ");
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
}

// With the lock: what follows is a release, which takes it out of the queue of the lock.
TEST_F(ConditionLeaveScriptTest, BeforeItGetsTheLock) {
  wait_with_lock("a");
  wait_with_lock("b");
  hold();
  notify();
  EXPECT_EQ(leave_with_lock("a"), "1");
  EXPECT_EQ(release_as("a"), "2");
  EXPECT_EQ(members(kQueue), Texts{place("b")});
  free_lock();
  EXPECT_EQ(b_.message().substr(0, 4), "b:2 ");
  EXPECT_EQ(a_.messages(redis_), Texts{});
}

TEST_F(ConditionLeaveScriptTest, WithTheLock) {
  wait_with_lock("a");
  wait_with_lock("b");
  hold();
  notify();
  free_lock();
  EXPECT_EQ(leave_with_lock("a"), "1");
  EXPECT_EQ(redis_({"GET", kKey}), "'of a'");
  EXPECT_EQ(release_as("a"), "1");
  EXPECT_EQ(b_.message().substr(0, 4), "b:2 ");
}

TEST_F(ConditionLeaveScriptTest, EveryNotificationIsUsedOnce) {
  for (int i = 1; i <= 10; ++i) wait_as("a:" + std::to_string(i));
  hold();
  wake("4");
  // Two use it; the others pass it on to two, of which one passes it on.
  for (const auto* operation : {"a:1", "a:2"}) confirm(operation);
  for (const auto* operation : {"a:3", "a:4", "a:5"}) EXPECT_EQ(leave_as(operation), "1");
  EXPECT_EQ(members(kTold), (Texts{"a:6", "a:7"}));
  EXPECT_EQ(members(kWaiting), (Texts{"a:8", "a:9", "a:10"}));
}

TEST_F(ConditionLeaveScriptTest, WithoutMemoryItLeavesAllTheSame) {
  for (const auto* operation : {"a:1", "b:1", "b:2"}) wait_as(operation);
  hold();
  notify();
  fill_memory();
  EXPECT_EQ(leave_as("a:1"), "1");
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
  EXPECT_EQ(confirm("b:1"), "1");
  EXPECT_EQ(leave_as("b:2"), "2");
}

}  // namespace
}  // namespace dsync::tests
