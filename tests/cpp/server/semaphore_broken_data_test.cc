// Keys of other types, and a server without memory: a script that fails has done nothing.
#include <gtest/gtest.h>

#include <string>

#include "support/semaphore_calls.h"

namespace dsync::tests {
namespace {

class SemaphoreBrokenDataTest : public SemaphoreScriptTest {
 protected:
  static void expect_no_memory(const std::string& reply) {
    EXPECT_EQ(reply.find("(error) OOM"), 0U) << reply;
  }
};

TEST_F(SemaphoreBrokenDataTest, TheCounterIsAList) {
  make_list(kKey);
  const auto before = state();
  expect_wrong_type(acquire(), before);
  expect_wrong_type(try_acquire("a:1"), before);
  expect_wrong_type(acquire_unleased("a:1"), before);
  expect_wrong_type(add(), before);
  expect_wrong_type(free_slots(), before);
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(SemaphoreBrokenDataTest, TheCounterBecomesAListUnderTheHolder) {
  acquire();
  acquire({.operation = "b:1"});
  make_list(kKey);
  const auto before = state();
  expect_wrong_type(acquire({.operation = "c:1"}), before);
  expect_wrong_type(release({.verb = "bounded"}), before);
  EXPECT_EQ(renew({{}}), "[1]");
}

TEST_F(SemaphoreBrokenDataTest, ThePermitsAreAList) {
  make_list(kPermits);
  const auto before = state();
  expect_wrong_type(acquire(), before);
  expect_wrong_type(add(), before);
  expect_wrong_type(release(), before);
  expect_wrong_type(free_slots(), before);
  EXPECT_EQ(renew({{}}), "[0]");
  EXPECT_EQ(state(), before);
}

TEST_F(SemaphoreBrokenDataTest, TheQueueIsAList) {
  make_list(kQueue);
  const auto before = state();
  expect_wrong_type(acquire(), before);
  expect_wrong_type(try_acquire("a:1"), before);
  expect_wrong_type(release(), before);
}

TEST_F(SemaphoreBrokenDataTest, TheLimitIsAList) {
  make_list(kLimit);
  acquire();
  const auto before = state();
  expect_wrong_type(release({.verb = "bounded"}), before);
  expect_wrong_type(add({.verb = "bounded"}), before);
}

TEST_F(SemaphoreBrokenDataTest, WithoutMemoryNothingIsGranted) {
  fill_memory();
  expect_no_memory(acquire());
  expect_no_memory(try_acquire("a:1"));
  expect_no_memory(acquire_unleased("a:1"));
  EXPECT_EQ(redis_.keys(), Texts{});
}

TEST_F(SemaphoreBrokenDataTest, WithoutMemoryNobodyIsQueued) {
  redis_({"SET", kKey, "0"});
  fill_memory();
  const auto before = state();
  expect_no_memory(acquire());
  EXPECT_EQ(try_acquire("a:1"), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(SemaphoreBrokenDataTest, WithoutMemoryAWaiterWaitsOn) {
  redis_({"SET", kKey, "0"});
  acquire();
  fill_memory();
  EXPECT_EQ(numbers_in(acquire())[4], 0);
  redis_({"CONFIG", "SET", "maxmemory", "0"});
  redis_({"SET", kKey, "1"});
  fill_memory();
  EXPECT_EQ(acquire(), "'1'");
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(SemaphoreBrokenDataTest, WithoutMemoryAHolderGoesOnAndGivesBack) {
  acquire({.value = "1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .value = "1"});
  acquire({.operation = "b:2", .value = "1"});
  set_lease("a:1", 1000);
  fill_memory();
  EXPECT_EQ(acquire({.value = "1"}), "'1'");
  EXPECT_EQ(renew({{}}), "[1]");
  EXPECT_GT(lease_left("a:1"), 20'000);
  EXPECT_EQ(release({.operation = "b:2", .value = "1"}), "2");
  EXPECT_EQ(release({.value = "1"}), "1");
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(release({.operation = "b:1", .value = "1", .verb = "bounded"}), "1");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(members(kPermits), Texts{});
}

TEST_F(SemaphoreBrokenDataTest, WithoutMemoryTheSlotsOfTheDeadComeBack) {
  acquire();
  end_lease("a:1");
  fill_memory();
  EXPECT_EQ(free_slots(), "2");
  EXPECT_EQ(counter(), "'2'");
}

TEST_F(SemaphoreBrokenDataTest, WithoutMemoryASlotIsAddedOnce) {
  acquire();
  fill_memory();
  EXPECT_EQ(add(), "1");
  EXPECT_EQ(add({.again = "1"}), "1");
  EXPECT_EQ(counter(), "'2'");
}

}  // namespace
}  // namespace dsync::tests
