// The window for old processes while a fleet migrates, of lock and semaphore.
#include <gtest/gtest.h>

#include <string>

#include "support/lock_calls.h"
#include "support/semaphore_calls.h"

namespace dsync::tests {
namespace {

// So long that none ends by itself while a test runs.
constexpr std::int64_t kWidth = 100'000;
const std::string kWidthText = std::to_string(kWidth);

// The end of the window, which is a quarter of the life of its key.
template <typename Redis>
void end_window(Redis& redis, const char* window) {
  redis({"PEXPIRE", window, std::to_string(3 * kWidth)});
}

class LockWindowTest : public LockScriptTest {
 protected:
  std::string acquire_as(const std::string& operation) {
    return acquire({.operation = operation, .token = "of " + operation, .width = kWidthText});
  }
  std::string try_acquire_as(const std::string& operation) {
    return acquire(
        {.operation = operation, .token = "of " + operation, .first = "-1", .width = kWidthText});
  }
  std::string release_as(const std::string& operation) {
    return release({.operation = operation, .token = "of " + operation, .width = kWidthText});
  }

  // a has released, and b waits.
  void open_window() {
    acquire_as("a:1");
    acquire_as("b:1");
    EXPECT_EQ(release_as("a:1"), "1");
  }
};

TEST_F(LockWindowTest, AReleaseLeavesTheLockFree) {
  Inbox b(server_, "b");
  open_window();
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
  EXPECT_EQ(b.messages(redis_), Texts{});
  EXPECT_EQ(queued(), 1);
  EXPECT_GT(ttl(kWindow), 3 * kWidth);
  EXPECT_LE(ttl(kWindow), 4 * kWidth);
}

TEST_F(LockWindowTest, NobodyOfTheQueueIsServed) {
  Inbox b(server_, "b");
  open_window();
  for (const auto* operation : {"b:1", "c:1"}) {
    const auto place = numbers_in(acquire_as(operation));
    // When to ask again.
    EXPECT_GT(place[0], 0);
    EXPECT_LE(place[0], kWidth);
  }
  EXPECT_EQ(try_acquire_as("d:1"), "0");
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
  EXPECT_EQ(b.messages(redis_), Texts{});
  // But an old process takes it.
  EXPECT_EQ(redis_({"SET", kKey, "old", "NX"}), "'OK'");
  EXPECT_EQ(numbers_in(acquire_as("b:1"))[0], -1);
}

TEST_F(LockWindowTest, AfterItTheOldestIsServed) {
  Inbox b(server_, "b");
  open_window();
  acquire_as("c:1");
  end_window(redis_, kWindow);
  EXPECT_EQ(numbers_in(acquire_as("c:1"))[1], 1);
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(redis_({"GET", kKey}), "'of b:1'");
}

TEST_F(LockWindowTest, AfterItTheOldestIsServedByItsReply) {
  open_window();
  end_window(redis_, kWindow);
  fence_in(acquire_as("b:1"));
  EXPECT_EQ(queued(), 0);
}

TEST_F(LockWindowTest, OnceInAWhileOnly) {
  Inbox b(server_, "b");
  open_window();
  end_window(redis_, kWindow);
  fence_in(acquire_as("b:1"));
  acquire_as("b:2");
  EXPECT_EQ(release_as("b:1"), "1");
  // Handed over, as always.
  EXPECT_EQ(b.message().substr(0, 4), "b:2 ");
  redis_({"DEL", kWindow});
  acquire_as("b:3");
  EXPECT_EQ(release_as("b:2"), "1");
  EXPECT_EQ(redis_({"GET", kKey}), "nil");
}

TEST_F(LockWindowTest, NeedsAQueue) {
  acquire_as("a:1");
  release_as("a:1");
  EXPECT_EQ(redis_.keys(), Texts{kFence});
  // Where somebody has waited as well.
  acquire_as("a:1");
  acquire_as("b:1");
  release_as("b:1");
  release_as("a:1");
  EXPECT_EQ(redis_.keys(), Texts{kFence});
}

TEST_F(LockWindowTest, WhoComesWhenNobodyWaitsNeedNotWait) {
  open_window();
  release_as("b:1");
  fence_in(acquire_as("c:1"));
}

TEST_F(LockWindowTest, IsNothingToWhoDoesNotMigrate) {
  open_window();
  fence_in(acquire({.operation = "b:1", .token = "of b:1"}));
  acquire_as("b:2");
  Inbox b(server_, "b");
  redis_({"DEL", kWindow});
  release({.operation = "b:1", .token = "of b:1"});
  EXPECT_EQ(b.message().substr(0, 4), "b:2 ");
  EXPECT_EQ(redis_({"EXISTS", kWindow}), "0");
}

TEST_F(LockWindowTest, WhoLeavesTheQueueOpensNone) {
  acquire_as("a:1");
  acquire_as("b:1");
  acquire_as("c:1");
  EXPECT_EQ(release_as("b:1"), "2");
  EXPECT_EQ(redis_({"EXISTS", kWindow}), "0");
}

class SemaphoreWindowTest : public SemaphoreScriptTest {
 protected:
  std::string acquire_as(const std::string& operation) {
    return acquire({.operation = operation, .value = "1", .width = kWidthText});
  }
  std::string release_as(const std::string& operation) {
    return release({.operation = operation, .value = "1", .width = kWidthText});
  }

