// barrier_leave, barrier_end and barrier_count, as their headers describe them.
#include <gtest/gtest.h>

#include <string>

#include "support/barrier_calls.h"

namespace dsync::tests {
namespace {

class BarrierLeaveScriptTest : public BarrierScriptTest {};

TEST_F(BarrierLeaveScriptTest, IsNotCountedAnyMore) {
  wait_as("a:1");
  wait_as("a:2");
  EXPECT_EQ(leave("a:1"), "2");
  EXPECT_EQ(leave("a:1"), "0");
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(members(kParties), Texts{"a:2"});
  EXPECT_EQ(leave("a:2"), "2");
  EXPECT_EQ(count(), "'0'");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
  EXPECT_EQ(ttl(kKey), -1);
}

TEST_F(BarrierLeaveScriptTest, NobodyLeavesAnEmptyBarrier) {
  EXPECT_EQ(leave("a:1"), "0");
  EXPECT_EQ(redis_.keys(), Texts{});
}

TEST_F(BarrierLeaveScriptTest, LeavesOldProcessesTheirPlaces) {
  arrive_as_old();
  wait_as("a:1");
  leave("a:1");
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(ttl(kKey), -1);
}

TEST_F(BarrierLeaveScriptTest, DoesNotTouchTheNextRoundOfOldProcesses) {
  wait_as("a:1");
  end_as_old();
  EXPECT_EQ(leave("a:1"), "2");
  EXPECT_EQ(count(), "'0'");
  wait_as("a:2");
  end_as_old();
  arrive_as_old();
  EXPECT_EQ(leave("a:2"), "2");
  EXPECT_EQ(count(), "'1'");
}

TEST_F(BarrierLeaveScriptTest, ConfirmsTheEndOfARound) {
  Inbox a(server_, "a");
  wait({.operation = "a:1", .parties = "2"});
  wait({.operation = "a:2", .parties = "2"});
  EXPECT_EQ(leave("a:1"), "1");
  EXPECT_EQ(leave("a:1"), "0");
  EXPECT_EQ(leave("a:2"), "1");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

TEST_F(BarrierLeaveScriptTest, LeavesARoundWhoseEndIsNotUnderstoodYet) {
  wait_as("a:1");
  wait_as("a:2");
  end_as_old();
  wait_as("a:1");
  EXPECT_EQ(leave("a:1"), "1");
  EXPECT_EQ(leave("a:2"), "1");
  EXPECT_EQ(redis_.keys(), Texts{kKey});
}

class BarrierEndScriptTest : public BarrierScriptTest {
 protected:
  Inbox a_{server_, "a"};
  Inbox b_{server_, "b"};
  Listener old_{server_, {kChannel}};
};

TEST_F(BarrierEndScriptTest, BreaksTheRoundForAll) {
  for (const std::string word : {"reset", "abort"}) {
    wait({.operation = "a:1", .parties = "4"});
    wait({.operation = "b:2", .parties = "4"});
    arrive_as_old();
    EXPECT_EQ(end({.word = word}), "1");
    EXPECT_EQ(a_.messages(redis_), Texts{"a broken 1"});
    EXPECT_EQ(b_.messages(redis_), Texts{"b broken 2"});
    EXPECT_EQ(old_.messages(redis_), Texts{word});
    EXPECT_EQ(count(), "'0'");
    EXPECT_EQ(ttl(kKey), -1);
    EXPECT_EQ(members(kParties), Texts{});
    EXPECT_EQ(wait({.operation = "a:1", .parties = "4"}), "-2");
    EXPECT_EQ(leave("a:1"), "1");
    EXPECT_EQ(leave("b:2"), "1");
  }
  expect_nothing_left({kKey});
}

TEST_F(BarrierEndScriptTest, OpensTheRoundForAll) {
  wait_as("a:1");
  wait_as("b:2");
  EXPECT_EQ(end({.word = "release"}), "1");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
  EXPECT_EQ(b_.messages(redis_), Texts{"b open 2"});
  EXPECT_EQ(old_.messages(redis_), Texts{"release"});
  EXPECT_EQ(wait_as("a:1"), "'1'");
}

TEST_F(BarrierEndScriptTest, WhoComesAfterABreakIsOfTheNextRound) {
  wait_as("a:1");
  end({});
  EXPECT_EQ(numbers_in(wait_as("b:1"))[2], 1);
  EXPECT_EQ(b_.messages(redis_), Texts{});
}

TEST_F(BarrierEndScriptTest, HappensOnce) {
  end({.operation = "e:7"});
  wait_as("a:1");
  EXPECT_EQ(end({.operation = "e:7", .again = "1"}), "1");
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(a_.messages(redis_), Texts{});
  EXPECT_EQ(end({.operation = "e:8", .again = "1"}), "1");
  EXPECT_EQ(count(), "'0'");
  EXPECT_EQ(a_.messages(redis_), Texts{"a broken 1"});
  EXPECT_EQ(old_.messages(redis_).size(), 2U);
}

TEST_F(BarrierEndScriptTest, OfAnEmptyBarrierIsNothing) {
  EXPECT_EQ(end({}), "1");
  EXPECT_EQ(count(), "'0'");
  EXPECT_EQ(a_.messages(redis_), Texts{});
  expect_nothing_left({kKey});
}

TEST_F(BarrierEndScriptTest, TellsNobodyWithoutAWord) {
  wait_as("a:1");
  EXPECT_EQ(end({.word = ""}), "1");
  EXPECT_EQ(count(), "'0'");
  EXPECT_EQ(a_.messages(redis_), Texts{});
  EXPECT_EQ(old_.messages(redis_), Texts{});
  // As if an old process had done it: the word is still to come.
  EXPECT_GT(numbers_in(wait_as("a:1"))[0], 0);
  EXPECT_EQ(end({.word = "release", .operation = "e:2"}), "1");
  EXPECT_EQ(a_.messages(redis_), Texts{"a open 1"});
  EXPECT_EQ(wait_as("a:1"), "'1'");
}

// One of an old process, and then ours: each party has one outcome.
TEST_F(BarrierEndScriptTest, BreaksARoundWhoseEndIsNotUnderstoodYet) {
  wait_as("a:1");
  end_as_old();
  wait_as("b:1");
  EXPECT_EQ(end({}), "1");
  EXPECT_EQ(a_.messages(redis_), Texts{"a broken 1"});
  EXPECT_EQ(b_.messages(redis_), Texts{"b broken 1"});
  EXPECT_EQ(unconfirmed(), 2);
}

TEST_F(BarrierEndScriptTest, ThePartiesAreAList) {
  make_list(kParties);
  EXPECT_EQ(end({}).find("(error) WRONGTYPE"), 0U);
}

class BarrierCountScriptTest : public BarrierScriptTest {};

TEST_F(BarrierCountScriptTest, TellsTheArrivals) {
  Inbox a(server_, "a");
  EXPECT_EQ(waiting(), "0");
  EXPECT_EQ(redis_.keys(), Texts{});
  wait_as("a:1");
  arrive_as_old();
  EXPECT_EQ(waiting(), "2");
  wait_as("a:2");
  EXPECT_EQ(waiting(), "0");
}

TEST_F(BarrierCountScriptTest, DoesNotCountTheDead) {
  Inbox a(server_, "a");
  wait_as("dead:1");
  wait_as("a:1");
  wait_as("gone:1");
  // The third that arrives finds the dead, so there are fewer.
  EXPECT_EQ(waiting(), "1");
  wait_as("dead:2");
  EXPECT_EQ(count(), "'2'");
  EXPECT_EQ(waiting(), "1");
  EXPECT_EQ(count(), "'1'");
}

TEST_F(BarrierCountScriptTest, TheDeadLeaveOldProcessesTheirPlaces) {
  arrive_as_old();
  wait_as("dead:1");
  EXPECT_EQ(waiting(), "1");
  EXPECT_EQ(count(), "'1'");
  EXPECT_EQ(ttl(kKey), -1);
}

TEST_F(BarrierCountScriptTest, NoticesTheEndByAnOldProcess) {
  Inbox a(server_, "a");
  wait_as("a:1");
  end_as_old();
  EXPECT_EQ(waiting(), "0");
  EXPECT_EQ(members(kEnded), Texts{"a:1"});
  EXPECT_EQ(members(kParties), Texts{});
}

}  // namespace
}  // namespace dsync::tests
