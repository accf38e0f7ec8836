// barrier_wait, as its header describes it.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/barrier_calls.h"

namespace dsync::tests {
namespace {

class BarrierWaitScriptTest : public BarrierScriptTest {
 protected:
  // Sessions that are alive.
  Inbox a_{server_, "a"};
  Inbox b_{server_, "b"};
};

TEST_F(BarrierWaitScriptTest, CountsAnArrival) {
  const auto before = server_us();
  const auto place = numbers_in(wait_as("a:1"));
  ASSERT_EQ(place.size(), 5U);
  EXPECT_EQ(place[0], -1);
  EXPECT_EQ(place[1], 1);
  EXPECT_EQ(place[2], 1);
  EXPECT_GE(place[3], before);
  EXPECT_LE(place[3], server_us());
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(members(kParties), Texts{"a:1"});
  EXPECT_EQ(redis_.keys(), (Texts{kKey, kParties}));
}

TEST_F(BarrierWaitScriptTest, CountsEachPartyOnce) {
  wait_as("a:1");
  const auto again = numbers_in(wait_as("a:1"));
  EXPECT_EQ(again[2], 1);
  EXPECT_EQ(again[4], 0);
  EXPECT_EQ(numbers_in(wait_as("a:2"))[2], 2);
  EXPECT_EQ(count(), "'2'");
}

TEST_F(BarrierWaitScriptTest, TheLastOneOpens) {
  wait_as("b:10");
  wait_as("a:1");
  EXPECT_EQ(wait_as("a:2"), "'1'");
  EXPECT_EQ(count(), "'0'");
  EXPECT_EQ(members(kParties), Texts{});
  // The last one knows by its reply.
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 10"});
}

TEST_F(BarrierWaitScriptTest, OneMessageTellsAWholeSession) {
  for (const auto* operation : {"a:3", "b:1", "a:12", "a:4"}) {
    wait({.operation = operation, .parties = "5"});
  }
  wait({.operation = "b:2", .parties = "5"});
  const auto messages = a_.messages(redis_);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].size(), std::string("a open 12 3 4").size());
  for (const auto* number : {" 3", " 4", " 12"}) {
    EXPECT_NE(messages[0].find(number), std::string::npos) << messages[0];
  }
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
}

TEST_F(BarrierWaitScriptTest, OfOnePartyIsOpenAtOnce) {
  EXPECT_EQ(wait({.parties = "1"}), "'1'");
  EXPECT_EQ(count(), "'0'");
  EXPECT_EQ(a_.messages(redis_), Texts{});
}