  void open_window() {
    acquire_as("a:1");
    acquire_as("b:1");
    EXPECT_EQ(release_as("a:1"), "1");
  }
};

TEST_F(SemaphoreWindowTest, AReleaseLeavesTheSlotFree) {
  Inbox b(server_, "b");
  open_window();
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(b.messages(redis_), Texts{});
  EXPECT_EQ(queued(), 1);
  EXPECT_GT(ttl(kWindow), 3 * kWidth);
  EXPECT_LE(ttl(kWindow), 4 * kWidth);
}

TEST_F(SemaphoreWindowTest, NobodyOfTheQueueIsServed) {
  Inbox b(server_, "b");
  open_window();
  for (const auto* operation : {"b:1", "c:1"}) {
    const auto place = numbers_in(acquire_as(operation));
    EXPECT_GT(place[0], 0);
    EXPECT_LE(place[0], kWidth);
  }
  EXPECT_EQ(acquire({.operation = "d:1", .first = "-1", .value = "1", .width = kWidthText}), "0");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(b.messages(redis_), Texts{});
}

TEST_F(SemaphoreWindowTest, WhoHasAPermitIsToldSo) {
  acquire_as("a:1");
  redis_({"SET", kKey, "1"});
  acquire_as("a:2");
  acquire_as("b:1");
  release_as("a:2");
  EXPECT_EQ(acquire_as("a:1"), "'1'");
  EXPECT_EQ(counter(), "'1'");
}

TEST_F(SemaphoreWindowTest, AfterItTheOldestIsServed) {
  Inbox b(server_, "b");
  open_window();
  acquire_as("c:1");
  end_window(redis_, kWindow);
  acquire_as("c:1");
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kPermits), Texts{"b:1"});
}

TEST_F(SemaphoreWindowTest, OnceInAWhileOnly) {
  Inbox b(server_, "b");
  open_window();
  end_window(redis_, kWindow);
  EXPECT_EQ(acquire_as("b:1"), "'1'");
  acquire_as("b:2");
  release_as("b:1");
  EXPECT_EQ(b.message().substr(0, 4), "b:2 ");
  EXPECT_EQ(counter(), "'0'");
  redis_({"DEL", kWindow});
  acquire_as("b:3");
  release_as("b:2");
  EXPECT_EQ(counter(), "'1'");
}

TEST_F(SemaphoreWindowTest, NeedsAQueue) {
  acquire_as("a:1");
  release_as("a:1");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(SemaphoreWindowTest, IsNothingToWhoDoesNotMigrate) {
  open_window();
  EXPECT_EQ(acquire({.operation = "b:1", .value = "1"}), "'1'");
}

TEST_F(SemaphoreWindowTest, WithoutACounterItIsOpenToo) {
  acquire_as("a:1");
  acquire_as("b:1");
  redis_({"DEL", kKey});
  EXPECT_EQ(release_as("a:1"), "1");
  EXPECT_EQ(free_slots("1"), "1");
  end_window(redis_, kWindow);
  EXPECT_EQ(acquire_as("b:1"), "'1'");
  EXPECT_EQ(counter(), "'0'");
}

}  // namespace
}  // namespace dsync::tests
