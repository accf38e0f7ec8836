// The lock end to end: sessions over real sockets, and a real server.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "driver/clock.h"
#include "primitives/commands.h"
#include "support/live_session.h"
#include "support/server_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::OperationId;
using primitives::Outcome;

class LockTest : public ServerTest {
 protected:
  LockTest() {
    for (auto* session : {&a_, &b_, &c_}) session->connect();
  }

  // Serves all sessions until `session` has an outcome for `id`.
  Outcome outcome(LiveSession& session, OperationId id) {
    run_until({&a_, &b_, &c_}, [&] { return session.completed(id); });
    return session.outcome(id);
  }

  LiveSession a_{server_.unix_address(), "a"};
  LiveSession b_{server_.unix_address(), "b"};
  LiveSession c_{server_.unix_address(), "c"};
};

// A poll that comes in no test by itself: whatever happens then happens without it.
const Wish kPatient{.poll_delay = 1h};
const Wish kEager{.poll_delay = 10ms};

TEST_F(LockTest, IsHeldAndFreed) {
  const auto id = a_.hold();
  EXPECT_EQ(redis_({"GET", kKey}), "'token'");
  EXPECT_EQ(a_.outcome(a_.confirm(id, 0s)), Outcome::kHeld);
  EXPECT_EQ(a_.outcome(a_.machine().ask(primitives::locked_question(kKey), driver::now())),
            Outcome::kLocked);
  a_.release(id);
  EXPECT_EQ(a_.outcome(id), Outcome::kReleased);
  EXPECT_EQ(a_.outcome(a_.machine().ask(primitives::locked_question(kKey), driver::now())),
            Outcome::kFree);
  expect_nothing_left();
}

TEST_F(LockTest, WorksOverTcp) {
  LiveSession session(server_.tcp_address(), "tcp");
  session.connect();
  const auto id = session.hold();
  session.release(id);
  EXPECT_EQ(session.outcome(id), Outcome::kReleased);
}

TEST_F(LockTest, IsHandedOverInTheOrderOfAsking) {
  const auto holder = a_.hold();
  struct Waiter {
    LiveSession* session;
    OperationId id;
  };
  std::vector<Waiter> waiters;
  for (auto* session : {&b_, &a_, &b_, &c_, &a_, &c_}) {
    waiters.push_back({session, session->queue(kPatient)});
  }
  a_.release(holder);
  for (const auto& [session, id] : waiters) {
    EXPECT_EQ(outcome(*session, id), Outcome::kGranted);
    for (const auto& other : waiters) EXPECT_FALSE(other.session->completed(other.id));
    session->release(id);
    EXPECT_EQ(outcome(*session, id), Outcome::kReleased);
  }
  expect_nothing_left();
}

TEST_F(LockTest, FencingTokensGrow) {
  std::int64_t last = 0;
  const auto grows = [&](LiveSession& session, OperationId id) {
    EXPECT_GT(session.machine().fence(id), last);
    last = session.machine().fence(id);
  };
  const auto first = a_.hold();
  grows(a_, first);
  const auto second = b_.queue(kPatient);
  a_.release(first);
  EXPECT_EQ(outcome(b_, second), Outcome::kGranted);
  grows(b_, second);
  redis_({"FLUSHALL"});
  grows(c_, c_.hold());
  server_.kill();
  server_.start();
  LiveSession later(server_.unix_address(), "later");
  later.connect();
  grows(later, later.hold());
}

TEST_F(LockTest, IsNeverSaidToBeValidForTooLong) {
  const auto check = [&](LiveSession& session, OperationId id) {
    const auto left = std::chrono::milliseconds(ttl(kKey));
    // Both are rounded down to milliseconds by the server.
    EXPECT_LE(session.machine().valid_for(id, driver::now()), left + 1ms);
    EXPECT_GT(session.machine().valid_for(id, driver::now()), 1s);
  };
  const auto first = a_.hold();
  check(a_, first);
  const auto second = b_.queue(kPatient);
  a_.release(first);
  a_.settle();
  // The message lies in the socket until b_ is served.
  outcome(b_, second);
  check(b_, second);
  EXPECT_EQ(b_.outcome(b_.confirm(second, 60s)), Outcome::kHeld);
  check(b_, second);
  EXPECT_GT(b_.machine().valid_for(second, driver::now()), 50s);
}

TEST_F(LockTest, ADeadSessionIsPassedByAtOnce) {
  const auto holder = a_.hold();
  b_.queue(kPatient);
  b_.queue(kPatient);
  const auto waiter = c_.queue(kPatient);
  b_.vanish();
  await_death("b");
  a_.release(holder);
  run_until({&a_, &c_}, [&] { return c_.completed(waiter); });
  EXPECT_EQ(c_.outcome(waiter), Outcome::kGranted);
  EXPECT_EQ(queued(), 0);
}

TEST_F(LockTest, ASessionThatComesBackKeepsItsPlace) {
  const auto holder = a_.hold();
  const auto first = b_.queue(kPatient);
  const auto second = c_.queue(kPatient);
  b_.disconnect();
  b_.connect();
  a_.release(holder);
  EXPECT_EQ(outcome(b_, first), Outcome::kGranted);
  EXPECT_FALSE(c_.completed(second));
}

TEST_F(LockTest, AHolderThatComesBackStillHolds) {
  const auto holder = a_.hold();
  a_.disconnect();
  a_.connect();
  EXPECT_EQ(a_.outcome(a_.confirm(holder, 0s)), Outcome::kHeld);
  a_.disconnect();
  a_.release(holder);
  a_.connect();
  EXPECT_EQ(a_.outcome(holder), Outcome::kReleased);
}

