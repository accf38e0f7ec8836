// The lock end to end when the server forgets: scripts, keys, everything.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "driver/clock.h"
#include "support/live_session.h"
#include "support/server_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::OperationId;
using primitives::Outcome;

const Wish kPatient{.poll_delay = 1h};
const Wish kEager{.poll_delay = 10ms};

class LockLossTest : public ServerTest {
 protected:
  LockLossTest() {
    a_.connect();
    b_.connect();
  }

  Outcome outcome(LiveSession& session, OperationId id) {
    run_until({&a_, &b_}, [&] { return session.completed(id); });
    return session.outcome(id);
  }

  LiveSession a_{server_.unix_address(), "a"};
  LiveSession b_{server_.unix_address(), "b"};
};

// Every command of the lock once, and some twice, over links that know all scripts already.
void run_through(LiveSession& a, LiveSession& b) {
  const auto outcome = [&](LiveSession& session, OperationId id) {
    run_until({&a, &b}, [&] { return session.completed(id); });
    return session.outcome(id);
  };
  const auto first = a.hold();
  EXPECT_EQ(a.outcome(a.confirm(first, 40s)), Outcome::kHeld);
  const auto second = b.queue(kEager);
  const auto third = a.queue(kPatient);
  EXPECT_EQ(b.outcome(b.acquire({.queueing = false})), Outcome::kBusy);
  a.release(first);
  EXPECT_EQ(outcome(b, second), Outcome::kGranted);
  EXPECT_EQ(a.outcome(first), Outcome::kReleased);
  a.abandon(third);
  EXPECT_EQ(b.outcome(b.confirm(second, 0s)), Outcome::kHeld);
  b.release(second);
  EXPECT_EQ(outcome(b, second), Outcome::kReleased);
  a.settle();
}

TEST_F(LockLossTest, ScriptsAreFlushedBeforeEveryCommand) {
  run_through(a_, b_);
  int commands = 0;
  const auto flush = [&] {
    ++commands;
    redis_({"SCRIPT", "FLUSH"});
  };
  a_.before_each_command(flush);
  b_.before_each_command(flush);
  run_through(a_, b_);
  EXPECT_GE(commands, 15);
  expect_nothing_left();
}

TEST_F(LockLossTest, ScriptsAreFlushedBetweenAnyTwoCommands) {
  run_through(a_, b_);
  bool reached = true;
  for (int place = 0; reached; ++place) {
    reached = false;
    const auto flush = [&, left = std::make_shared<int>(place)] {
      if ((*left)-- != 0) return;
      redis_({"SCRIPT", "FLUSH"});
      reached = true;
    };
    a_.before_each_command(flush);
    b_.before_each_command(flush);
    run_through(a_, b_);
    expect_nothing_left();
  }
}

TEST_F(LockLossTest, EverythingIsFlushed) {
  const auto holder = a_.hold();
  const auto first = b_.queue(kEager);
  const auto second = b_.queue(kEager);
  redis_({"FLUSHALL"});
  EXPECT_EQ(outcome(b_, first), Outcome::kGranted);
  a_.release(holder);
  EXPECT_EQ(a_.outcome(holder), Outcome::kNotHeld);
  b_.release(first);
  EXPECT_EQ(outcome(b_, second), Outcome::kGranted);
  b_.release(second);
  EXPECT_EQ(b_.outcome(second), Outcome::kReleased);
  expect_nothing_left();
}

TEST_F(LockLossTest, TheLockIsDeleted) {
  const auto holder = a_.hold();
  const auto waiter = b_.queue(kEager);
  redis_({"DEL", kKey});
  EXPECT_EQ(outcome(b_, waiter), Outcome::kGranted);
  EXPECT_EQ(a_.outcome(a_.confirm(holder, 0s)), Outcome::kNotHeld);
  a_.release(holder);
  EXPECT_EQ(a_.outcome(holder), Outcome::kNotHeld);
  EXPECT_EQ(b_.outcome(b_.confirm(waiter, 0s)), Outcome::kHeld);
}

