// Waiting for a notification with the lock: it is given back, and taken again.
#include <gtest/gtest.h>

#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kFence = 1'700'000'000'000'001;
const std::string kKey = "distributed_lock_c";
const std::string kChannel = "condition_c_channel";
const std::string kCompanion = "{distributed_lock_c}:dsync:listeners";

class RelockTest : public MachineTest {
 protected:
  void SetUp() override {
    connect();
    former_ = hold({.key = kKey});
  }

  // Nothing is heard yet, so nothing is sent.
  OperationId begin() { return machine().relock(former_, 100ms, now_); }

  OperationId ask() {
    const auto id = begin();
    serve_inbox();
    return id;
  }

  // One that the server knows.
  OperationId wait() {
    const auto id = ask();
    take();
    answer(reply({.rank = 0}));
    return id;
  }

  // One that has the lock again.
  OperationId wake() {
    const auto id = wait();
    push(grant_message("s:2", kFence, 1'000'000'000));
    EXPECT_EQ(completed(), Texts{"2 granted"});
    return id;
  }

  // What the one question says: who had the lock before, and the verb.
  Texts wanted() {
    const auto commands = take_commands();
    EXPECT_EQ(commands.size(), 1U);
    if (commands.empty()) return {};
    const auto arguments = arguments_of(commands[0]);
    return {arguments.at(5), arguments.at(6)};
  }

  OperationId former_ = 0;
};

TEST_F(RelockTest, ListensBeforeItGivesTheLockBack) {
  begin();
  EXPECT_EQ(take(), Texts{});
  EXPECT_TRUE(machine().holds(former_));
  // It may be given back at any moment from here on.
  EXPECT_FALSE(looked_after());
  EXPECT_EQ(take_inbox(), Texts{"SUBSCRIBE " + kChannel + ' ' + kCompanion});
}

TEST_F(RelockTest, SaysWhatTheScriptWants) {
  ask();
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "condition_wait s:2");
  EXPECT_EQ(keys_of(command).size(), 7U);
  EXPECT_EQ(arguments_of(command), (Texts{"token", "s:2", "30000", "5000", "630000", "s:1", "wait",
                                          "", kChannel, kCompanion}));
}

TEST_F(RelockTest, LeavesAWindowWhileAFleetMigrates) {
  machine().relock(hold({.key = "distributed_lock_d", .window = 250ms}), 100ms, now_);
  serve_inbox();
  const auto command = take_commands().at(0);
  EXPECT_EQ(keys_of(command).size(), 8U);
  EXPECT_EQ(keys_of(command).back(), "{distributed_lock_d}:dsync:window");
  EXPECT_EQ(arguments_of(command).back(), "250");
}

TEST_F(RelockTest, GivesTheLockBackWithItsQuestion) {
  wait();
  EXPECT_FALSE(machine().holds(former_));
  EXPECT_FALSE(looked_after());
  EXPECT_EQ(completed(), Texts{});
  // From here on nobody has had the lock before.
  tick();
  EXPECT_EQ(wanted(), (Texts{"", "wait"}));
}

TEST_F(RelockTest, WakesWithTheLock) {
  const auto id = wake();
  EXPECT_TRUE(machine().holds(id));
  EXPECT_TRUE(looked_after());
  EXPECT_EQ(machine().fence(id), kFence);
  EXPECT_EQ(machine().valid_for(id, now_), 5s);
}

TEST_F(RelockTest, WakesByTheReply) {
  const auto id = ask();
  now_ += 1s;
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_FALSE(machine().holds(former_));
  EXPECT_EQ(machine().valid_for(id, now_), 29s);
}

TEST_F(RelockTest, WokenItAsksForTheLockAsOftenAsForAnyOther) {
  wait();
  const auto waited = tick();
  EXPECT_GE(waited, 500ms);
  take();
  answer(reply({.rank = 1, .added = 0}));
  EXPECT_LE(tick(), 100ms);
  EXPECT_EQ(take(), Texts{"condition_wait s:2"});
  answer(reply({.ttl_ms = 20, .rank = 1, .added = 0}));
  EXPECT_LE(tick(), 30ms);
  // It was told when the lease ends, not that somebody was notified.
  const auto command = take_commands().at(0);
  EXPECT_EQ(arguments_of(command).at(7), "");
}

TEST_F(RelockTest, StopsToListenWhenItWakes) {
  wake();
  EXPECT_EQ(take_inbox(), Texts{"UNSUBSCRIBE " + kChannel + ' ' + kCompanion});
}

TEST_F(RelockTest, ConfirmsTheNotificationAndKeepsTheLock) {
  const auto id = wake();
  machine().settle(id, true, now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "condition_leave s:2");
  EXPECT_EQ(arguments_of(command), (Texts{"token", "s:2", "5000", "confirm"}));
  EXPECT_FALSE(machine().wants_link(true));
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_TRUE(machine().holds(id));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(RelockTest, PassesTheNotificationOnAndKeepsTheLock) {
  const auto id = wake();
  machine().settle(id, false, now_);
  EXPECT_EQ(arguments_of(take_commands().at(0)), (Texts{"token", "s:2", "5000", "leave"}));
  lose();
  connect();
  EXPECT_EQ(arguments_of(take_commands().at(0)), (Texts{"token", "s:2", "5000", "leave"}));
  answer(number(1));
  EXPECT_TRUE(machine().holds(id));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(RelockTest, IsReleasedAsAnyLock) {
  const auto id = wake();
  machine().settle(id, true, now_);
  machine().release(id, now_);
  EXPECT_EQ(take(), (Texts{"condition_leave s:2", "lock_release s:2"}));
  answer(number(1) + number(1));
  EXPECT_EQ(completed(), Texts{"2 released"});
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_FALSE(looked_after());
}

TEST_F(RelockTest, IsAskedForAsAnyLock) {
  const auto id = wake();
  machine().confirm(id, 30s, now_);
  EXPECT_EQ(take(), Texts{"lock_renew s:2"});
  machine().notify(id, 1, now_);
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(3), "s:2");
}

TEST_F(RelockTest, WaitsAgain) {
  const auto first = wake();
  machine().settle(first, true, now_);
  take();
  machine().relock(first, 100ms, now_);
  serve_inbox();
  EXPECT_EQ(wanted(), (Texts{"s:2", "wait"}));
}

TEST_F(RelockTest, FindsThatTheLockWasLostBefore) {
  ask();
  take();
  answer(number(-1));
  EXPECT_EQ(completed(), Texts{"2 not held"});
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().holds(former_));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(RelockTest, ARefusedQuestionLeavesTheLockAsItWas) {
  ask();
  take();
  answer(failure("OOM no memory"));
  EXPECT_EQ(completed(), Texts{"2 failed: OOM no memory"});
  EXPECT_TRUE(machine().holds(former_));
  // Nothing renewed it meanwhile, so that is due.
  EXPECT_EQ(table_->scan(now_).due.size(), 1U);
  // What the script may have done is undone.
  EXPECT_EQ(take(), (Texts{"condition_leave s:2", "lock_release s:2"}));
  answer(number(0) + number(0));
  machine().release(former_, now_);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
}

TEST_F(RelockTest, ARefusedSubscriptionLeavesTheLockAsItWas) {
  begin();
  push(failure("NOPERM no channel"));
  EXPECT_EQ(completed(), Texts{"2 failed: NOPERM no channel"});
  EXPECT_TRUE(machine().holds(former_));
  EXPECT_EQ(table_->scan(now_).due.size(), 1U);
  EXPECT_EQ(take(), Texts{});
}

// The error of a later question says nothing of the lock that was given back with the first.
TEST_F(RelockTest, ARefusedQuestionDoesNotBringTheLockBack) {
  wait();
  tick();
  take();
  answer(failure("OOM no memory"));
  EXPECT_EQ(completed(), Texts{"2 failed: OOM no memory"});
  EXPECT_FALSE(machine().holds(former_));
  EXPECT_FALSE(looked_after());
}

TEST_F(RelockTest, SaysWhoHadTheLockUntilThatIsKnown) {
  ask();
  EXPECT_EQ(wanted(), (Texts{"s:1", "wait"}));
  lose();
  connect();
  serve_inbox();
  EXPECT_EQ(wanted(), (Texts{"s:1", "wait"}));
  answer(reply({.rank = 0, .added = 0}));
  lose();
  connect();
  serve_inbox();
  EXPECT_EQ(wanted(), (Texts{"", "wait"}));
}

TEST_F(RelockTest, AGrantAfterALossIsHeard) {
  const auto id = wait();
  lose();
  connect();
  push(grant_message("s:2", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  serve_inbox();
  EXPECT_EQ(take(), Texts{});
  EXPECT_TRUE(machine().holds(id));
}

TEST_F(RelockTest, AbandonedBeforeItAskedFreesTheLock) {
  machine().abandon(begin(), now_);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(RelockTest, AbandonedBeforeTheAnswerFreesWhateverItHas) {
  machine().abandon(ask(), now_);
  EXPECT_EQ(take(), (Texts{"condition_wait s:2", "condition_leave s:2", "lock_release s:2",
                           "lock_release s:1"}));
  answer(reply({.rank = 0}) + number(2) + number(0) + number(0));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(RelockTest, AbandonedWhileItWaits) {
  machine().abandon(wait(), now_);
  EXPECT_EQ(take(), (Texts{"condition_leave s:2", "lock_release s:2"}));
  lose();
  connect();
  EXPECT_EQ(take(), (Texts{"condition_leave s:2", "lock_release s:2"}));
  answer(number(2) + number(0));
  EXPECT_FALSE(machine().wants_link(false));
}

// Both are asked again, in their order: the place among the waiters must not outlive the other.
TEST_F(RelockTest, AForgottenScriptOfAWithdrawalIsSentAgain) {
  const auto no_script = failure("NOSCRIPT No matching script.");
  const Texts both{"condition_leave s:2", "lock_release s:2"};
  machine().abandon(wait(), now_);
  EXPECT_EQ(take(), both);
  answer(no_script + number(0));
  EXPECT_EQ(take(), both);
  answer(no_script + no_script);
  EXPECT_EQ(take(), both);
  answer(number(2) + no_script);
  EXPECT_EQ(take(), both);
  answer(number(0) + number(0));
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(RelockTest, GivingUpFailsItAndFreesTheLock) {
  begin();
  lose();
  machine().give_up({base::ErrorKind::kConnection, "away"});
  EXPECT_EQ(completed(), Texts{"2 failed: away"});
  EXPECT_FALSE(machine().holds(former_));
  connect();
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
}

class RejoinTest : public RelockTest {};

TEST_F(RejoinTest, BeforeItAskedKeepsTheLock) {
  const auto id = begin();
  EXPECT_EQ(machine().rejoin(id, now_), Outcome::kBusy);
  // It needs no notification any more, so no channel either.
  EXPECT_EQ(wanted(), (Texts{"s:1", "leave"}));
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_TRUE(machine().holds(id));
  EXPECT_FALSE(machine().holds(former_));
}

TEST_F(RejoinTest, AsksWhenTheAnswerIsThere) {
  const auto id = ask();
  EXPECT_EQ(machine().rejoin(id, now_), Outcome::kBusy);
  EXPECT_EQ(wanted(), (Texts{"s:1", "wait"}));
  answer(reply({.rank = 0}));
  EXPECT_EQ(wanted(), (Texts{"", "leave"}));
  answer(reply({.ttl_ms = 20'000}));
  EXPECT_EQ(take(), Texts{});
  push(grant_message("s:2", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"2 granted"});
}

TEST_F(RejoinTest, AsksAtOnceWhileItWaits) {
  const auto id = wait();
  EXPECT_EQ(machine().rejoin(id, now_), Outcome::kBusy);
  EXPECT_EQ(wanted(), (Texts{"", "leave"}));
  answer(reply({.ttl_ms = 20'000}));
  // And goes on to ask for that.
  tick();
  EXPECT_EQ(wanted(), (Texts{"", "leave"}));
}

TEST_F(RejoinTest, AGrantThatIsUnderWayIsTaken) {
  const auto id = wait();
  machine().rejoin(id, now_);
  push(grant_message("s:2", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_EQ(machine().rejoin(id, now_), Outcome::kHeld);
  take();
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_EQ(take(), Texts{});
}

TEST_F(RejoinTest, AnAnswerThatCrossesItIsEnough) {
  const auto id = ask();
  machine().rejoin(id, now_);
  take();
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_EQ(take(), Texts{});
}

TEST_F(RejoinTest, WhatHasFailedStaysSo) {
  const auto id = ask();
  machine().rejoin(id, now_);
  answer(number(-1));
  EXPECT_EQ(completed(), Texts{"2 not held"});
  EXPECT_EQ(machine().rejoin(id, now_), Outcome::kNotHeld);
  EXPECT_EQ(machine().rejoin(99, now_), Outcome::kNotHeld);
}

TEST_F(RejoinTest, WhatIsLostIsNotHeld) {
  const auto id = wake();
  table_->scan(now_ + 1h);
  machine().take_losses();
  EXPECT_EQ(machine().rejoin(id, now_), Outcome::kNotHeld);
}

TEST_F(RejoinTest, NeedsNoChannelAfterALoss) {
  const auto id = wait();
  machine().rejoin(id, now_);
  take();
  lose();
  connect();
  EXPECT_EQ(wanted(), (Texts{"", "leave"}));
  serve_inbox();
  EXPECT_EQ(take(), Texts{});
}

TEST_F(RejoinTest, WithoutALinkItIsSentLater) {
  const auto id = wait();
  lose();
  EXPECT_EQ(machine().rejoin(id, now_), Outcome::kBusy);
  connect();
  EXPECT_EQ(wanted(), (Texts{"", "leave"}));
}

}  // namespace
}  // namespace dsync::tests
