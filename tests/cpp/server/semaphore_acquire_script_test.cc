// semaphore_acquire, as its header describes it.
#include <gtest/gtest.h>

#include <string>

#include "support/semaphore_calls.h"

namespace dsync::tests {
namespace {

class SemaphoreAcquireScriptTest : public SemaphoreScriptTest {
 protected:
  // All slots are taken.
  void take_all() {
    acquire({.operation = "x:1"});
    acquire({.operation = "x:2"});
  }
};

TEST_F(SemaphoreAcquireScriptTest, GrantsAsManyAsThereAreSlots) {
  EXPECT_EQ(acquire(), "'1'");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(acquire({.operation = "a:2"}), "'1'");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kPermits), (Texts{"a:1", "a:2"}));
  EXPECT_EQ(numbers_in(acquire({.operation = "a:3"})).size(), 5U);
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kPermits).size(), 2U);
}

TEST_F(SemaphoreAcquireScriptTest, GrantsForALease) {
  acquire();
  EXPECT_GT(lease_left("a:1"), 20'000);
  EXPECT_LE(lease_left("a:1"), 30'000);
  EXPECT_EQ(redis_.keys(), (Texts{kKey, kPermits}));
}

TEST_F(SemaphoreAcquireScriptTest, GrantsWithoutALease) {
  EXPECT_EQ(acquire_unleased("a:1"), "'1'");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(members(kPermits), Texts{"a:1 -"});
  // For as long as somebody may ask what came of it.
  EXPECT_GT(lease_left("a:1 -"), 500'000);
}

TEST_F(SemaphoreAcquireScriptTest, TheCounterIsTheTruth) {
  redis_({"SET", kKey, "0"});
  EXPECT_EQ(try_acquire("a:1"), "0");
  redis_({"SET", kKey, "5"});
  EXPECT_EQ(try_acquire("a:1"), "'1'");
  EXPECT_EQ(counter(), "'4'");
  // Old processes may make it anything.
  redis_({"SET", kKey, "-1"});
  EXPECT_EQ(try_acquire("a:2"), "0");
  EXPECT_EQ(counter(), "'-1'");
}

TEST_F(SemaphoreAcquireScriptTest, WithoutACounterAllButThePermitsAreFree) {
  acquire();
  redis_({"DEL", kKey});
  EXPECT_EQ(try_acquire("a:2"), "'1'");
  EXPECT_EQ(counter(), "'0'");
  redis_({"DEL", kKey});
  EXPECT_EQ(try_acquire("a:3"), "0");
}

TEST_F(SemaphoreAcquireScriptTest, OfNoSlotsNothingIsGranted) {
  EXPECT_EQ(acquire({.first = "-1", .value = "0"}), "0");
  EXPECT_EQ(numbers_in(acquire({.value = "0"}))[0], -1);
  EXPECT_EQ(members(kPermits), Texts{});
}

TEST_F(SemaphoreAcquireScriptTest, TellsAgainWhatItGranted) {
  acquire();
  EXPECT_EQ(acquire(), "'1'");
  EXPECT_EQ(counter(), "'1'");
  take_all();
  EXPECT_EQ(acquire(), "'1'");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(queued(), 1);
}

// The client counts the lease from the latest question, whatever there is besides.
TEST_F(SemaphoreAcquireScriptTest, ALeaseCountsFromTheQuestion) {
  acquire();
  set_lease("a:1", 1000);
  acquire();
  EXPECT_GT(lease_left("a:1"), 20'000);
  acquire({.operation = "b:1"});
  set_lease("a:1", 1000);
  acquire();
  EXPECT_GT(lease_left("a:1"), 20'000);
  acquire({.operation = "c:1"});
  set_lease("a:1", 1000);
  acquire();
  EXPECT_GT(lease_left("a:1"), 20'000);
}

TEST_F(SemaphoreAcquireScriptTest, TellsAgainWhatItGrantedByMessage) {
  take_all();
  Inbox inbox(server_, "b");
  acquire({.operation = "b:1"});
  release({.operation = "x:1"});
  EXPECT_LE(lease_left("b:1"), 5'000);
  EXPECT_EQ(acquire({.operation = "b:1"}), "'1'");
  EXPECT_GT(lease_left("b:1"), 20'000);
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(SemaphoreAcquireScriptTest, TellsAgainWithoutALease) {
  acquire_unleased("a:1");
  EXPECT_EQ(acquire_unleased("a:1"), "'1'");
  EXPECT_EQ(counter(), "'1'");
  EXPECT_EQ(members(kPermits), Texts{"a:1 -"});
}

TEST_F(SemaphoreAcquireScriptTest, QueuesBehindTheHolders) {
  take_all();
  set_lease("x:2", 10'000);
  const auto before = server_us();
  const auto place = numbers_in(acquire());
  ASSERT_EQ(place.size(), 5U);
  // The first lease that ends.
  EXPECT_GT(place[0], 5'000);
  EXPECT_LE(place[0], 10'000);
  EXPECT_EQ(place[1], 1);
  EXPECT_EQ(place[2], 1);
  EXPECT_GE(place[3], before);
  EXPECT_LE(place[3], server_us());
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(members(kQueue), Texts{"a:1 5000"});
  EXPECT_GT(ttl(kQueue), 500'000);
  EXPECT_LE(ttl(kQueue), 600'000);
}

TEST_F(SemaphoreAcquireScriptTest, QueuesOnceInTheOrderOfTheQuestions) {
  take_all();
  for (const auto* operation : {"b:9", "a:10", "c:1", "b:2"}) acquire({.operation = operation});
  const auto place = numbers_in(acquire({.operation = "c:1"}));
  EXPECT_EQ(place[0], -1);
  EXPECT_EQ(place[1], 3);
  EXPECT_EQ(place[2], 4);
  EXPECT_EQ(place[4], 0);
  EXPECT_EQ(members(kQueue), (Texts{"b:9 5000", "a:10 5000", "c:1 5000", "b:2 5000"}));
}

TEST_F(SemaphoreAcquireScriptTest, QueuesBehindOldProcesses) {
  redis_({"SET", kKey, "0"});
  EXPECT_EQ(numbers_in(acquire())[0], -1);
  // They free silently.
  redis_({"INCR", kKey});
  EXPECT_EQ(acquire(), "'1'");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(queued(), 0);
}

TEST_F(SemaphoreAcquireScriptTest, FreeSlotsAreForTheOldestThatLive) {
  take_all();
  Inbox b(server_, "b");
  Inbox c(server_, "c");
  acquire({.operation = "b:1"});
  acquire({.operation = "dead:1"});
  acquire({.operation = "c:1"});
  acquire({.operation = "b:2"});
  redis_({"SET", kKey, "2"});
  const auto place = numbers_in(acquire({.operation = "d:1"}));
  EXPECT_EQ(place[1], 2);
  EXPECT_EQ(place[2], 2);
  EXPECT_EQ(b.message().substr(0, 6), "b:1 1 ");
  EXPECT_EQ(c.message().substr(0, 6), "c:1 1 ");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kPermits), (Texts{"b:1", "c:1", "x:1", "x:2"}));
  EXPECT_LE(lease_left("b:1"), 5'000);
}

TEST_F(SemaphoreAcquireScriptTest, WhoAsksInTimeIsServedByTheReply) {
  take_all();
  Inbox b(server_, "b");
  Inbox c(server_, "c");
  acquire({.operation = "b:1"});
  acquire({.operation = "c:1"});
  redis_({"SET", kKey, "2"});
  EXPECT_EQ(acquire({.operation = "c:1"}), "'1'");
  EXPECT_EQ(b.messages(redis_).size(), 1U);
  EXPECT_EQ(c.messages(redis_), Texts{});
  EXPECT_GT(lease_left("c:1"), 20'000);
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(SemaphoreAcquireScriptTest, PassesByTheDead) {
  take_all();
  acquire({.operation = "b:1"});
  acquire({.operation = "c:1"});
  redis_({"SET", kKey, "1"});
  EXPECT_EQ(acquire({.operation = "d:1"}), "'1'");
  EXPECT_EQ(queued(), 0);
  EXPECT_EQ(members(kPermits).size(), 3U);
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(SemaphoreAcquireScriptTest, WhoDoesNotQueueGoesBehindTheLivingOnly) {
  take_all();
  acquire({.operation = "b:1"});
  redis_({"SET", kKey, "1"});
  EXPECT_EQ(try_acquire("d:1"), "'1'");
  Inbox c(server_, "c");
  acquire({.operation = "c:1"});
  redis_({"SET", kKey, "1"});
  EXPECT_EQ(try_acquire("e:1"), "0");
  EXPECT_EQ(c.message().substr(0, 4), "c:1 ");
  EXPECT_EQ(counter(), "'0'");
}

TEST_F(SemaphoreAcquireScriptTest, IsBusyForWhoDoesNotQueue) {
  take_all();
  const auto before = state();
  EXPECT_EQ(try_acquire("a:1"), "0");
  EXPECT_EQ(state(), before);
}

TEST_F(SemaphoreAcquireScriptTest, SlotsComeBackWithTheEndOfALease) {
  take_all();
  end_lease("x:1");
  EXPECT_EQ(try_acquire("a:1"), "'1'");
  EXPECT_EQ(counter(), "'0'");
  EXPECT_EQ(members(kPermits).size(), 2U);
}

TEST_F(SemaphoreAcquireScriptTest, SlotsOfEndedLeasesAreForTheOldestThatLive) {
  take_all();
  Inbox b(server_, "b");
  acquire({.operation = "b:1"});
  end_lease("x:1");
  EXPECT_EQ(try_acquire("a:1"), "0");
  EXPECT_EQ(b.message().substr(0, 4), "b:1 ");
  EXPECT_EQ(members(kPermits), (Texts{"b:1", "x:2"}));
}

TEST_F(SemaphoreAcquireScriptTest, SlotsOfEndedLeasesComeBackWithoutACounter) {
  take_all();
  redis_({"DEL", kKey});
  end_lease("x:1");
  EXPECT_EQ(try_acquire("a:1"), "'1'");
  EXPECT_EQ(counter(), "'0'");
}

// The one that it was granted has ended, so it is a new grant.
TEST_F(SemaphoreAcquireScriptTest, AnEndedLeaseIsNotTold) {
  acquire();
  acquire({.operation = "b:1"});
  end_lease("a:1");
  EXPECT_EQ(try_acquire("a:1"), "'1'");
  EXPECT_EQ(counter(), "'0'");
  end_lease("a:1");
  EXPECT_EQ(try_acquire("c:1"), "'1'");
  EXPECT_EQ(try_acquire("a:1"), "0");
}

// What nobody has confirmed is somebody's all the same: without a lease no slot comes back.
TEST_F(SemaphoreAcquireScriptTest, WithoutALeaseASlotStaysTaken) {
  acquire_unleased("a:1");
  end_lease("a:1 -");
  EXPECT_EQ(free_slots(), "1");
  EXPECT_EQ(members(kPermits), Texts{});
  EXPECT_EQ(counter(), "'1'");
}

TEST_F(SemaphoreAcquireScriptTest, ManyLeasesEndAtOnce) {
  for (int i = 1; i <= 250; ++i) {
    acquire({.operation = "x:" + std::to_string(i), .value = "250"});
    end_lease("x:" + std::to_string(i));
  }
  for (int i = 0; i < 3; ++i) free_slots("250");
  EXPECT_EQ(free_slots("250"), "250");
  EXPECT_EQ(counter(), "'250'");
  expect_nothing_left({kKey});
}

}  // namespace
}  // namespace dsync::tests
