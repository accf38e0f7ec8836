// lock_release and lock_renew, as their headers describe them.
#include <gtest/gtest.h>

#include <string>

#include "support/lock_calls.h"

namespace dsync::tests {
namespace {

class ReleaseScriptTest : public LockScriptTest {};

TEST_F(ReleaseScriptTest, FreesTheLock) {
  acquire();
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(redis_.keys(), std::vector<std::string>{kFence});
  expect_nothing_left();
}

TEST_F(ReleaseScriptTest, FreesALockWithoutExpiry) {
  acquire({.lease = "0", .first = "0"});
  EXPECT_EQ(release({.first = "0"}), "1");
  expect_nothing_left();
}

TEST_F(ReleaseScriptTest, FreesOnlyWhatTheOperationHolds) {
  EXPECT_EQ(release(), "0");
  acquire();
  EXPECT_EQ(release({.operation = "a:2"}), "0");
  EXPECT_EQ(release({.token = "other"}), "0");
  EXPECT_EQ(redis_({"GET", kKey}), "'token'");
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(release(), "0");
}

TEST_F(ReleaseScriptTest, LeavesTheQueue) {
  acquire();
  acquire({.operation = "b:1"});
  EXPECT_EQ(release({.operation = "b:1"}), "2");
  EXPECT_EQ(release({.operation = "b:1"}), "0");
  EXPECT_EQ(queued(), 0);
  EXPECT_EQ(redis_({"GET", kKey}), "'token'");
  EXPECT_EQ(release(), "1");
  expect_nothing_left();
}

TEST_F(ReleaseScriptTest, HandsOverToTheOldest) {
  acquire();
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1", .token = "of b"});
  acquire({.operation = "b:2"});
  const auto before = server_us();
  EXPECT_EQ(release(), "1");
  const auto message = inbox.message();
  const auto fence = message.substr(4, 16);
  // The time is that of the grant, in seconds and microseconds.
  const auto rest = message.substr(21);
  const auto space = rest.find(' ');
  const auto granted =
      std::stoll(rest.substr(0, space)) * 1'000'000 + std::stoll(rest.substr(space));
  EXPECT_GE(granted, before);
  EXPECT_LE(granted, server_us());
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
  EXPECT_EQ(redis_({"GET", kFence}), '\'' + fence + " b:1+'");
  EXPECT_LE(ttl(kKey), 5'000);
  EXPECT_GT(ttl(kKey), 0);
  EXPECT_EQ(queued(), 1);
}

TEST_F(ReleaseScriptTest, HandsOverWithoutExpiry) {
  acquire();
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1", .lease = "0", .first = "0"});
  release();
  inbox.message();
  EXPECT_EQ(ttl(kKey), -1);
  EXPECT_EQ(ttl(kFence), -1);
  EXPECT_EQ(release({.operation = "b:1", .first = "0"}), "1");
  expect_nothing_left();
}

TEST_F(ReleaseScriptTest, PassesByTheDead) {
  acquire();
  acquire({.operation = "b:1"});
  Inbox inbox(server_, "c");
  acquire({.operation = "c:1"});
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(inbox.message().substr(0, 4), "c:1 ");
  EXPECT_EQ(queued(), 0);
}

TEST_F(ReleaseScriptTest, FreesTheLockWhenAllAreDead) {
  acquire();
  acquire({.operation = "b:1"});
  acquire({.operation = "c:1"});
  EXPECT_EQ(release(), "1");
  expect_nothing_left();
  // Whoever was passed by is queued, or granted, when it asks again.
  fence_in(acquire({.operation = "b:1"}));
}

TEST_F(ReleaseScriptTest, LeavesNothingOfTheDeadThatWantedNoExpiry) {
  acquire();
  acquire({.operation = "b:1", .lease = "0", .first = "0"});
  EXPECT_EQ(release(), "1");
  expect_nothing_left();
}

TEST_F(ReleaseScriptTest, LeavesNothingOfADeadQueueWithoutExpiry) {
  acquire({.lease = "0", .first = "0"});
  acquire({.operation = "b:1", .lease = "0", .first = "0"});
  EXPECT_EQ(release({.first = "0"}), "1");
  expect_nothing_left();
}

TEST_F(ReleaseScriptTest, FreesNothingWithoutAFence) {
  acquire();
  redis_({"DEL", kFence});
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(redis_({"GET", kKey}), "'token'");
}

TEST_F(ReleaseScriptTest, LeavesNoLockWithoutExpiryBehindADeletedFence) {
  acquire({.lease = "0", .first = "0"});
  redis_({"DEL", kFence});
  EXPECT_EQ(release({.token = "other", .first = "0"}), "0");
  EXPECT_EQ(redis_({"GET", kKey}), "'token'");
  // It cannot know, so it does not say that it held.
  EXPECT_EQ(release({.first = "0"}), "0");
  EXPECT_EQ(redis_.keys(), std::vector<std::string>{});
}

TEST_F(ReleaseScriptTest, HandsOverWithinOneToken) {
  acquire();
  Inbox inbox(server_, "a");
  acquire({.operation = "a:2"});
  release();
  EXPECT_EQ(inbox.message().substr(0, 4), "a:2 ");
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(release({.operation = "a:2"}), "1");
}

class RenewScriptTest : public LockScriptTest {};

TEST_F(RenewScriptTest, MakesALeaseLast) {
  acquire();
  redis_({"PEXPIRE", kKey, "1000"});
  redis_({"PEXPIRE", kFence, "2000"});
  EXPECT_EQ(renew({{}}), "[1]");
  EXPECT_GT(ttl(kKey), 20'000);
  EXPECT_LE(ttl(kKey), 30'000);
  EXPECT_GT(ttl(kFence), ttl(kKey) + 500'000);
}

TEST_F(RenewScriptTest, NeverMakesALeaseShorter) {
  acquire();
  EXPECT_EQ(renew({{.lease = "100"}}), "[1]");
  EXPECT_GT(ttl(kKey), 20'000);
  EXPECT_EQ(renew({{.lease = "60000"}}), "[1]");
  EXPECT_GT(ttl(kKey), 50'000);
}

TEST_F(RenewScriptTest, OnlyAsksWithoutALease) {
  acquire();
  redis_({"PEXPIRE", kKey, "20000"});
  EXPECT_EQ(renew({{.lease = "0"}}), "[1]");
  EXPECT_LE(ttl(kKey), 20'000);
}

TEST_F(RenewScriptTest, LeavesALockWithoutExpiryAlone) {
  acquire({.lease = "0", .first = "0"});
  EXPECT_EQ(renew({{.lease = "30000"}}), "[1]");
  EXPECT_EQ(ttl(kKey), -1);
  EXPECT_EQ(ttl(kFence), -1);
}

TEST_F(RenewScriptTest, KnowsWhoHolds) {
  acquire();
  acquire({.operation = "b:1"});
  EXPECT_EQ(renew({{}, {.operation = "b:1"}, {.token = "other"}, {.key = "free"}}), "[1, 0, 0, 0]");
  redis_({"DEL", kFence});
  EXPECT_EQ(renew({{}}), "[0]");
}

TEST_F(RenewScriptTest, NeverTakesALock) {
  EXPECT_EQ(renew({{}}), "[0]");
  acquire();
  redis_({"DEL", kKey});
  EXPECT_EQ(renew({{}}), "[0]");
  EXPECT_EQ(redis_.keys(), std::vector<std::string>{kFence});
}

TEST_F(RenewScriptTest, AStrangeKeyDoesNotStopTheOthers) {
  acquire();
  redis_({"RPUSH", "list", "x"});
  redis_({"SET", "half", "token"});
  redis_({"RPUSH", "{half}:dsync:fence", "x"});
  EXPECT_EQ(renew({{.key = "list"}, {.key = "half"}, {}}), "[0, 0, 1]");
}

TEST_F(RenewScriptTest, DoesNothingForNobody) { EXPECT_EQ(renew({}), "[]"); }

}  // namespace
}  // namespace dsync::tests
