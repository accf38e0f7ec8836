// Operations whose link is lost, whose server forgot the scripts, or which nobody can serve: each
// happens once, and nothing is left behind.
#include <gtest/gtest.h>

#include "primitives/commands.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kFence = 1'700'000'000'000'001;
const std::string kNoScript = failure("NOSCRIPT No matching script.");
const base::Error kAway{base::ErrorKind::kConnection, "away"};

class LockLinkTest : public MachineTest {};

TEST_F(LockLinkTest, WaitsForTheFirstLink) {
  acquire();
  machine().ask(primitives::locked_question("key"), now_);
  EXPECT_EQ(take(), Texts{});
  EXPECT_TRUE(machine().wants_link(true));
  connect();
  EXPECT_EQ(take(), (Texts{"lock_acquire s:1", "EXISTS key"}));
}

TEST_F(LockLinkTest, WhatNeverLeftNeedsNoWithdrawal) {
  const auto id = acquire();
  const auto timed = acquire({.timeout = 1s});
  machine().abandon(id, now_);
  tick();
  EXPECT_EQ(completed(), Texts{std::to_string(timed) + " timed out"});
  EXPECT_FALSE(machine().wants_link(false));
  connect();
  EXPECT_EQ(take(), Texts{});
}

TEST_F(LockLinkTest, EverythingIsSentAgainInItsOrder) {
  connect();
  const auto held = hold();
  const auto released = hold({.key = "released"});
  wait();
  acquire();
  machine().release(released, now_);
  machine().confirm(held, 0s, now_);
  machine().ask(primitives::locked_question("key"), now_);
  take();
  lose();
  EXPECT_EQ(completed(), Texts{});
  connect();
  EXPECT_EQ(take(), (Texts{"lock_release s:2", "lock_acquire s:3", "lock_acquire s:4",
                           "lock_renew s:1", "EXISTS key"}));
}

TEST_F(LockLinkTest, AGrantWhoseAnswerWasLostIsToldAgain) {
  connect();
  const auto id = acquire();
  now_ += 20s;
  lose();
  now_ += 20s;
  connect();
  now_ += 1s;
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(machine().valid_for(id, now_), 29s);
}

TEST_F(LockLinkTest, AReleaseThatWasSentTwiceIsDone) {
  connect();
  const auto id = hold();
  machine().release(id, now_);
  lose();
  connect();
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 released"});
}

TEST_F(LockLinkTest, AReleaseThatWasSentTwiceIsDoubtedAfterTheLease) {
  connect();
  const auto id = hold();
  machine().release(id, now_);
  lose();
  now_ += 30s;
  connect();
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 not held"});
}

TEST_F(LockLinkTest, AReleaseThatWasSentOnceIsTakenAtItsWord) {
  connect();
  const auto id = hold();
  lose();
  machine().release(id, now_);
  connect();
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 not held"});
}

TEST_F(LockLinkTest, AForgottenScriptIsNoSecondRelease) {
  connect();
  const auto id = hold();
  machine().release(id, now_);
  take();
  answer(kNoScript);
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 not held"});
}

// Of a release that may have been executed over the link before, a forgotten script says nothing.
TEST_F(LockLinkTest, AForgottenScriptDoesNotUndoARelease) {
  connect();
  const auto first = hold();
  const auto second = hold({.key = "other"});
  machine().release(first, now_);
  machine().release(second, now_);
  lose();
  connect();
  EXPECT_EQ(take(), (Texts{"lock_release s:1", "lock_release s:2"}));
  answer(number(0) + kNoScript);
  EXPECT_EQ(take(), Texts{"lock_release s:2"});
  answer(number(0));
  EXPECT_EQ(completed(), (Texts{"1 released", "2 released"}));
}

TEST_F(LockLinkTest, AForgottenScriptIsSentAgainInEachState) {
  connect();
  const auto held = hold({.key = "other"});
  const auto waiting = wait();
  tick();
  machine().confirm(held, 0s, now_);
  EXPECT_EQ(take(), (Texts{"lock_acquire s:2", "lock_renew s:1"}));
  answer(kNoScript + kNoScript);
  EXPECT_EQ(take(), (Texts{"lock_acquire s:2", "lock_renew s:1"}));
  answer(granted(kFence) + array({number(1)}));
  EXPECT_EQ(completed(), (Texts{"2 granted", "3 held"}));
  EXPECT_EQ(machine().fence(waiting), kFence);
}

