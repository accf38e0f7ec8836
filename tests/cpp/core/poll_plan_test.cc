#include "primitives/poll_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::OperationId;
using primitives::PollPlan;
using Ids = std::vector<OperationId>;

constexpr base::Time kStart{1h};
constexpr base::Duration kNoTtl{-1};

class PollPlanTest : public ::testing::Test {
 protected:
  // As if the server had said it of `id` just now; alone in the queue unless told otherwise.
  void queued(OperationId id, PollPlan::Place place) { plan_.queued("key", id, place, now_); }

  // How many questions are asked in the time from now on, if each is answered at once by `place`.
  int questions_within(base::Duration time, PollPlan::Place place) {
    const auto end = now_ + time;
    int result = 0;
    while (plan_.next() <= end) {
      now_ = plan_.next();
      for (const auto id : plan_.take_due(now_)) {
        ++result;
        queued(id, place);
      }
    }
    return result;
  }

  PollPlan plan_{1};
  base::Time now_ = kStart;
};

TEST_F(PollPlanTest, KnowsNothingAtFirst) {
  EXPECT_EQ(plan_.next(), base::kNever);
  EXPECT_EQ(plan_.take_due(base::kNever - 1s), Ids{});
  EXPECT_EQ(plan_.waiters("key"), Ids{});
  plan_.remove("key", 1);
}

TEST_F(PollPlanTest, AsksAboutOnceInADelay) {
  queued(1, {100ms, 2, 2, kNoTtl});
  // Alone among two: every other delay is ours.
  EXPECT_GE(plan_.next(), now_ + 160ms);
  EXPECT_LE(plan_.next(), now_ + 200ms);
  EXPECT_EQ(plan_.take_due(plan_.next() - 1ns), Ids{});
  EXPECT_EQ(plan_.take_due(plan_.next()), Ids{1});
}

TEST_F(PollPlanTest, TheMostImpatientSetsThePace) {
  queued(1, {10s, 1, 1, kNoTtl});
  queued(2, {100ms, 2, 2, kNoTtl});
  // By whichever of them asks.
  EXPECT_LE(plan_.next(), now_ + 200ms);
  EXPECT_EQ(plan_.take_due(plan_.next()), Ids{1});
  queued(1, {10s, 1, 2, kNoTtl});
  EXPECT_LE(plan_.next(), now_ + 200ms);
}

TEST_F(PollPlanTest, TheRateStaysWhenWaitersGrow) {
  for (const OperationId waiters : {1, 10, 1000}) {
    plan_.clear();
    const PollPlan::Place place{100ms, 1, static_cast<std::int64_t>(waiters), kNoTtl};
    for (OperationId id = 1; id <= waiters; ++id) queued(id, place);
    const auto asked = questions_within(10s, place);
    EXPECT_GE(asked, 100) << waiters;
    EXPECT_LE(asked, 126) << waiters;  // 1 / 0.8 of it, by the jitter
  }
}

TEST_F(PollPlanTest, SharesTheQuestionsWithOtherProcesses) {
  const PollPlan::Place place{100ms, 5, 40, kNoTtl};
  for (OperationId id = 1; id <= 4; ++id) queued(id, place);
  const auto asked = questions_within(10s, place);
  EXPECT_GE(asked, 10);
  EXPECT_LE(asked, 13);
}

TEST_F(PollPlanTest, AsksWhenTheHoldersLeaseIsOver) {
  queued(1, {10s, 1, 2, 50ms});
  EXPECT_GE(plan_.next(), now_ + 50ms);
  EXPECT_LE(plan_.next(), now_ + 60ms);
}

TEST_F(PollPlanTest, OnlyTheFirstWaitsForTheEndOfALease) {
  queued(1, {1s, 2, 2, 50ms});
  EXPECT_GE(plan_.next(), now_ + 1s);
}

TEST_F(PollPlanTest, ALeaseWithoutEndChangesNothing) {
  queued(1, {1s, 1, 1, kNoTtl});
  EXPECT_GE(plan_.next(), now_ + 800ms);
}

TEST_F(PollPlanTest, ALateLeaseDoesNotPostponeTheQuestion) {
  queued(1, {100ms, 1, 1, 30s});
  EXPECT_LE(plan_.next(), now_ + 100ms);
}

TEST_F(PollPlanTest, StaysWithinItsBounds) {
  queued(1, {0s, 1, 1, kNoTtl});
  EXPECT_GE(plan_.next(), now_ + 10ms);
  plan_.clear();
  queued(1, {base::Duration::max(), 1, 1'000'000, kNoTtl});
  EXPECT_LE(plan_.next(), now_ + 30s);
  plan_.clear();
  // An expired lease is no reason to ask without end.
  queued(1, {10s, 1, 1, 0ms});
  EXPECT_GT(plan_.next(), now_);
}

TEST_F(PollPlanTest, AsksForTheOldest) {
  queued(7, {100ms, 3, 3, kNoTtl});
  queued(3, {100ms, 1, 3, kNoTtl});
  queued(5, {100ms, 2, 3, kNoTtl});
  EXPECT_EQ(plan_.waiters("key"), (Ids{3, 5, 7}));
  EXPECT_EQ(plan_.take_due(plan_.next()), Ids{3});
  plan_.remove("key", 3);
  EXPECT_EQ(plan_.take_due(plan_.next()), Ids{5});
}

TEST_F(PollPlanTest, ANewWaiterDoesNotPutOffTheQuestion) {
  queued(1, {100ms, 1, 1, kNoTtl});
  const auto planned = plan_.next();
  for (OperationId id = 2; id < 20; ++id) {
    now_ += 5ms;
    queued(id, {100ms, static_cast<std::int64_t>(id), static_cast<std::int64_t>(id), kNoTtl});
  }
  EXPECT_LE(plan_.next(), planned);
}

TEST_F(PollPlanTest, AsksAgainEvenWithoutAnAnswer) {
  queued(1, {100ms, 1, 1, kNoTtl});
  for (int i = 0; i < 3; ++i) {
    const auto due = plan_.next();
    ASSERT_EQ(plan_.take_due(due), Ids{1});
    EXPECT_GE(plan_.next(), due + 80ms);
    EXPECT_LE(plan_.next(), due + 100ms);
  }
}

TEST_F(PollPlanTest, KeepsKeysApart) {
  plan_.queued("a", 1, {100ms, 1, 1, kNoTtl}, now_);
  plan_.queued("b", 2, {10s, 1, 1, kNoTtl}, now_);
  plan_.queued("c", 3, {100ms, 1, 1, kNoTtl}, now_);
  const auto due = plan_.take_due(now_ + 100ms);
  EXPECT_EQ(std::set(due.begin(), due.end()), (std::set<OperationId>{1, 3}));
  plan_.remove("a", 1);
  plan_.remove("c", 3);
  EXPECT_EQ(plan_.waiters("a"), Ids{});
  EXPECT_GE(plan_.next(), now_ + 8s);
}

TEST_F(PollPlanTest, ForgetsAKeyWithItsLastWaiter) {
  queued(1, {100ms, 1, 2, kNoTtl});
  queued(2, {100ms, 2, 2, kNoTtl});
  plan_.remove("key", 1);
  EXPECT_EQ(plan_.waiters("key"), Ids{2});
  EXPECT_NE(plan_.next(), base::kNever);
  plan_.remove("key", 1);
  plan_.remove("key", 2);
  EXPECT_EQ(plan_.next(), base::kNever);
}

}  // namespace
}  // namespace dsync::tests
