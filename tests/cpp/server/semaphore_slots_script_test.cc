// semaphore_add, semaphore_free and semaphore_renew, as their headers describe them.
#include <gtest/gtest.h>

#include <string>

#include "support/semaphore_calls.h"

namespace dsync::tests {
namespace {

class SemaphoreAddScriptTest : public SemaphoreScriptTest {
 protected:
  std::string add_bounded(const std::string& operation = "a:1") {
    return add({.operation = operation, .verb = "bounded"});
  }
};

TEST_F(SemaphoreAddScriptTest, AddsASlot) {
  EXPECT_EQ(add(), "1");
  EXPECT_EQ(counter(), "'3'");
  EXPECT_EQ(add({.operation = "a:2"}), "1");
  EXPECT_EQ(counter(), "'4'");
  expect_nothing_left({kKey});
  EXPECT_GT(ttl(kDone), 500'000);
}

TEST_F(SemaphoreAddScriptTest, AddsToWhatThereIs) {
  redis_({"SET", kKey, "0"});
  add();
  EXPECT_EQ(counter(), "'1'");
}

TEST_F(SemaphoreAddScriptTest, WithoutACounterThePermitsCount) {
  acquire();
  acquire({.operation = "a:2"});
  redis_({"DEL", kKey});
  EXPECT_EQ(add(), "1");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(counter(), "'2'");
}

TEST_F(SemaphoreAddScriptTest, IsForTheOldestThatLives) {
  acquire({.value = "1"});
  acquire({.operation = "dead:1", .value = "1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .value = "1"});
  EXPECT_EQ(add({.value = "1"}), "1");
  EXPECT_EQ(b.message().substr(0, 6), "b:1 1 ");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kPermits), (Texts{"b:1", "a:1"}));
  EXPECT_EQ(queued(), 0);
}

TEST_F(SemaphoreAddScriptTest, IsForTheOldestWithoutACounterToo) {
  acquire({.value = "1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .value = "1"});
  redis_({"DEL", kKey});
  add({.value = "1"});
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(counter(), "'0'");
  release({.value = "1"});
  release({.operation = "b:1", .value = "1"});
  // The one that was added stays.
  EXPECT_EQ(counter(), "'2'");
}

TEST_F(SemaphoreAddScriptTest, HappensOnce) {
  add({.operation = "a:7"});
  EXPECT_EQ(add({.operation = "a:7", .again = "1"}), "1");
  EXPECT_EQ(counter(), "'3'");
  // What was sent before it was executed before it.
  EXPECT_EQ(add({.operation = "a:6", .again = "1"}), "1");
  EXPECT_EQ(counter(), "'3'");
}

TEST_F(SemaphoreAddScriptTest, HappensIfItHasNotYet) {
  EXPECT_EQ(add({.operation = "a:7", .again = "1"}), "1");
  EXPECT_EQ(counter(), "'3'");
  EXPECT_EQ(add({.operation = "a:10", .again = "1"}), "1");
  EXPECT_EQ(counter(), "'4'");
  // Of another session; and one that says that it is new.
  EXPECT_EQ(add({.operation = "b:7", .again = "1"}), "1");
  EXPECT_EQ(add({.operation = "b:7"}), "1");
  EXPECT_EQ(counter(), "'6'");
}

TEST_F(SemaphoreAddScriptTest, OfABoundedOneStopsAtTheLimit) {
  // Before the first acquire as well.
  EXPECT_EQ(add_bounded(), "3");
  EXPECT_EQ(redis_.keys(), Texts{});
  acquire();
  redis_({"DEL", kPermits});
  EXPECT_EQ(add_bounded(), "1");
  EXPECT_EQ(counter(), "'2'");
  EXPECT_EQ(redis_({"GET", kLimit}), "'2'");
  const auto before = state();
  EXPECT_EQ(add_bounded("a:2"), "3");
  EXPECT_EQ(state(), before);
}

TEST_F(SemaphoreAddScriptTest, TheLimitOfTheFleetCounts) {
  redis_({"SET", kLimit, "4"});
  EXPECT_EQ(add_bounded(), "1");
  EXPECT_EQ(add_bounded("a:2"), "1");
  EXPECT_EQ(add_bounded("a:3"), "3");
  EXPECT_EQ(counter(), "'4'");
  EXPECT_EQ(redis_({"GET", kLimit}), "'4'");
}

// Whether it was refused or not, the answer is that of the first time.
TEST_F(SemaphoreAddScriptTest, OfABoundedOneHappensOnce) {
  redis_({"SET", kKey, "1"});
  EXPECT_EQ(add_bounded("a:5"), "1");
  EXPECT_EQ(add({.operation = "a:5", .again = "1", .verb = "bounded"}), "1");
  EXPECT_EQ(counter(), "'2'");
  EXPECT_EQ(add({.operation = "a:6", .again = "1", .verb = "bounded"}), "3");
}

TEST_F(SemaphoreAddScriptTest, TakesEndedLeasesBackFirst) {
  acquire();
  acquire({.operation = "a:2"});
  end_lease("a:1");
  end_lease("a:2");
  EXPECT_EQ(add_bounded(), "3");
  EXPECT_EQ(counter(), "'2'");
}

class SemaphoreFreeScriptTest : public SemaphoreScriptTest {};

TEST_F(SemaphoreFreeScriptTest, TellsTheCounter) {
  redis_({"SET", kKey, "7"});
  EXPECT_EQ(free_slots(), "7");
  redis_({"SET", kKey, "-1"});
  EXPECT_EQ(free_slots(), "-1");
}

TEST_F(SemaphoreFreeScriptTest, WithoutACounterAllButThePermitsAreFree) {
  EXPECT_EQ(free_slots(), "2");
  acquire();
  redis_({"DEL", kKey});
  EXPECT_EQ(free_slots(), "1");
  EXPECT_EQ(free_slots("0"), "0");
}

TEST_F(SemaphoreFreeScriptTest, ChangesNothing) {
  acquire();
  acquire({.operation = "a:2"});
  acquire({.operation = "b:1"});
  const auto before = state();
  EXPECT_EQ(free_slots(), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(SemaphoreFreeScriptTest, TakesEndedLeasesBack) {
  acquire();
  acquire({.operation = "a:2"});
  end_lease("a:1");
  EXPECT_EQ(free_slots(), "1");
  EXPECT_EQ(counter(), "'1'");
  Inbox b(server_, "b");
  redis_({"SET", kKey, "0"});
  acquire({.operation = "b:1"});
  end_lease("a:2");
  EXPECT_EQ(free_slots(), "0");
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
}

class SemaphoreRenewScriptTest : public SemaphoreScriptTest {};

TEST_F(SemaphoreRenewScriptTest, MakesALeaseLast) {
  acquire();
  set_lease("a:1", 1000);
  EXPECT_EQ(renew({{}}), "[1]");
  EXPECT_GT(lease_left("a:1"), 20'000);
  EXPECT_LE(lease_left("a:1"), 30'000);
  EXPECT_EQ(counter(), "'1'");
}

TEST_F(SemaphoreRenewScriptTest, NeverMakesALeaseShorter) {
  acquire();
  EXPECT_EQ(renew({{.lease = "100"}}), "[1]");
  EXPECT_GT(lease_left("a:1"), 20'000);
}

TEST_F(SemaphoreRenewScriptTest, OnlyAsksWithoutALease) {
  acquire();
  set_lease("a:1", 20'000);
  EXPECT_EQ(renew({{.lease = "0"}}), "[1]");
  EXPECT_LE(lease_left("a:1"), 20'000);
}

TEST_F(SemaphoreRenewScriptTest, KnowsWhoHolds) {
  acquire();
  acquire({.operation = "a:2"});
  acquire({.operation = "b:1"});
  EXPECT_EQ(renew({{"a:1"}, {"a:2"}, {"b:1"}, {"c:1"}, {.key = "other"}}), "[1, 1, 0, 0, 0]");
  acquire_unleased("d:1");
  EXPECT_EQ(renew({{"d:1"}}), "[0]");
}

TEST_F(SemaphoreRenewScriptTest, NeverTakesASlotAgain) {
  acquire();
  end_lease("a:1");
  EXPECT_EQ(renew({{}}), "[0]");
  EXPECT_EQ(members(kPermits), Texts{});
  EXPECT_EQ(counter(), "'2'");
  EXPECT_EQ(renew({{}}), "[0]");
}

TEST_F(SemaphoreRenewScriptTest, TakesEndedLeasesBack) {
  acquire();
  acquire({.operation = "x:1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1"});
  end_lease("x:1");
  EXPECT_EQ(renew({{}}), "[1]");
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(members(kPermits), (Texts{"b:1", "a:1"}));
}

TEST_F(SemaphoreRenewScriptTest, AStrangeKeyDoesNotStopTheOthers) {
  acquire();
  make_list("{list}:dsync:permits");
  redis_({"SET", "{text}:dsync:permits", "x"});
  EXPECT_EQ(renew({{.key = "list"}, {.key = "text"}, {.key = "absent"}, {}}), "[0, 0, 0, 1]");
  // Nor does one under a permit that is held.
  make_list(kKey);
  make_list(kQueue);
  EXPECT_EQ(renew({{}}), "[1]");
}

TEST_F(SemaphoreRenewScriptTest, DoesNothingForNobody) { EXPECT_EQ(renew({}), "[]"); }

}  // namespace
}  // namespace dsync::tests
