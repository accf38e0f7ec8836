// semaphore_release, as its header describes it.
#include <gtest/gtest.h>

#include <string>

#include "support/semaphore_calls.h"

namespace dsync::tests {
namespace {

class SemaphoreReleaseScriptTest : public SemaphoreScriptTest {
 protected:
  std::string release_bounded(const std::string& operation) {
    return release({.operation = operation, .verb = "bounded"});
  }
};

TEST_F(SemaphoreReleaseScriptTest, FreesTheSlot) {
  acquire();
  acquire({.operation = "a:2"});
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(members(kPermits), Texts{"a:2"});
  EXPECT_EQ(release({.operation = "a:2"}), "1");
  EXPECT_EQ(counter(), "'2'");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(SemaphoreReleaseScriptTest, FreesOnlyWhatTheOperationHas) {
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(redis_.keys(), Texts{});
  acquire();
  EXPECT_EQ(release({.operation = "a:2"}), "0");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(counter(), "'2'");
}

// Nobody has taken it back, so nobody has had the slot since.
TEST_F(SemaphoreReleaseScriptTest, FreesTheSlotThoughTheLeaseIsOver) {
  acquire();
  end_lease("a:1");
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(counter(), "'2'");
  EXPECT_EQ(members(kPermits), Texts{});
  EXPECT_EQ(release(), "0");
}

TEST_F(SemaphoreReleaseScriptTest, FreesNothingThatWasTakenBack) {
  for (const auto* verb : {"release", "bounded"}) {
    acquire();
    end_lease("a:1");
    free_slots();
    EXPECT_EQ(release({.verb = verb}), "0");
    EXPECT_EQ(counter(), "'2'");
  }
}

TEST_F(SemaphoreReleaseScriptTest, FreesASlotWithoutALease) {
  acquire_unleased("a:1");
  EXPECT_EQ(release({.first = "0"}), "1");
  EXPECT_EQ(counter(), "'2'");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(SemaphoreReleaseScriptTest, LeavesTheQueue) {
  redis_({"SET", kKey, "0"});
  acquire();
  EXPECT_EQ(release(), "2");
  EXPECT_EQ(release(), "0");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(SemaphoreReleaseScriptTest, HandsTheSlotToTheOldestThatLives) {
  acquire({.value = "1"});
  acquire({.operation = "dead:1", .value = "1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .value = "1"});
  acquire({.operation = "b:2", .value = "1"});
  const auto before = server_us();
  EXPECT_EQ(release({.value = "1"}), "1");
  const auto message = b.message();
  EXPECT_EQ(message.substr(0, 6), "b:1 1 ");
  const auto rest = message.substr(6);
  const auto space = rest.find(' ');
  const auto granted =
      std::stoll(rest.substr(0, space)) * 1'000'000 + std::stoll(rest.substr(space));
  EXPECT_GE(granted, before);
  EXPECT_LE(granted, server_us());
  // Without a moment in which anybody else could take it.
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kPermits), Texts{"b:1"});
  EXPECT_LE(lease_left("b:1"), 5'000);
  EXPECT_EQ(members(kQueue), Texts{"b:2 5000"});
  EXPECT_EQ(b.messages(redis_), Texts{});
}

TEST_F(SemaphoreReleaseScriptTest, HandsOverWithoutALease) {
  acquire({.value = "1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .lease = "0", .first = "0", .value = "1"});
  release();
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(members(kPermits), Texts{"b:1 -"});
  EXPECT_GT(lease_left("b:1 -"), 500'000);
  EXPECT_EQ(confirm("b:1"), "1");
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(SemaphoreReleaseScriptTest, FreesTheSlotWhenAllAreDead) {
  acquire({.value = "1"});
  acquire({.operation = "b:1", .value = "1"});
  acquire({.operation = "c:1", .lease = "0", .first = "0", .value = "1"});
  EXPECT_EQ(release({.value = "1"}), "1");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(SemaphoreReleaseScriptTest, WithoutACounterThePermitIsEnough) {
  acquire();
  acquire({.operation = "a:2"});
  redis_({"DEL", kKey});
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(free_slots(), "1");
  EXPECT_EQ(counter(), "nil");
  EXPECT_EQ(release({.operation = "a:2"}), "1");
  EXPECT_EQ(free_slots(), "2");
  EXPECT_EQ(redis_.keys(), Texts{});
}

TEST_F(SemaphoreReleaseScriptTest, WithoutACounterItHandsOverToo) {
  acquire({.value = "1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .value = "1"});
  redis_({"DEL", kKey});
  release({.value = "1"});
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(free_slots("1"), "0");
}

TEST_F(SemaphoreReleaseScriptTest, AnEndedLeaseIsHandedOverToo) {
  acquire();
  acquire({.operation = "a:2"});
  Inbox b(server_, "b");
  for (const auto* operation : {"b:1", "b:2", "b:3"}) acquire({.operation = operation});
  end_lease("a:2");
  release();
  EXPECT_EQ(b.messages(redis_).size(), 2U);
  EXPECT_EQ(members(kPermits), (Texts{"b:1", "b:2"}));
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(SemaphoreReleaseScriptTest, ConfirmsThatItKnows) {
  acquire_unleased("a:1");
  EXPECT_EQ(confirm("a:1"), "1");
  EXPECT_EQ(confirm("a:1"), "0");
  // Nothing is known of it any more but the counter.
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
  EXPECT_EQ(release({.first = "0"}), "0");
}

TEST_F(SemaphoreReleaseScriptTest, AConfirmationDoesNotTouchALease) {
  acquire();
  EXPECT_EQ(confirm("a:1"), "0");
  EXPECT_EQ(members(kPermits), Texts{"a:1"});
}

TEST_F(SemaphoreReleaseScriptTest, OfABoundedOneSetsTheLimit) {
  acquire();
  EXPECT_EQ(release_bounded("a:1"), "1");
  EXPECT_EQ(redis_({"GET", kLimit}), "'2'");
  EXPECT_EQ(ttl(kLimit), -1);
  // Once.
  acquire({.value = "9"});
  release({.value = "9", .verb = "bounded"});
  EXPECT_EQ(redis_({"GET", kLimit}), "'2'");
}

TEST_F(SemaphoreReleaseScriptTest, OfAnotherLooksAtNoLimit) {
  acquire();
  redis_({"SET", kLimit, "1"});
  EXPECT_EQ(release(), "1");
  EXPECT_EQ(counter(), "'2'");
  EXPECT_EQ(redis_({"GET", kLimit}), "'1'");
}

TEST_F(SemaphoreReleaseScriptTest, BeyondTheLimitChangesNothing) {
  acquire();
  redis_({"SET", kKey, "2"});
  const auto before = state();
  EXPECT_EQ(release_bounded("a:1"), "3");
  EXPECT_EQ(state(), before);
  redis_({"SET", kLimit, "3"});
  EXPECT_EQ(release_bounded("a:1"), "1");
  EXPECT_EQ(counter(), "'3'");
}

TEST_F(SemaphoreReleaseScriptTest, TheLimitOfTheFleetCounts) {
  acquire();
  redis_({"SET", kLimit, "1"});
  EXPECT_EQ(release_bounded("a:1"), "3");
  redis_({"SET", kKey, "0"});
  EXPECT_EQ(release_bounded("a:1"), "1");
}

TEST_F(SemaphoreReleaseScriptTest, WithoutAPermitTheLimitIsNotAskedFor) {
  redis_({"SET", kKey, "2"});
  EXPECT_EQ(release_bounded("a:1"), "0");
  redis_({"SET", kKey, "0"});
  acquire();
  redis_({"SET", kKey, "2"});
  EXPECT_EQ(release_bounded("a:1"), "2");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(SemaphoreReleaseScriptTest, OfABoundedOneHandsOver) {
  acquire({.value = "1"});
  Inbox b(server_, "b");
  acquire({.operation = "b:1", .value = "1"});
  EXPECT_EQ(release({.value = "1", .verb = "bounded"}), "1");
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(counter(), "'0'");
}

}  // namespace
}  // namespace dsync::tests
