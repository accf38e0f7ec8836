// Keys of other types, and a server without memory: a script that fails has done nothing.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/lock_calls.h"

namespace dsync::tests {
namespace {

class BrokenDataTest : public LockScriptTest {};

TEST_F(BrokenDataTest, TheLockIsAList) {
  make_list(kKey);
  const auto before = state();
  expect_wrong_type(acquire(), before);
  expect_wrong_type(acquire({.first = "-1"}), before);
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(BrokenDataTest, TheLockBecomesAListUnderTheQueue) {
  acquire();
  acquire({.operation = "b:1"});
  make_list(kKey);
  const auto before = state();
  expect_wrong_type(acquire({.operation = "c:1"}), before);
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(BrokenDataTest, TheFenceIsAList) {
  make_list(kFence);
  const auto before = state();
  expect_wrong_type(acquire(), before);
  expect_wrong_type(acquire({.first = "-1"}), before);
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(BrokenDataTest, TheFenceBecomesAListUnderTheHolder) {
  acquire();
  make_list(kFence);
  const auto before = state();
  expect_wrong_type(acquire({.operation = "b:1"}), before);
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(BrokenDataTest, TheFenceIsNoFence) {
  redis_({"SET", kFence, "what is this?"});
  const auto reply = acquire();
  // Either it fails and has done nothing, or it has done everything.
  if (reply.starts_with("(error)")) {
    EXPECT_EQ(redis_.keys(), std::vector<std::string>{kFence});
  } else {
    fence_in(reply);
    EXPECT_EQ(release(), "1");
  }
}

TEST_F(BrokenDataTest, TheQueueIsAList) {
  make_list(kQueue);
  const auto before = state();
  // Without a fence nothing is known of the queue, so it must be looked into.
  expect_wrong_type(acquire(), before);
  expect_wrong_type(acquire({.first = "-1"}), before);
}

TEST_F(BrokenDataTest, TheQueueBecomesAListUnderTheHolder) {
  acquire();
  acquire({.operation = "b:1"});
  make_list(kQueue);
  const auto before = state();
  expect_wrong_type(acquire({.operation = "c:1"}), before);
  expect_wrong_type(release(), before);
  expect_wrong_type(release({.operation = "b:1"}), before);
}

TEST_F(BrokenDataTest, TheQueueBecomesAListUnderAHolderWithoutExpiry) {
  acquire({.lease = "0", .first = "0"});
  acquire({.operation = "b:1"});
  make_list(kQueue);
  const auto before = state();
  expect_wrong_type(release({.first = "0"}), before);
}

TEST_F(BrokenDataTest, WithoutMemoryNothingIsGranted) {
  fill_memory();
  EXPECT_EQ(acquire().find("(error) OOM"), 0U);
  EXPECT_EQ(acquire({.first = "-1"}).find("(error) OOM"), 0U);
  EXPECT_EQ(redis_.keys(), std::vector<std::string>{});
}

TEST_F(BrokenDataTest, WithoutMemoryNobodyIsQueued) {
  acquire();
  const auto before = state();
  fill_memory();
  EXPECT_EQ(acquire({.operation = "b:1"}).find("(error) OOM"), 0U);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(acquire({.operation = "b:1", .first = "-1"}).find("(error) OOM"), 0U);
  EXPECT_EQ(state(), before);
}

TEST_F(BrokenDataTest, WithoutMemoryAWaiterWaitsOn) {
  acquire();
  acquire({.operation = "b:1"});
  fill_memory();
  const auto place = acquire({.operation = "b:1"});
  EXPECT_EQ(place.substr(place.size() - 4), ", 0]") << place;
  redis_({"DEL", kKey});
  fence_in(acquire({.operation = "b:1"}));
  EXPECT_EQ(queued(), 0);
}

TEST_F(BrokenDataTest, WithoutMemoryAHolderGoesOnAndGivesBack) {
  const auto fence = acquire();
  acquire({.operation = "b:1"});
  Inbox inbox(server_, "c");
  acquire({.operation = "c:1"});
  fill_memory();
  EXPECT_EQ(renew({{}}), "[1]");
  EXPECT_EQ(release({.operation = "b:1"}), "2");
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(inbox.message().substr(0, 4), "c:1 ");
  EXPECT_EQ(release({.operation = "c:1"}), "1");
  expect_nothing_left();
}

}  // namespace
}  // namespace dsync::tests
