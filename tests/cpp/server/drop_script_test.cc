// key_value_delete, as its header describes it.
#include <gtest/gtest.h>

#include <string>

#include "support/lock_calls.h"

namespace dsync::tests {
namespace {

class DropScriptTest : public LockScriptTest {
 protected:
  void SetUp() override { acquire(); }

  // Everything but the note of the call itself.
  Texts state_without_done() {
    redis_({"DEL", kDone});
    return state();
  }
};

TEST_F(DropScriptTest, FreesWhatAnyoneHolds) {
  EXPECT_EQ(drop(), "1");
  EXPECT_EQ(redis_({"EXISTS", kKey}), "0");
  expect_nothing_left();
  // The one that held it is told so.
  EXPECT_EQ(renew({{}}), "[0]");
  EXPECT_EQ(release(), "0");
}

TEST_F(DropScriptTest, FreesALockWithoutExpiry) {
  release();
  acquire({.lease = "0", .first = "0"});
  EXPECT_EQ(drop(), "1");
  EXPECT_EQ(redis_({"EXISTS", kKey}), "0");
}

TEST_F(DropScriptTest, FreesWhatAnOldProcessHolds) {
  redis_({"SET", kKey, "of an old process"});
  EXPECT_EQ(drop(), "1");
  EXPECT_EQ(redis_({"EXISTS", kKey}), "0");
}

TEST_F(DropScriptTest, DoesNothingToAFreeLock) {
  release();
  redis_({"DEL", kFence});
  EXPECT_EQ(drop(), "1");
  EXPECT_EQ(redis_.keys(), Texts{kDone});
  EXPECT_GT(ttl(kDone), 500'000);
  EXPECT_LE(ttl(kDone), 600'000);
}

TEST_F(DropScriptTest, HandsOverToTheOldest) {
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1", .token = "of b"});
  acquire({.operation = "b:2"});
  EXPECT_EQ(drop(), "1");
  EXPECT_EQ(inbox.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
  EXPECT_LE(ttl(kKey), 5'000);
  EXPECT_GT(ttl(kKey), 0);
  EXPECT_EQ(queued(), 1);
  // What the one before releases later is not its own any more.
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
}

TEST_F(DropScriptTest, HandsOverWithAGreaterFence) {
  release();
  const auto before = fence_in(acquire());
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1"});
  drop();
  EXPECT_GT(std::stoll(inbox.message().substr(4, 16)), before);
}

TEST_F(DropScriptTest, HandsOverWithoutExpiry) {
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1", .lease = "0", .first = "0"});
  drop();
  inbox.message();
  EXPECT_EQ(ttl(kKey), -1);
}

TEST_F(DropScriptTest, PassesByTheDead) {
  acquire({.operation = "b:1"});
  Inbox inbox(server_, "c");
  acquire({.operation = "c:1"});
  EXPECT_EQ(drop(), "1");
  EXPECT_EQ(inbox.message().substr(0, 4), "c:1 ");
  EXPECT_EQ(queued(), 0);
}

TEST_F(DropScriptTest, FreesTheLockWhenAllAreDead) {
  acquire({.operation = "b:1"});
  acquire({.operation = "c:1"});
  EXPECT_EQ(drop(), "1");
  expect_nothing_left();
  fence_in(acquire({.operation = "d:1"}));
}

TEST_F(DropScriptTest, HappensOnce) {
  drop({.operation = "x:1"});
  acquire({.operation = "b:1", .token = "of b"});
  // The answer was lost, and another has taken the lock since.
  EXPECT_EQ(drop({.operation = "x:1", .again = "1"}), "1");
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
  EXPECT_EQ(renew({{.operation = "b:1", .token = "of b"}}), "[1]");
}

TEST_F(DropScriptTest, HandsOverOnce) {
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1", .token = "of b"});
  acquire({.operation = "b:2", .token = "of b too"});
  drop({.operation = "x:1"});
  drop({.operation = "x:1", .again = "1"});
  EXPECT_EQ(inbox.messages(redis_).size(), 1U);
  EXPECT_EQ(redis_({"GET", kKey}), "'of b'");
  EXPECT_EQ(queued(), 1);
}

TEST_F(DropScriptTest, HappensIfItHasNotYet) {
  drop({.operation = "x:9"});
  acquire({.operation = "b:1"});
  EXPECT_EQ(drop({.operation = "x:10", .again = "1"}), "1");
  EXPECT_EQ(redis_({"EXISTS", kKey}), "0");
}

TEST_F(DropScriptTest, SessionsDoNotKnowEachOthersCalls) {
  drop({.operation = "x:5"});
  acquire({.operation = "b:1"});
  EXPECT_EQ(drop({.operation = "y:1", .again = "1"}), "1");
  EXPECT_EQ(redis_({"EXISTS", kKey}), "0");
}

TEST_F(DropScriptTest, ALaterCallFreesAgain) {
  drop({.operation = "x:1"});
  acquire({.operation = "b:1"});
  EXPECT_EQ(drop({.operation = "x:2"}), "1");
  EXPECT_EQ(redis_({"EXISTS", kKey}), "0");
}

TEST_F(DropScriptTest, TheQueueOrTheFenceIsAList) {
  for (const auto* key : {kQueue, kFence}) {
    make_list(key);
    const auto before = state();
    EXPECT_EQ(drop().find("(error) WRONGTYPE"), 0U) << key;
    EXPECT_EQ(state_without_done(), before) << key;
    redis_({"DEL", key});
  }
}

TEST_F(DropScriptTest, TheDoneIsAList) {
  make_list(kDone);
  const auto before = state();
  expect_wrong_type(drop(), before);
}

}  // namespace
}  // namespace dsync::tests
