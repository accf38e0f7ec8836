// How a hold comes to its end: released, abandoned, lost, forgotten; and questions about it.
#include <gtest/gtest.h>

#include "primitives/commands.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

using Ids = std::vector<primitives::OperationId>;

class LockEndTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  // As the renewal thread finds it.
  void lose_lease() {
    table_->scan(now_ + 1h);
    EXPECT_EQ(losses_take(), Ids{1});
  }
  Ids losses_take() { return machine().take_losses(); }
};

TEST_F(LockEndTest, ReleaseSaysWhatTheScriptWants) {
  const auto id = hold();
  machine().release(id, now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(Texts(command.begin() + 2, command.end()),
            (Texts{"3", "key", "{key}:dsync:queue", "{key}:dsync:fence", "token", "s:1", "5000"}));
}

TEST_F(LockEndTest, Released) {
  const auto id = hold();
  EXPECT_TRUE(looked_after());
  machine().release(id, now_);
  EXPECT_FALSE(looked_after());
  EXPECT_TRUE(machine().wants_link(true));
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"1 released"});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, ReleasedTooLate) {
  const auto id = hold();
  machine().release(id, now_);
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 not held"});
}

TEST_F(LockEndTest, AReleaseThatTheServerRefuses) {
  const auto id = hold();
  machine().release(id, now_);
  answer(failure("WRONGTYPE Operation against a key"));
  EXPECT_EQ(completed(), Texts{"1 failed: WRONGTYPE Operation against a key"});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, AbandonedWhileItWaits) {
  const auto id = wait({.timeout = 1min});
  machine().abandon(id, now_);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  EXPECT_FALSE(machine().wants_link(true));
  EXPECT_TRUE(machine().wants_link(false));
  // It asks no more, and its deadline is nobody's.
  EXPECT_EQ(machine().deadline(), base::kNever);
  answer(number(2));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, AbandonedBeforeTheAnswer) {
  const auto id = acquire();
  machine().abandon(id, now_);
  // One after the other: the server must not queue what has been withdrawn.
  EXPECT_EQ(take(), (Texts{"lock_acquire s:1", "lock_release s:1"}));
  answer(granted(1'700'000'000'000'001) + number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(looked_after());
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, AbandonedWhileAGrantIsUnderWay) {
  const auto id = wait();
  machine().abandon(id, now_);
  push(grant_message("s:1", 1'700'000'000'000'001, 1'000'000'000));
  EXPECT_FALSE(looked_after());
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  push(grant_message("s:1", 1'700'000'000'000'001, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(LockEndTest, AbandonedWhileItHolds) {
  const auto id = hold();
  machine().abandon(id, now_);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  EXPECT_FALSE(looked_after());
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  machine().abandon(id, now_);
  EXPECT_EQ(take(), Texts{});
}

TEST_F(LockEndTest, AbandonedWhileItIsReleased) {
  const auto id = hold();
  machine().release(id, now_);
  take();
  machine().abandon(id, now_);
  EXPECT_EQ(take(), Texts{});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(LockEndTest, TheNextWaiterAsksWhenTheOldestWasAbandoned) {
  const auto first = wait();
  wait();
  machine().abandon(first, now_);
  take();
  answer(number(2));
  tick();
  EXPECT_EQ(take(), Texts{"lock_acquire s:2"});
}

TEST_F(LockEndTest, LostByTheRenewal) {
  const auto id = hold();
  lose_lease();
  EXPECT_EQ(machine().valid_for(id, now_), 0s);
  EXPECT_EQ(losses_take(), Ids{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, ALossStandsWhenItIsReleased) {
  const auto id = hold();
  lose_lease();
  machine().release(id, now_);
  // At once, whatever the server says; but the server may still count it as the holder.
  EXPECT_EQ(completed(), Texts{"1 not held"});
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, ALossOfWhatIsBeingReleasedIsNoNews) {
  const auto id = hold();
  table_->scan(now_ + 1h);
  machine().release(id, now_);
  EXPECT_EQ(losses_take(), Ids{});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"1 released"});
}

TEST_F(LockEndTest, ALostHoldThatIsAbandonedIsGivenBack) {
  const auto id = hold();
  lose_lease();
  machine().abandon(id, now_);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
}

TEST_F(LockEndTest, ForgottenItIsLeftToItsLease) {
  const auto id = hold();
  machine().forget(id, now_);
  EXPECT_FALSE(looked_after());
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
  machine().forget(id, now_);
  // What still needs the server is not forgotten.
  const auto waiter = wait();
  machine().forget(waiter, now_);
  EXPECT_TRUE(machine().wants_link(true));
}

TEST_F(LockEndTest, WhatWasForgottenIsGivenBackAtTheEnd) {
  machine().forget(hold({.key = "over", .lease = 1s}), now_);
  now_ += 2s;
  machine().forget(hold(), now_);
  machine().forget(hold({.key = "unrenewed", .renewed = false}), now_);
  machine().abandon_all(now_);
  EXPECT_EQ(take(), Texts{"lock_release s:2"});
  answer(number(1));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, TheEndOfTheMachineEndsItsLeases) {
  auto session = std::make_unique<primitives::Session>(
      primitives::Session::Options{"t", 1, 5s, 15s}, table_, losses_);
  session->client().connected(client::Channel::kInbox, now_);
  session->client().connected(client::Channel::kCommands, now_);
  session->received(client::Channel::kInbox,
                    array({bulk("subscribe"), bulk("dsync:inbox:t"), number(1)}), now_);
  session->received(client::Channel::kCommands, simple("PONG"), now_);
  session->machine().acquire({"key", "token", 30s, true, true, 100ms, base::kNever}, now_);
  session->received(client::Channel::kCommands, granted(1'700'000'000'000'001), now_);
  EXPECT_TRUE(looked_after());
  session.reset();
  EXPECT_FALSE(looked_after());
  EXPECT_EQ(losses_->take(), Ids{});
}

TEST_F(LockEndTest, AConfirmationThatFindsALoss) {
  const auto id = hold();
  machine().confirm(id, 0s, now_);
  answer(array({number(0)}));
  EXPECT_EQ(completed(), Texts{"2 not held"});
  EXPECT_EQ(losses_take(), Ids{1});
  EXPECT_EQ(machine().valid_for(id, now_), 0s);
  EXPECT_FALSE(looked_after());
}

TEST_F(LockEndTest, AConfirmationOfALostHoldAsksNobody) {
  const auto id = hold();
  lose_lease();
  machine().confirm(id, 30s, now_);
  EXPECT_EQ(completed(), Texts{"2 not held"});
  EXPECT_EQ(take(), Texts{});
}

// The loss has been told; an answer from before it must not take that back.
TEST_F(LockEndTest, AConfirmationDoesNotReviveALostHold) {
  const auto id = hold();
  machine().confirm(id, 30s, now_);
  lose_lease();
  answer(array({number(1)}));
  EXPECT_EQ(completed(), Texts{"2 not held"});
  EXPECT_EQ(machine().valid_for(id, now_), 0s);
}

TEST_F(LockEndTest, AConfirmationThatTheServerRefuses) {
  const auto id = hold();
  for (const auto& strange : {failure("ERR no"), array({}), array({bulk("1")}), nil()}) {
    machine().confirm(id, 0s, now_);
    answer(strange);
    const auto outcome = completed();
    ASSERT_EQ(outcome.size(), 1U);
    EXPECT_NE(outcome[0].find(" failed"), std::string::npos) << outcome[0];
  }
  EXPECT_GT(machine().valid_for(id, now_), 0s);
}

TEST_F(LockEndTest, ReleasedWhileAConfirmationIsUnderWay) {
  const auto id = hold();
  machine().confirm(id, 0s, now_);
  machine().release(id, now_);
  answer(array({number(1)}) + number(1));
  EXPECT_EQ(completed(), (Texts{"2 not held", "1 released"}));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockEndTest, WhetherAKeyIsLocked) {
  machine().ask(primitives::locked_question("key"), now_);
  machine().ask(primitives::locked_question("other"), now_);
  machine().ask(primitives::locked_question("third"), now_);
  EXPECT_EQ(take(), (Texts{"EXISTS key", "EXISTS other", "EXISTS third"}));
  answer(number(1) + number(0) + failure("NOPERM no"));
  EXPECT_EQ(completed(), (Texts{"1 locked", "2 free", "3 failed: NOPERM no"}));
}

TEST_F(LockEndTest, AnAbandonedQuestionIsAnsweredToNobody) {
  const auto id = machine().ask(primitives::locked_question("key"), now_);
  machine().abandon(id, now_);
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

}  // namespace
}  // namespace dsync::tests