TEST_F(LockLossTest, TheQueueIsDeleted) {
  const auto holder = a_.hold();
  const auto first = b_.queue(kEager);
  const auto second = b_.queue(kEager);
  const auto third = b_.queue(kEager);
  redis_({"DEL", kQueue});
  // The first that asks finds out, and the others follow.
  run_until({&a_, &b_}, [&] { return queued() == 3; });
  a_.release(holder);
  for (const auto id : {first, second, third}) {
    EXPECT_EQ(outcome(b_, id), Outcome::kGranted);
    b_.release(id);
    EXPECT_EQ(b_.outcome(id), Outcome::kReleased);
  }
  expect_nothing_left();
}

TEST_F(LockLossTest, TheFenceIsDeleted) {
  const auto holder = a_.hold({.lease = 100ms});
  const auto waiter = b_.queue(kPatient);
  redis_({"DEL", kFence});
  // Without it nobody knows who holds, so this hold is lost, and the lock is free with its lease.
  EXPECT_EQ(a_.outcome(a_.confirm(holder, 0s)), Outcome::kNotHeld);
  a_.release(holder);
  EXPECT_EQ(a_.outcome(holder), Outcome::kNotHeld);
  EXPECT_EQ(outcome(b_, waiter), Outcome::kGranted);
  EXPECT_EQ(b_.outcome(b_.confirm(waiter, 0s)), Outcome::kHeld);
}

TEST_F(LockLossTest, TheServerStartsAgainEmpty) {
  const auto holder = a_.hold();
  const auto first = b_.queue(kPatient);
  const auto second = b_.queue(kPatient);
  server_.kill();
  run_until({&a_, &b_}, [&] { return !a_.connected() && !b_.connected(); });
  server_.start();
  a_.connect();
  b_.connect();
  EXPECT_EQ(outcome(b_, first), Outcome::kGranted);
  EXPECT_EQ(a_.outcome(a_.confirm(holder, 0s)), Outcome::kNotHeld);
  b_.release(first);
  EXPECT_EQ(outcome(b_, second), Outcome::kGranted);
}

TEST_F(LockLossTest, AReleaseMeetsARestart) {
  const auto holder = a_.hold();
  server_.freeze();
  a_.release(holder);
  server_.kill();
  run_until({&a_}, [&] { return !a_.connected(); });
  server_.start();
  a_.connect();
  // It may have been executed before the end.
  EXPECT_EQ(a_.outcome(holder), Outcome::kReleased);
}

TEST_F(LockLossTest, AKeyOfAnotherTypeIsAnError) {
  redis_({"RPUSH", kKey, "x"});
  EXPECT_EQ(a_.outcome(a_.acquire()), Outcome::kFailed);
  EXPECT_EQ(a_.error().find("WRONGTYPE"), 0U) << a_.error();
  a_.settle();
  EXPECT_EQ(redis_.keys(), std::vector<std::string>{kKey});
}

TEST_F(LockLossTest, AServerWithoutMemoryIsAnError) {
  const auto holder = a_.hold();
  const auto waiter = b_.queue(kPatient);
  redis_({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(a_.outcome(a_.acquire()), Outcome::kFailed);
  EXPECT_EQ(a_.error().find("OOM"), 0U) << a_.error();
  // Who has something can give it back, and hand it over.
  EXPECT_EQ(a_.outcome(a_.confirm(holder, 40s)), Outcome::kHeld);
  a_.release(holder);
  EXPECT_EQ(outcome(b_, waiter), Outcome::kGranted);
  b_.release(waiter);
  EXPECT_EQ(b_.outcome(waiter), Outcome::kReleased);
  redis_({"CONFIG", "SET", "maxmemory", "0"});
  a_.release(a_.hold());
  a_.settle();
  expect_nothing_left();
}

TEST_F(LockLossTest, AReadOnlyServerEndsTheLink) {
  redis_({"REPLICAOF", "127.0.0.1", "1"});
  const auto id = a_.acquire();
  run_until({&a_}, [&] { return !a_.connected(); });
  EXPECT_FALSE(a_.completed(id));
  redis_({"REPLICAOF", "NO", "ONE"});
  a_.connect();
  EXPECT_EQ(a_.outcome(id), Outcome::kGranted);
}

}  // namespace
}  // namespace dsync::tests