TEST_F(BarrierWaitScriptTest, TellsAgainUntilItIsConfirmed) {
  wait({.parties = "2"});
  wait({.operation = "b:1", .parties = "2"});
  for (const auto* operation : {"a:1", "b:1", "a:1"}) {
    EXPECT_EQ(wait({.operation = operation, .parties = "2"}), "'1'");
  }
  EXPECT_EQ(count(), "'0'");
  EXPECT_GT(ttl(kTold), 500'000);
  EXPECT_EQ(leave("a:1"), "1");
  EXPECT_EQ(leave("b:1"), "1");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(BarrierWaitScriptTest, RoundsFollowAtOnce) {
  for (int round = 1; round <= 50; ++round) {
    const auto first = "a:" + std::to_string(round);
    const auto second = "b:" + std::to_string(round);
    EXPECT_EQ(numbers_in(wait({.operation = first, .parties = "2"}))[4], 1);
    EXPECT_EQ(wait({.operation = second, .parties = "2"}), "'1'");
    EXPECT_EQ(a_.messages(redis_), Texts{"a open " + std::to_string(round)});
  }
  EXPECT_EQ(b_.messages(redis_), Texts{});
  EXPECT_EQ(unconfirmed(), 100);
}

TEST_F(BarrierWaitScriptTest, WhoComesLateIsOfTheNextRound) {
  for (const auto* operation : {"a:1", "a:2", "a:3"}) wait_as(operation);
  EXPECT_EQ(numbers_in(wait_as("a:4"))[2], 1);
  EXPECT_EQ(count(), "'1'");
}

TEST_F(BarrierWaitScriptTest, OldProcessesCount) {
  arrive_as_old();
  Listener old(server_, {kChannel});
  EXPECT_EQ(numbers_in(wait_as("a:1"))[2], 2);
  EXPECT_EQ(wait_as("a:2"), "'1'");
  EXPECT_EQ(old.messages(redis_), Texts{"release"});
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
  EXPECT_EQ(count(), "'0'");
  EXPECT_EQ(ttl(kKey), -1);
}

TEST_F(BarrierWaitScriptTest, OldProcessesHearNothingOfRoundsWithoutThem) {
  Listener old(server_, {kChannel});
  wait({.parties = "2"});
  wait({.operation = "b:1", .parties = "2"});
  EXPECT_EQ(old.messages(redis_), Texts{});
}

TEST_F(BarrierWaitScriptTest, WaitsWhileAnOldProcessChangesTheCount) {
  wait_as("a:1");
  redis_({"SET", kGuard, "old"});
  const auto place = numbers_in(wait_as("a:2"));
  EXPECT_EQ(place[0], 1);
  EXPECT_EQ(place[4], 0);
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(members(kParties), Texts{"a:1"});
  redis_({"DEL", kGuard});
  EXPECT_EQ(numbers_in(wait_as("a:2"))[2], 2);
}

TEST_F(BarrierWaitScriptTest, AnOldProcessOpens) {
  wait_as("a:1");
  wait_as("b:1");
  end_as_old();
  // Before the word is heard it waits for it.
  const auto place = numbers_in(wait_as("a:1"));
  EXPECT_GT(place[0], 0);
  EXPECT_LE(place[0], 1'000);
  EXPECT_EQ(place[4], 0);
  EXPECT_EQ(wait({.heard = "release"}), "'1'");
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 1"});
  EXPECT_EQ(count(), "'0'");
  leave("a:1");
  leave("b:1");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(BarrierWaitScriptTest, AnOldProcessBreaks) {
  wait_as("a:1");
  wait_as("b:1");
  end_as_old();
  EXPECT_EQ(wait({.operation = "b:1", .heard = "reset"}), "-2");
  EXPECT_EQ(wait_as("a:1"), "-2");
  EXPECT_EQ(a_.messages(redis_), Texts{"a broken 1"});
}

TEST_F(BarrierWaitScriptTest, AnOldProcessEndsForReasonsThatNobodyHears) {
  wait_as("a:1");
  end_as_old();
  wait_as("a:1");
  redis_({"ZADD", kEnded, std::to_string(server_ms() - 1'000), "a:1"});
  EXPECT_EQ(wait_as("a:1"), "-2");
  EXPECT_EQ(leave("a:1"), "1");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

// What it says then is about another round.
TEST_F(BarrierWaitScriptTest, AWordWithoutAnEndIsNoNews) {
  wait_as("a:1");
  EXPECT_EQ(numbers_in(wait({.heard = "release"}))[4], 0);
  EXPECT_EQ(numbers_in(wait({.heard = "reset"}))[4], 0);
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(a_.messages(redis_), Texts{});
}

TEST_F(BarrierWaitScriptTest, TheRoundAfterAnEndIsNotTouchedByIt) {
  wait_as("a:1");
  end_as_old();
  // This one comes after the end, and before the word is heard.
  EXPECT_EQ(numbers_in(wait_as("b:1"))[2], 1);
  EXPECT_EQ(wait({.heard = "release"}), "'1'");
  EXPECT_EQ(numbers_in(wait_as("b:1"))[4], 0);
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(b_.messages(redis_), Texts{});
}

TEST_F(BarrierWaitScriptTest, AnEndIsSeenWhenOldProcessesAreInTheNextRoundAlready) {
  wait_as("a:1");
  end_as_old();
  for (int i = 0; i < 2; ++i) arrive_as_old();
  EXPECT_EQ(wait({.heard = "release"}), "'1'");
  EXPECT_EQ(count(), "'2'");
  EXPECT_EQ(wait_as("b:1"), "'1'");
}

TEST_F(BarrierWaitScriptTest, TheDeadDoNotCount) {
  auto dead = std::make_unique<Inbox>(server_, "dead");
  wait_as("dead:1");
  wait_as("dead:2");
  dead.reset();
  await_death("dead");
  const auto place = numbers_in(wait_as("a:1"));
  EXPECT_EQ(place[2], 1);
  EXPECT_EQ(place[4], 1);
  EXPECT_EQ(members(kParties), Texts{"a:1"});
  EXPECT_EQ(count(), "'1'");
  wait_as("b:1");
  EXPECT_EQ(wait_as("b:2"), "'1'");
}

TEST_F(BarrierWaitScriptTest, TheDeadAmongOldProcessesDoNotCount) {
  arrive_as_old();
  wait_as("dead:1");
  EXPECT_EQ(numbers_in(wait_as("a:1"))[2], 2);
  EXPECT_EQ(wait_as("b:1"), "'1'");
}

TEST_F(BarrierWaitScriptTest, OneThatDisagreesChangesNothing) {
  wait_as("a:1");
  const auto before = state();
  EXPECT_EQ(wait({.operation = "b:1", .parties = "2"}), "-3");
  EXPECT_EQ(wait({.operation = "b:1", .parties = "1"}), "-3");
  EXPECT_EQ(state(), before);
  // In the next round it may want what it likes.
  leave("a:1");
  EXPECT_EQ(numbers_in(wait({.operation = "b:1", .parties = "2"}))[4], 1);
}

TEST_F(BarrierWaitScriptTest, NobodyDisagreesWithTheDead) {
  wait_as("dead:1");
  EXPECT_EQ(numbers_in(wait({.parties = "2"}))[2], 1);
  EXPECT_EQ(wait({.operation = "b:1", .parties = "2"}), "'1'");
}

TEST_F(BarrierWaitScriptTest, WhatNobodyAsksForGoesAwayByItself) {
  wait_as("a:1");
  for (const auto* key : {kKey, kParties}) {
    EXPECT_GT(ttl(key), 0) << key;
    redis_({"PEXPIRE", key, "1000"});
  }
  wait_as("a:1");
  // Each question keeps it, and both for the same time.
  for (const auto* key : {kKey, kParties}) EXPECT_GT(ttl(key), 80'000'000) << key;
}

TEST_F(BarrierWaitScriptTest, TheCountIsAList) {
  make_list(kKey);
  const auto before = state();
  expect_wrong_type(wait_as("a:1"), before);
}

TEST_F(BarrierWaitScriptTest, ThePartiesAreAList) {
  make_list(kParties);
  const auto before = state();
  expect_wrong_type(wait_as("a:1"), before);
}

TEST_F(BarrierWaitScriptTest, WithoutMemoryNobodyArrives) {
  wait_as("a:1");
  fill_memory();
  const auto before = state();
  EXPECT_EQ(wait_as("b:1").find("(error) OOM"), 0U);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(numbers_in(wait_as("a:1"))[4], 0);
}

}  // namespace
}  // namespace dsync::tests
