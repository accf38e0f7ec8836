// lock_acquire, as its header describes it.
#include <gtest/gtest.h>

#include <string>

#include "primitives/local_queues.h"
#include "support/lock_calls.h"

namespace dsync::tests {
namespace {

class AcquireScriptTest : public LockScriptTest {};

TEST_F(AcquireScriptTest, GrantsAFreeLock) {
  const auto before = server_us();
  const auto fence = fence_in(acquire());
  EXPECT_GE(fence, before);
  EXPECT_LE(fence, server_us());
  EXPECT_EQ(redis_({"GET", kKey}), "'token'");
  EXPECT_EQ(redis_({"GET", kFence}), '\'' + std::to_string(fence) + " a:1'");
  EXPECT_LE(ttl(kKey), 30'000);
  EXPECT_GT(ttl(kKey), 20'000);
  EXPECT_LE(ttl(kFence), 630'000);
  EXPECT_GT(ttl(kFence), 620'000);
  EXPECT_EQ(redis_.integer({"DBSIZE"}), 2);
}

TEST_F(AcquireScriptTest, GrantsWithoutExpiry) {
  acquire({.lease = "0", .first = "0"});
  EXPECT_EQ(ttl(kKey), -1);
  EXPECT_EQ(ttl(kFence), -1);
}

TEST_F(AcquireScriptTest, TellsAgainWhatItGranted) {
  const auto fence = acquire();
  redis_({"PEXPIRE", kKey, "1000"});
  redis_({"PEXPIRE", kFence, "2000"});
  EXPECT_EQ(acquire(), fence);
  // The lease counts from the question.
  EXPECT_GT(ttl(kKey), 20'000);
  EXPECT_GT(ttl(kFence), 620'000);
  EXPECT_EQ(queued(), 0);
}

TEST_F(AcquireScriptTest, TellsAgainWhatItGrantedByMessage) {
  acquire();
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1", .token = "other"});
  release();
  const auto fence = acquire({.operation = "b:1", .token = "other"});
  EXPECT_EQ(inbox.message().substr(0, 20), "b:1 " + fence.substr(1, 16));
  EXPECT_GT(ttl(kKey), 20'000);
}

TEST_F(AcquireScriptTest, TellsAgainWithoutExpiry) {
  const auto fence = acquire({.lease = "0", .first = "0"});
  EXPECT_EQ(acquire({.lease = "0", .first = "0"}), fence);
  EXPECT_EQ(ttl(kKey), -1);
}

TEST_F(AcquireScriptTest, QueuesBehindTheHolder) {
  acquire();
  const auto before = server_us();
  const auto place = numbers_in(acquire({.operation = "b:1", .token = "other"}));
  ASSERT_EQ(place.size(), 5U);
  EXPECT_GT(place[0], 20'000);
  EXPECT_LE(place[0], 30'000);
  EXPECT_EQ(place[1], 1);
  EXPECT_EQ(place[2], 1);
  EXPECT_GE(place[3], before);
  EXPECT_LE(place[3], server_us());
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(redis_({"ZRANGE", kQueue, "0", "-1"}), "['b:1 5000 other']");
  EXPECT_GT(ttl(kQueue), 0);
  // The holder must look for waiters from now on.
  EXPECT_EQ(redis_({"GET", kFence}).substr(17), " a:1+'");
}

TEST_F(AcquireScriptTest, QueuesOnce) {
  acquire();
  const Acquire waiter{.operation = "b:1", .token = "other"};
  const auto first = acquire(waiter);
  const auto again = acquire(waiter);
  EXPECT_EQ(first.substr(first.size() - 4), ", 1]");
  EXPECT_EQ(again.substr(again.size() - 4), ", 0]");
  EXPECT_EQ(queued(), 1);
  EXPECT_EQ(redis_({"GET", kFence}).substr(17), " a:1+'");
}

TEST_F(AcquireScriptTest, QueuesInTheOrderOfTheQuestions) {
  acquire();
  for (const auto* operation : {"b:9", "a:10", "c:1", "b:2"}) acquire({.operation = operation});
  EXPECT_EQ(redis_({"ZRANGE", kQueue, "0", "-1"}),
            "['b:9 5000 token', 'a:10 5000 token', 'c:1 5000 token', 'b:2 5000 token']");
  // Only the first needs to know how long the holder's lease lasts.
  EXPECT_EQ(acquire({.operation = "b:2"}).substr(0, 11), "[-1, 4, 4, ");
}

TEST_F(AcquireScriptTest, QueuesBehindAHolderWithoutExpiry) {
  acquire({.lease = "0", .first = "0"});
  EXPECT_EQ(acquire({.operation = "b:1"}).substr(0, 10), "[-1, 1, 1,");
}

TEST_F(AcquireScriptTest, QueuesBehindAnOldProcess) {
  redis_({"SET", kKey, "old"});
  EXPECT_EQ(acquire().substr(0, 10), "[-1, 1, 1,");
  // Which frees it silently.
  redis_({"DEL", kKey});
  fence_in(acquire());
  EXPECT_EQ(queued(), 0);
}

TEST_F(AcquireScriptTest, IsBusyForWhoDoesNotQueue) {
  acquire();
  const auto fence = redis_({"GET", kFence});
  EXPECT_EQ(acquire({.operation = "b:1", .first = "-1"}), "0");
  EXPECT_EQ(redis_({"GET", kFence}), fence);
  EXPECT_EQ(redis_.integer({"DBSIZE"}), 2);
}

TEST_F(AcquireScriptTest, IsForTheOldestWaiterThatLives) {
  acquire();
  Inbox inbox(server_, "c");
  acquire({.operation = "b:1"});
  acquire({.operation = "c:1", .token = "of c"});
  redis_({"DEL", kKey});
  // b is dead, and c was there before d.
  EXPECT_EQ(acquire({.operation = "d:1"}).substr(5, 7), ", 1, 1,");
  EXPECT_EQ(inbox.message().substr(0, 4), "c:1 ");
  EXPECT_EQ(redis_({"GET", kKey}), "'of c'");
  EXPECT_LE(ttl(kKey), 5'000);
}

TEST_F(AcquireScriptTest, PassesByTheDead) {
  acquire();
  acquire({.operation = "b:1"});
  acquire({.operation = "c:1"});
  redis_({"DEL", kKey});
  fence_in(acquire({.operation = "d:1"}));
  EXPECT_EQ(redis_({"GET", kFence}).substr(17), " d:1+'");
  EXPECT_EQ(queued(), 0);
}

TEST_F(AcquireScriptTest, WhoDoesNotQueueGoesBehindTheLivingOnly) {
  acquire();
  acquire({.operation = "b:1"});
  redis_({"DEL", kKey});
  fence_in(acquire({.operation = "d:1", .first = "-1"}));
  Inbox inbox(server_, "c");
  acquire({.operation = "c:1"});
  redis_({"DEL", kKey});
  EXPECT_EQ(acquire({.operation = "e:1", .first = "-1"}), "0");
  EXPECT_EQ(inbox.message().substr(0, 4), "c:1 ");
}

TEST_F(AcquireScriptTest, FindsAQueueWithoutAFence) {
  acquire();
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1"});
  redis_({"DEL", kKey, kFence});
  acquire({.operation = "c:1"});
  EXPECT_EQ(inbox.message().substr(0, 4), "b:1 ");
}

TEST_F(AcquireScriptTest, TokensGrowWhateverTheClockSays) {
  const auto ahead = server_us() + 3'600'000'000;
  const auto step = primitives::kLocalTurns + 1;
  redis_({"SET", kFence, std::to_string(ahead) + " z:1"});
  EXPECT_EQ(fence_in(acquire()), ahead + step);
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1"});
  release();
  EXPECT_EQ(inbox.message().substr(4, 16), std::to_string(ahead + 2 * step));
  release({.operation = "b:1"});
  EXPECT_EQ(fence_in(acquire({.operation = "c:1"})), ahead + 3 * step);
}

TEST_F(AcquireScriptTest, AQueueThatNobodyAsksAboutGoesAway) {
  acquire();
  acquire({.operation = "b:1"});
  redis_({"PEXPIRE", kQueue, "1000"});
  acquire({.operation = "b:1"});
  EXPECT_GT(ttl(kQueue), 500'000);
}

TEST_F(AcquireScriptTest, ATokenMayHoldAnything) {
  const std::string token("a b\n%d\0{}", 9);
  acquire();
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1", .token = token});
  release();
  inbox.message();
  EXPECT_EQ(redis_({"GET", kKey}), '\'' + token + '\'');
  EXPECT_EQ(release({.operation = "b:1", .token = token}), "1");
}

}  // namespace
}  // namespace dsync::tests
