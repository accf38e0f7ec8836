// The parties of a barrier, as one session sees them.
#include <gtest/gtest.h>

#include <algorithm>

#include "primitives/commands.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

const std::string kKey = "distributed_barrier_count_b";
const std::string kChannel = "distributed_barrier_channelb";
const std::string kOpen = bulk("1");
const Wish kWish{.key = kKey,
                 .token = "",
                 .lease = 0s,
                 .renewed = false,
                 .kind = primitives::Kind::kBarrier,
                 .number = 3};
const Texts kKeys{kKey, '{' + kKey + "}:dsync:parties", '{' + kKey + "}:dsync:ended",
                  '{' + kKey + "}:dsync:told"};

class BarrierTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  OperationId arrive() {
    const auto id = acquire(kWish);
    serve_inbox();
    return id;
  }

  // A party that the server counts.
  OperationId wait() {
    const auto id = arrive();
    take();
    answer(reply({}));
    return id;
  }

  // The word that the one question says was heard.
  std::string word() {
    const auto commands = take_commands();
    EXPECT_EQ(commands.size(), 1U);
    return commands.empty() ? "nothing was asked" : arguments_of(commands[0]).at(3);
  }
};

TEST_F(BarrierTest, ListensBeforeItArrives) {
  acquire(kWish);
  EXPECT_EQ(take(), Texts{});
  serve_inbox();
  EXPECT_EQ(take(), Texts{"barrier_wait s:1"});
}

TEST_F(BarrierTest, SaysWhatTheScriptWants) {
  arrive();
  const auto command = take_commands().at(0);
  auto keys = kKeys;
  keys.push_back("distributed_lock_barrier_b");
  EXPECT_EQ(keys_of(command), keys);
  EXPECT_EQ(arguments_of(command), (Texts{"s:1", "3", kChannel, ""}));
}

TEST_F(BarrierTest, TheLastOneOpensByTheReply) {
  arrive();
  take();
  answer(kOpen);
  EXPECT_EQ(completed(), Texts{"1 granted"});
  // The server is to forget the outcome; nobody waits for that.
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "barrier_leave s:1");
  EXPECT_EQ(keys_of(command), kKeys);
  EXPECT_EQ(arguments_of(command), Texts{"s:1"});
  EXPECT_FALSE(machine().wants_link(true));
  EXPECT_TRUE(machine().wants_link(false));
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(BarrierTest, OneMessageOpensForAllOfASession) {
  for (int i = 0; i < 3; ++i) wait();
  EXPECT_EQ(completed(), Texts{});
  push(told("s open 1 3"));
  EXPECT_EQ(completed(), (Texts{"1 granted", "3 granted"}));
  EXPECT_EQ(take(), (Texts{"barrier_leave s:1", "barrier_leave s:3"}));
  push(told("s open 2"));
  EXPECT_EQ(completed(), Texts{"2 granted"});
}

TEST_F(BarrierTest, IsBrokenByAMessage) {
  wait();
  wait();
  push(told("s broken 2 1"));
  EXPECT_EQ(completed(), (Texts{"2 broken", "1 broken"}));
  EXPECT_EQ(take(), (Texts{"barrier_leave s:2", "barrier_leave s:1"}));
}

TEST_F(BarrierTest, IsBrokenByTheReply) {
  arrive();
  take();
  answer(number(-2));
  EXPECT_EQ(completed(), Texts{"1 broken"});
  EXPECT_EQ(take(), Texts{"barrier_leave s:1"});
}

TEST_F(BarrierTest, OneThatDisagreesIsNotCounted) {
  arrive();
  take();
  answer(number(-3));
  EXPECT_EQ(completed(), Texts{"1 disagrees"});
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_EQ(machine().deadline(), now_ + 1s);  // When it stops to listen.
}

