// condition_wait, as its header describes it.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/condition_calls.h"

namespace dsync::tests {
namespace {

class ConditionWaitScriptTest : public ConditionScriptTest {};

TEST_F(ConditionWaitScriptTest, WaitsWithoutTheLock) {
  const auto before = server_us();
  const auto place = numbers_in(wait_as("a:1"));
  ASSERT_EQ(place.size(), 5U);
  EXPECT_EQ(place[0], -1);
  EXPECT_EQ(place[1], 0);
  EXPECT_EQ(place[2], 1);
  EXPECT_GE(place[3], before);
  EXPECT_LE(place[3], server_us());
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(redis_.keys(), Texts{kWaiting});
  EXPECT_EQ(members(kWaiting), Texts{"a:1"});
  EXPECT_GT(ttl(kWaiting), 500'000);
}

TEST_F(ConditionWaitScriptTest, WaitsOnceInTheOrderOfTheQuestions) {
  for (const auto* operation : {"b:9", "a:10", "c:1"}) wait_as(operation);
  redis_({"PEXPIRE", kWaiting, "1000"});
  const auto place = numbers_in(wait_as("a:10"));
  EXPECT_EQ(place[1], 0);
  EXPECT_EQ(place[2], 3);
  EXPECT_EQ(place[4], 0);
  EXPECT_EQ(members(kWaiting), (Texts{"b:9", "a:10", "c:1"}));
  EXPECT_GT(ttl(kWaiting), 500'000);
}

TEST_F(ConditionWaitScriptTest, GivesTheLockBackToWait) {
  const auto place = numbers_in(wait_with_lock("a"));
  EXPECT_EQ(place[0], -1);
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
  EXPECT_EQ(members(kWaiting), Texts{"a:2 5000 of a"});
  // Nothing that lasts: this process may die now.
  for (const auto& key : redis_.keys()) EXPECT_GT(ttl(key), 0) << key;
}

TEST_F(ConditionWaitScriptTest, GivesALockWithoutExpiryBack) {
  acquire({.operation = "a:1", .token = "of a", .lease = "0", .first = "0"});
  wait({.operation = "a:2", .token = "of a", .former = "a:1", .lease = "0", .first = "0"});
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
  for (const auto& key : redis_.keys()) EXPECT_GT(ttl(key), 0) << key;
}

TEST_F(ConditionWaitScriptTest, HandsTheLockToItsQueue) {
  acquire({.operation = "a:1", .token = "of a"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .token = "of b"});
  wait({.operation = "a:2", .token = "of a", .former = "a:1"});
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
}

TEST_F(ConditionWaitScriptTest, GivesTheLockBackOnce) {
  wait_with_lock("a");
  acquire({.operation = "b:1", .token = "of b"});
  // The answer was lost, and it asks again in the same words.
  const auto again = numbers_in(wait({.operation = "a:2", .token = "of a", .former = "a:1"}));
  EXPECT_EQ(again[4], 0);
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
  EXPECT_EQ(members(kWaiting).size(), 1U);
}

TEST_F(ConditionWaitScriptTest, NeedsTheLockThatItGivesBack) {
  acquire({.operation = "b:1", .token = "of b"});
  const auto before = state();
  for (const auto* token : {"of a", "of b"}) {
    EXPECT_EQ(wait({.operation = "a:2", .token = token, .former = "a:1"}), "-1");
  }
  EXPECT_EQ(state(), before);
  redis_({"FLUSHALL"});
  EXPECT_EQ(wait({.operation = "a:2", .token = "of a", .former = "a:1"}), "-1");
  EXPECT_EQ(redis_.keys(), Texts{});
}

// It has given the lock back, and then the server lost all that it knew.
TEST_F(ConditionWaitScriptTest, WaitsAgainWithoutTheLockThatItGaveBack) {
  const auto place = numbers_in(ask_with_lock("a"));
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(members(kWaiting), Texts{"a:2 5000 of a"});
}

TEST_F(ConditionWaitScriptTest, TellsThatItWasWoken) {
  Inbox a(server_, "a");
  wait_as("a:1");
  hold();
  notify();
  EXPECT_EQ(wait_as("a:1"), "'1'");
  EXPECT_EQ(wait_as("a:1"), "'1'");
  // Until it has confirmed that.
  EXPECT_EQ(confirm("a:1"), "1");
  EXPECT_EQ(numbers_in(wait_as("a:1"))[4], 1);
}

TEST_F(ConditionWaitScriptTest, TellsThatItHasTheLock) {
  Inbox a(server_, "a");
  wait_with_lock("a");
  hold();
  notify();
  free_lock();
  const auto fence = a.message().substr(4, 16);
  EXPECT_LE(ttl(kKey), 5'000);
  EXPECT_EQ(ask_with_lock("a"), '\'' + fence + '\'');
  EXPECT_GT(ttl(kKey), 20'000);
  // Also when the notification is confirmed.
  confirm("a:2", "of a");
  EXPECT_EQ(ask_with_lock("a"), '\'' + fence + '\'');
}

TEST_F(ConditionWaitScriptTest, WokenItWaitsForTheLock) {
  Inbox a(server_, "a");
  wait_with_lock("a");
  hold();
  acquire({.operation = "b:1", .token = "of b"});
  notify();
  auto place = numbers_in(ask_with_lock("a"));
  EXPECT_EQ(place[0], -1);
  EXPECT_EQ(place[1], 2);
  EXPECT_EQ(place[2], 2);
  EXPECT_EQ(place[4], 0);
  release({.operation = "b:1", .token = "of b"});
  place = numbers_in(ask_with_lock("a"));
  EXPECT_GT(place[0], 20'000);
  EXPECT_EQ(place[1], 1);
  // The holder vanishes.
  redis_({"DEL", kKey});
  fence_in(ask_with_lock("a"));
  EXPECT_EQ(redis_({"GET", kKey}), "'of a'");
}

TEST_F(ConditionWaitScriptTest, FindsADeadOneThatWasWoken) {
  auto dead = std::make_unique<Inbox>(server_, "dead");
  wait_as("dead:1");
  Inbox a(server_, "a");
  wait_as("a:1");
  wait_as("a:2");
  hold();
  notify();
  dead.reset();
  await_death("dead");
  // It may be back soon.
  wait_as("a:2");
  EXPECT_EQ(a.messages(redis_), Texts{});
  let_time_pass();
  // Whoever asks finds it.
  wait_as("a:2");
  EXPECT_EQ(a.message(), "a open 1");
  EXPECT_EQ(members(kTold), Texts{"a:1"});
}

TEST_F(ConditionWaitScriptTest, FindsALockThatNobodyWasGiven) {
  Inbox b(server_, "b");
  wait_as("a:1");
  hold();
  acquire({.operation = "b:1", .token = "of b"});
  // An old process, say, that took the lock over and freed it.
  redis_({"DEL", kKey});
  wait_as("a:1");
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
}

TEST_F(ConditionWaitScriptTest, LeavesALockFreeThatNobodyAliveWaitsFor) {
  for (const auto* first : {"5000", "0"}) {
    hold();
    // Of a session that is not connected.
    acquire({.operation = "d:1", .token = "of d", .lease = first, .first = first});
    redis_({"DEL", kKey});
    wait_as("a:1");
    wait_as("a:1");
    EXPECT_EQ(redis_({"GET", kKey}), "nil");
    EXPECT_GT(ttl(kFence), 0);
  }
}

TEST_F(ConditionWaitScriptTest, ServesNobodyInTheWindow) {
  Inbox b(server_, "b");
  wait_as("a:1");
  hold();
  acquire({.operation = "b:1", .token = "of b"});
  redis_({"DEL", kKey});
  redis_({"SET", kWindow, "1", "PX", "400000"});
  wait({.operation = "a:1", .width = "100000"});
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
  redis_({"PEXPIRE", kWindow, "300000"});
  wait({.operation = "a:1", .width = "100000"});
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
}

class ConditionRejoinScriptTest : public ConditionScriptTest {
 protected:
  std::string rejoin(const std::string& session, const std::string& former = {}) {
    return wait(
        {.operation = session + ":2", .token = "of " + session, .former = former, .verb = "leave"});
  }
};

TEST_F(ConditionRejoinScriptTest, KeepsALockThatItNeverGaveBack) {
  const auto first = fence_in(acquire({.operation = "a:1", .token = "of a"}));
  acquire({.operation = "b:1", .token = "of b"});
  redis_({"PEXPIRE", kKey, "1000"});
  const auto fence = fence_in(rejoin("a", "a:1"));
  EXPECT_GT(fence, first);
  EXPECT_EQ(redis_({"GET", kKey}), "'of a'");
  EXPECT_GT(ttl(kKey), 20'000);
  EXPECT_EQ(queued(), 1);
  // It is held by the new operation now.
  EXPECT_EQ(rejoin("a", "a:1"), '\'' + std::to_string(fence) + '\'');
  EXPECT_EQ(release({.operation = "a:1", .token = "of a"}), "0");
  EXPECT_EQ(release_as("a"), "1");
}

TEST_F(ConditionRejoinScriptTest, KeepsALockWithoutExpiry) {
  acquire({.operation = "a:1", .token = "of a", .lease = "0", .first = "0"});
  fence_in(wait({.operation = "a:2",
                 .token = "of a",
                 .former = "a:1",
                 .verb = "leave",
                 .lease = "0",
                 .first = "0"}));
  EXPECT_EQ(ttl(kKey), -1);
  EXPECT_EQ(ttl(kFence), -1);
}

TEST_F(ConditionRejoinScriptTest, TakesAFreeLock) {
  wait_with_lock("a");
  fence_in(rejoin("a"));
  EXPECT_EQ(redis_({"GET", kKey}), "'of a'");
  EXPECT_EQ(members(kWaiting), Texts{});
}

TEST_F(ConditionRejoinScriptTest, QueuesForATakenLock) {
  wait_with_lock("a");
  hold();
  const auto place = numbers_in(rejoin("a"));
  EXPECT_GT(place[0], 20'000);
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(members(kQueue), Texts{"a:2 5000 of a"});
  EXPECT_EQ(members(kWaiting), Texts{});
  // A notification is not for it any more.
  EXPECT_EQ(notify(), "1");
  EXPECT_EQ(members(kTold), Texts{});
  Inbox a(server_, "a");
  free_lock();
  EXPECT_EQ(a.message().substr(0, 4), "a:2 ");
}

TEST_F(ConditionRejoinScriptTest, PassesItsNotificationOn) {
  Inbox a(server_, "a");
  Inbox b(server_, "b");
  wait_with_lock("a");
  wait_as("b:1");
  hold();
  notify();
  EXPECT_EQ(members(kTold), Texts{"a:2 5000 of a"});
  numbers_in(rejoin("a"));
  EXPECT_EQ(b.message(), "b open 1");
  EXPECT_EQ(members(kTold), Texts{"b:1"});
  EXPECT_EQ(members(kQueue), Texts{"a:2 5000 of a"});
}

TEST_F(ConditionRejoinScriptTest, WithTheLockPassesItsNotificationOn) {
  Inbox a(server_, "a");
  Inbox b(server_, "b");
  wait_with_lock("a");
  wait_as("b:1");
  hold();
  notify();
  free_lock();
  fence_in(rejoin("a"));
  EXPECT_EQ(b.message(), "b open 1");
  EXPECT_EQ(redis_({"GET", kKey}), "'of a'");
}

TEST_F(ConditionRejoinScriptTest, DoesNotTakeTheLockOfAnother) {
  acquire({.operation = "b:1", .token = "of b"});
  // The lease of the one before was over.
  const auto place = numbers_in(rejoin("a", "a:1"));
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
}

}  // namespace
}  // namespace dsync::tests