TEST_F(LockTest, AGrantToASessionThatIsAwayIsToldWhenItIsBack) {
  const auto holder = a_.hold();
  const auto waiter = b_.queue(kPatient);
  a_.release(holder);
  a_.settle();
  // The message has been sent, and goes down with the link.
  b_.disconnect();
  b_.connect();
  EXPECT_EQ(b_.outcome(waiter), Outcome::kGranted);
  EXPECT_GT(ttl(kKey), 20'000);
}

TEST_F(LockTest, CancelledInTheQueue) {
  const auto holder = a_.hold();
  const auto first = b_.queue(kPatient);
  const auto second = c_.queue(kPatient);
  b_.abandon(first);
  b_.settle();
  EXPECT_EQ(queued(), 1);
  a_.release(holder);
  EXPECT_EQ(outcome(c_, second), Outcome::kGranted);
  EXPECT_FALSE(b_.completed(first));
}

TEST_F(LockTest, CancelledWhenItIsGrantedAlready) {
  const auto holder = a_.hold();
  const auto first = b_.queue(kPatient);
  const auto second = c_.queue(kPatient);
  a_.release(holder);
  a_.settle();
  EXPECT_EQ(queued(), 1);
  b_.abandon(first);
  EXPECT_EQ(outcome(c_, second), Outcome::kGranted);
  EXPECT_FALSE(b_.completed(first));
}

TEST_F(LockTest, CancelledBeforeTheAnswer) {
  const auto first = b_.acquire(kPatient);
  b_.abandon(first);
  b_.settle();
  EXPECT_FALSE(b_.completed(first));
  expect_nothing_left();
}

TEST_F(LockTest, TimesOutInTheQueue) {
  const auto holder = a_.hold();
  const auto waiter = b_.queue({.poll_delay = 1h, .timeout = 20ms});
  EXPECT_EQ(outcome(b_, waiter), Outcome::kTimedOut);
  b_.settle();
  EXPECT_EQ(queued(), 0);
  a_.release(holder);
  EXPECT_EQ(a_.outcome(holder), Outcome::kReleased);
  expect_nothing_left();
}

TEST_F(LockTest, TriesOnce) {
  const auto holder = a_.hold();
  EXPECT_EQ(b_.outcome(b_.acquire({.queueing = false})), Outcome::kBusy);
  a_.release(holder);
  a_.settle();
  EXPECT_EQ(b_.outcome(b_.acquire({.queueing = false})), Outcome::kGranted);
}

TEST_F(LockTest, ALeaseThatEndsFreesTheLock) {
  const auto holder = a_.hold({.lease = 50ms, .renewed = false});
  // It asks when the lease it was told of is over.
  const auto waiter = b_.queue(kPatient);
  EXPECT_EQ(outcome(b_, waiter), Outcome::kGranted);
  EXPECT_EQ(a_.machine().valid_for(holder, driver::now()), 0s);
  a_.leases().scan(driver::now());
  EXPECT_EQ(a_.machine().take_losses(), std::vector{holder});
  a_.release(holder);
  EXPECT_EQ(a_.outcome(holder), Outcome::kNotHeld);
  EXPECT_EQ(b_.outcome(b_.confirm(waiter, 0s)), Outcome::kHeld);
}

TEST_F(LockTest, AHolderWhoseLeaseEndedUnnoticedHearsItFromTheServer) {
  const auto holder = a_.hold();
  redis_({"DEL", kKey});
  EXPECT_EQ(a_.outcome(a_.confirm(holder, 30s)), Outcome::kNotHeld);
  EXPECT_EQ(a_.machine().take_losses(), std::vector{holder});
}

TEST_F(LockTest, WithoutALease) {
  const auto holder = a_.hold({.lease = 0s});
  EXPECT_EQ(ttl(kKey), -1);
  const auto waiter = b_.queue({.lease = 0s, .poll_delay = 1h});
  a_.release(holder);
  EXPECT_EQ(outcome(b_, waiter), Outcome::kGranted);
  EXPECT_EQ(ttl(kKey), -1);
  EXPECT_EQ(b_.machine().valid_for(waiter, driver::now()), base::Duration::max());
  b_.release(waiter);
  EXPECT_EQ(b_.outcome(waiter), Outcome::kReleased);
  expect_nothing_left();
}

TEST_F(LockTest, OfOneTokenOneOperationHolds) {
  const auto first = a_.hold();
  const auto second = a_.queue(kPatient);
  const auto third = a_.queue(kPatient);
  a_.release(first);
  EXPECT_EQ(a_.outcome(second), Outcome::kGranted);
  EXPECT_FALSE(a_.completed(third));
  a_.release(second);
  EXPECT_EQ(a_.outcome(third), Outcome::kGranted);
}

TEST_F(LockTest, FindsWhatAnOldProcessFreed) {
  redis_({"SET", kKey, "old"});
  const auto waiter = a_.queue(kEager);
  redis_({"DEL", kKey});
  EXPECT_EQ(a_.outcome(waiter), Outcome::kGranted);
}

TEST_F(LockTest, ALockIsFreedByTheEndOfItsSession) {
  a_.hold();
  const auto waiter = b_.queue(kPatient);
  a_.machine().abandon_all(driver::now());
  EXPECT_EQ(outcome(b_, waiter), Outcome::kGranted);
}

}  // namespace
}  // namespace dsync::tests