TEST_F(BarrierTest, OtherAnswersAreErrors) {
  for (const auto& strange : {number(0), number(-1), number(-4), nil(), failure("OOM"), bulk("")}) {
    const auto id = std::to_string(arrive());
    take();
    answer(strange);
    const auto outcome = completed();
    ASSERT_EQ(outcome.size(), 1U) << strange;
    EXPECT_EQ(outcome[0].find(id + " failed"), 0U) << outcome[0];
    // It may be counted all the same.
    EXPECT_EQ(take(), Texts{"barrier_leave s:" + id});
    answer(number(0));
  }
}

TEST_F(BarrierTest, AMessageBeforeTheReplyIsEnough) {
  arrive();
  take();
  push(told("s open 1"));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  answer(kOpen + number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(BarrierTest, ARoundIsOverOnce) {
  wait();
  push(told("s open 1"));
  push(told("s broken 1"));
  push(told("s open 1"));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(take(), Texts{"barrier_leave s:1"});
}

TEST_F(BarrierTest, ThePartiesOfTheNextRoundAreOthers) {
  wait();
  push(told("s open 1"));
  completed();
  wait();
  // Late, or twice.
  push(told("s open 1") + told("s broken 1"));
  EXPECT_EQ(completed(), Texts{});
  push(told("s open 2"));
  EXPECT_EQ(completed(), Texts{"2 granted"});
}

TEST_F(BarrierTest, MessagesForNobodyAreIgnored) {
  wait();
  for (const std::string text :
       {"s", "s ", "s open", "s open ", "s open 2", "s open x", "s open -1",
        "s open 99999999999999999999", "t open 1", "ss open 1", "sopen 1", "open 1"}) {
    push(told(text));
    EXPECT_EQ(completed(), Texts{}) << text;
  }
  push(told("s open 7 1 9"));
  EXPECT_EQ(completed(), Texts{"1 granted"});
}

TEST_F(BarrierTest, WhatOldProcessesSayIsAskedAbout) {
  wait();
  wait();
  push(published(kChannel, "release"));
  EXPECT_EQ(word(), "release");
  answer(reply({.added = 0}));
  push(published(kChannel, "reset"));
  EXPECT_EQ(word(), "reset");
  answer(reply({.added = 0}));
  push(published(kChannel, "abort"));
  EXPECT_EQ(word(), "reset");
  answer(reply({.added = 0}));
  EXPECT_EQ(completed(), Texts{});
  // What was said is said once.
  tick();
  EXPECT_EQ(word(), "");
}

TEST_F(BarrierTest, TheOldestAsksForAll) {
  const auto first = wait();
  wait();
  machine().abandon(first, now_);
  take();
  push(published(kChannel, "release"));
  EXPECT_EQ(take(), Texts{"barrier_wait s:2"});
}

TEST_F(BarrierTest, WhatIsSaidWhileItAsksIsAskedAboutAgain) {
  arrive();
  EXPECT_EQ(word(), "");
  push(published(kChannel, "release"));
  EXPECT_EQ(take(), Texts{});
  answer(reply({}));
  EXPECT_EQ(word(), "release");
  answer(reply({.added = 0}));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(BarrierTest, WhatIsSaidWhenNobodyWaitsIsNoNews) {
  wait();
  push(told("s open 1"));
  take();
  push(published(kChannel, "reset"));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(BarrierTest, AsksAgainWhenItWasToldTo) {
  arrive();
  take();
  // An old process holds its guard.
  answer(reply({.ttl_ms = 1, .rank = 0, .added = 0}));
  EXPECT_LE(tick(), 10ms);
  EXPECT_EQ(take(), Texts{"barrier_wait s:1"});
}

// Nobody else can do it for them.
TEST_F(BarrierTest, AllAskAgainThatCouldNotBeCounted) {
  wait();
  for (int i = 0; i < 2; ++i) {
    arrive();
    take();
    answer(reply({.ttl_ms = 1, .rank = 0, .added = 0}));
  }
  EXPECT_LE(tick(), 10ms);
  auto asked = take();
  std::ranges::sort(asked);
  EXPECT_EQ(asked, (Texts{"barrier_wait s:2", "barrier_wait s:3"}));
}

TEST_F(BarrierTest, WhatWasNotAskedAboutIsLeftToTheNext) {
  const auto first = wait();
  wait();
  tick();
  take();
  push(published(kChannel, "release"));
  machine().abandon(first, now_);
  const auto commands = take_commands();
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_EQ(in_short(commands[1]), "barrier_wait s:2");
  EXPECT_EQ(arguments_of(commands[1]).at(3), "release");
}

TEST_F(BarrierTest, ForgottenPartiesArriveAgain) {
  for (int i = 0; i < 3; ++i) wait();
  tick();
  EXPECT_EQ(take(), Texts{"barrier_wait s:1"});
  answer(reply({.added = 1}));
  EXPECT_EQ(take(), (Texts{"barrier_wait s:2", "barrier_wait s:3"}));
}

TEST_F(BarrierTest, WhoGoesIsNotCountedAnyMore) {
  const auto waiting = wait();
  const auto asking = arrive();
  const auto unheard = acquire(
      {.key = "distributed_barrier_count_c", .kind = primitives::Kind::kBarrier, .number = 2});
  take();
  for (const auto id : {waiting, asking, unheard}) machine().abandon(id, now_);
  EXPECT_EQ(take(), (Texts{"barrier_leave s:1", "barrier_leave s:2"}));
  answer(kOpen + number(2) + number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(BarrierTest, ADeadlineEndsTheWaiting) {
  auto wish = kWish;
  wish.poll_delay = 1h;
  wish.timeout = 1s;
  acquire(wish);
  serve_inbox();
  answer(reply({}));
  take();
  tick();
  EXPECT_EQ(completed(), Texts{"1 timed out"});
  EXPECT_EQ(take(), Texts{"barrier_leave s:1"});
}

TEST_F(BarrierTest, ArrivesAgainAfterALoss) {
  wait();
  wait();
  push(told("s open 2"));
  completed();
  take();
  lose();
  EXPECT_EQ(completed(), Texts{});
  connect();
  // What is known needs no channel; what is waited for does.
  EXPECT_EQ(take(), Texts{"barrier_leave s:2"});
  serve_inbox();
  EXPECT_EQ(take(), Texts{"barrier_wait s:1"});
  answer(number(1) + kOpen);
  EXPECT_EQ(completed(), Texts{"1 granted"});
}

TEST_F(BarrierTest, ARefusedSubscriptionFails) {
  acquire(kWish);
  push(failure("NOPERM no channel"));
  EXPECT_EQ(completed(), Texts{"1 failed: NOPERM no channel"});
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(BarrierTest, ARefusedSubscriptionAfterALossTakesTheArrivalBack) {
  wait();
  lose();
  connect();
  push(failure("NOPERM no channel"));
  EXPECT_EQ(completed(), Texts{"1 failed: NOPERM no channel"});
  EXPECT_EQ(take(), Texts{"barrier_leave s:1"});
}

TEST_F(BarrierTest, CountsItsParties) {
  machine().ask(primitives::waiting_question(kKey), now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "barrier_count " + kKey);
  EXPECT_EQ(keys_of(command), kKeys);
  answer(number(2));
  EXPECT_EQ(completed(), Texts{"1 number 2"});
}

TEST_F(BarrierTest, ARoundIsEndedByACall) {
  machine().ask(primitives::end_call(kKey, "reset"), now_);
  const auto command = take_commands().at(0);
  auto keys = kKeys;
  keys.push_back('{' + kKey + "}:dsync:done");
  EXPECT_EQ(keys_of(command), keys);
  EXPECT_EQ(arguments_of(command), (Texts{"s:1", "0", kChannel, "reset"}));
  lose();
  connect();
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(1), "1");
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"1 done"});
}

}  // namespace
}  // namespace dsync::tests