TEST_F(LockLinkTest, AForgottenScriptOfWhatIsWithdrawnIsNotSentAgain) {
  connect();
  wait();
  const auto id = acquire();
  machine().abandon(id, now_);
  EXPECT_EQ(take(), (Texts{"lock_acquire s:2", "lock_release s:2"}));
  // The acquire was not executed, so there is nothing to take back, and nothing to ask.
  answer(kNoScript + number(0));
  EXPECT_EQ(take(), Texts{});
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(LockLinkTest, AForgottenScriptOfWhatWasGrantedMeanwhileIsNotSentAgain) {
  connect();
  const auto id = wait();
  tick();
  take();
  push(grant_message("s:1", kFence, 1'000'000'000));
  answer(kNoScript);
  EXPECT_EQ(take(), Texts{});
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(machine().fence(id), kFence);
}

TEST_F(LockLinkTest, AServerThatIsNotReadyEndsTheLinkAndNoOperation) {
  connect();
  acquire();
  answer(failure("LOADING Redis is loading the dataset in memory"));
  const auto news = session_.take_link_news();
  ASSERT_TRUE(news.lost);
  EXPECT_EQ(news.lost->kind, base::ErrorKind::kConnection);
  EXPECT_EQ(completed(), Texts{});
  connect();
  EXPECT_TRUE(session_.take_link_news().ready);
  EXPECT_EQ(take(), Texts{"lock_acquire s:1"});
}

TEST_F(LockLinkTest, NothingIsAskedWithoutALink) {
  connect();
  wait({.timeout = 1min});
  lose();
  EXPECT_EQ(machine().deadline(), now_ + 1min);
  tick();
  EXPECT_EQ(completed(), Texts{"1 timed out"});
  // The server may still queue it.
  EXPECT_TRUE(machine().wants_link(false));
  EXPECT_FALSE(machine().wants_link(true));
  connect();
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
}

TEST_F(LockLinkTest, APlaceIsNoNewsAfterALoss) {
  connect();
  for (int i = 0; i < 3; ++i) wait({}, {.rank = i + 1, .length = i + 1});
  lose();
  connect();
  EXPECT_EQ(take().size(), 3U);
  // All were asked anew, so none of these answers makes the others ask.
  answer(reply({.length = 1}) + reply({.rank = 2, .length = 2}) + reply({.rank = 3, .length = 3}));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(LockLinkTest, GivingUpFailsThoseWithoutADeadline) {
  connect();
  const auto held = hold();
  const auto released = hold({.key = "released"});
  wait();
  wait({.timeout = 1min});
  machine().release(released, now_);
  machine().confirm(held, 0s, now_);
  machine().ask(primitives::locked_question("key"), now_);
  lose();
  machine().give_up(kAway);
  auto outcomes = completed();
  std::ranges::sort(outcomes);
  EXPECT_EQ(outcomes,
            (Texts{"2 failed: away", "3 failed: away", "5 failed: away", "6 failed: away"}));
  EXPECT_GT(machine().valid_for(held, now_), 0s);
  // The one with a deadline waits on.
  EXPECT_TRUE(machine().wants_link(true));
  machine().give_up(kAway);
  EXPECT_EQ(completed(), Texts{});
  // What may be left at the server is taken back when it is there again.
  connect();
  EXPECT_EQ(take(), (Texts{"lock_release s:2", "lock_release s:3", "lock_acquire s:4"}));
  answer(number(1) + number(2) + granted(kFence));
  EXPECT_EQ(completed(), Texts{"4 granted"});
}

TEST_F(LockLinkTest, GivingUpWithoutAnythingSentLeavesNothing) {
  acquire();
  machine().ask(primitives::locked_question("key"), now_);
  machine().give_up(kAway);
  EXPECT_EQ(completed().size(), 2U);
  EXPECT_FALSE(machine().wants_link(false));
  connect();
  EXPECT_EQ(take(), Texts{});
}

TEST_F(LockLinkTest, AbandoningAllGivesEverythingBack) {
  connect();
  hold();
  wait();
  machine().release(hold({.key = "released"}), now_);
  take();
  machine().abandon_all(now_);
  auto sent = take();
  std::ranges::sort(sent);
  EXPECT_EQ(sent, (Texts{"lock_release s:1", "lock_release s:2"}));
  answer(number(1) + number(1) + number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_EQ(table_->scan(now_).next, base::kNever);
}

TEST_F(LockLinkTest, OperationsOfAnOldLinkAreAnsweredByTheNewOneOnly) {
  connect();
  acquire();
  const auto late = granted(kFence);
  lose();
  answer(late);
  EXPECT_EQ(completed(), Texts{});
  connect();
  answer(reply({.rank = 2, .length = 2}));
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(LockLinkTest, AGrantDuringTheGreetingIsHeard) {
  connect();
  const auto id = wait();
  lose();
  session_.client().connected(client::Channel::kCommands, now_);
  session_.client().connected(client::Channel::kInbox, now_);
  push(array({bulk("subscribe"), bulk("dsync:inbox:s"), number(1)}));
  push(grant_message("s:1", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_LE(machine().valid_for(id, now_), 5s);
  take();
  answer(simple("PONG"));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(LockLinkTest, KnowsWhenToLook) {
  EXPECT_EQ(session_.deadline(), base::kNever);
  connect();
  EXPECT_EQ(session_.deadline(), now_ + 15s);
  acquire({.timeout = 2s});
  EXPECT_EQ(session_.deadline(), now_ + 2s);
  answer(reply({}));
  EXPECT_LE(session_.deadline(), now_ + 100ms);
}

}  // namespace
}  // namespace dsync::tests
