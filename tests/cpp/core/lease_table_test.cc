#include "primitives/lease_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::Claim;
using primitives::kNoExpiry;
using primitives::LeaseTable;
using primitives::LossInbox;
using primitives::OperationId;
using Ids = std::vector<OperationId>;

constexpr base::Time kStart{1h};

class LeaseTableTest : public ::testing::Test {
 protected:
  // A claim that was granted for `given` at kStart, and is looked after by the table.
  std::shared_ptr<Claim> add(OperationId id, base::Duration lease, base::Duration given,
                             bool renewed = true) {
    auto claim = std::shared_ptr<Claim>(new Claim{id, "key", "token", "s:1", lease, renewed});
    claim->extend_to(lease == kNoExpiry ? base::kNever : kStart + given);
    table_.add(claim, losses_, claim->next_renewal(kStart, given));
    return claim;
  }
  std::shared_ptr<Claim> add(OperationId id, base::Duration lease) { return add(id, lease, lease); }

  std::set<OperationId> due(base::Time now) {
    std::set<OperationId> result;
    for (const auto& claim : table_.scan(now).due) result.insert(claim->id);
    return result;
  }

  LeaseTable table_;
  int told_ = 0;
  std::shared_ptr<LossInbox> losses_ = std::make_shared<LossInbox>([this] { ++told_; });
};

using Due = std::set<OperationId>;

TEST_F(LeaseTableTest, IsEmptyAtFirst) {
  const auto scan = table_.scan(kStart);
  EXPECT_TRUE(scan.due.empty());
  EXPECT_EQ(scan.next, base::kNever);
  EXPECT_EQ(scan.shortest, base::Duration::max());
}

TEST_F(LeaseTableTest, RenewsAtAThirdOfTheLease) {
  add(1, 30s);
  const auto scan = table_.scan(kStart);
  EXPECT_TRUE(scan.due.empty());
  EXPECT_EQ(scan.next, kStart + 10s);
  EXPECT_EQ(scan.shortest, 30s);
  EXPECT_EQ(due(kStart + 10s), Due{1});
}

TEST_F(LeaseTableTest, WhatIsInFlightIsNotDueAgain) {
  const auto claim = add(1, 30s);
  EXPECT_EQ(due(kStart + 10s), Due{1});
  const auto scan = table_.scan(kStart + 11s);
  EXPECT_TRUE(scan.due.empty());
  // The end of the lease is what matters now.
  EXPECT_EQ(scan.next, kStart + 30s);
  table_.renewed(*claim, kStart + 10s);
  EXPECT_EQ(claim->valid(), kStart + 40s);
  EXPECT_EQ(table_.scan(kStart + 12s).next, kStart + 20s);
  EXPECT_EQ(due(kStart + 20s), Due{1});
}

TEST_F(LeaseTableTest, TakesAlongWhatIsAlmostDue) {
  add(1, 30s);
  auto later = add(2, 30s, 33s);       // due 1 s after the first: a tenth of its interval
  auto much_later = add(3, 30s, 36s);  // due 2 s after the first
  EXPECT_EQ(due(kStart + 10s), (Due{1, 2}));
  EXPECT_EQ(due(kStart + 12s), Due{3});
}

TEST_F(LeaseTableTest, TheTimeOfTheCommandCounts) {
  const auto claim = add(1, 30s);
  EXPECT_EQ(due(kStart + 10s), Due{1});
  table_.renewed(*claim, kStart + 9s);
  EXPECT_EQ(claim->valid(), kStart + 39s);
  EXPECT_EQ(table_.scan(kStart + 15s).next, kStart + 19s);
}

TEST_F(LeaseTableTest, AFirstLeaseIsMadeFullByTheFirstRenewal) {
  const auto claim = add(1, 30s, 6s);
  EXPECT_EQ(table_.scan(kStart).next, kStart + 2s);
  EXPECT_EQ(due(kStart + 2s), Due{1});
  table_.renewed(*claim, kStart + 2s);
  EXPECT_EQ(claim->valid(), kStart + 32s);
  EXPECT_EQ(table_.scan(kStart + 3s).next, kStart + 12s);
}

TEST_F(LeaseTableTest, AnExtendedLeaseIsRenewedLater) {
  const auto claim = add(1, 30s);
  claim->extend_to(kStart + 100s);
  EXPECT_EQ(due(kStart + 10s), Due{1});
  table_.renewed(*claim, kStart + 10s);
  EXPECT_EQ(claim->valid(), kStart + 100s);
  // When only two thirds of the usual lease are left of it.
  EXPECT_EQ(table_.scan(kStart + 11s).next, kStart + 80s);
}

TEST_F(LeaseTableTest, TellsALossAtTheEndOfTheLease) {
  const auto claim = add(1, 30s);
  EXPECT_EQ(due(kStart + 30s - 1ns), Due{1});
  EXPECT_EQ(told_, 0);
  EXPECT_EQ(due(kStart + 30s), Due{});
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(losses_->take(), Ids{1});
  EXPECT_EQ(losses_->take(), Ids{});
  EXPECT_LE(claim->valid(), base::Time());
  EXPECT_EQ(table_.scan(kStart + 31s).next, base::kNever);
}

TEST_F(LeaseTableTest, ALateAnswerDoesNotReviveWhatWasLost) {
  const auto claim = add(1, 30s);
  due(kStart + 10s);
  due(kStart + 30s);
  table_.renewed(*claim, kStart + 10s);
  table_.postpone(*claim, kStart + 30s);
  table_.lost(*claim);
  EXPECT_LE(claim->valid(), base::Time());
  EXPECT_EQ(losses_->take(), Ids{1});
  EXPECT_EQ(table_.scan(kStart + 31s).next, base::kNever);
}

TEST_F(LeaseTableTest, WithoutRenewalOnlyTheEndIsWatched) {
  add(1, 30s, 30s, false);
  EXPECT_EQ(table_.scan(kStart).next, kStart + 30s);
  EXPECT_EQ(due(kStart + 29s), Due{});
  table_.retry(true);
  EXPECT_EQ(due(kStart + 29s), Due{});
  EXPECT_EQ(due(kStart + 30s), Due{});
  EXPECT_EQ(losses_->take(), Ids{1});
}

TEST_F(LeaseTableTest, WithoutExpiryIsLookedAtAndNeverRunsOut) {
  const auto claim = add(1, kNoExpiry);
  auto scan = table_.scan(kStart);
  EXPECT_EQ(scan.next, kStart + primitives::kCheckInterval);
  EXPECT_EQ(scan.shortest, base::Duration::max());
  EXPECT_EQ(due(kStart + primitives::kCheckInterval), Due{1});
  table_.renewed(*claim, kStart + primitives::kCheckInterval);
  EXPECT_EQ(claim->valid(), base::kNever);
  EXPECT_EQ(due(kStart + 2 * primitives::kCheckInterval), Due{1});
  EXPECT_EQ(told_, 0);
}

TEST_F(LeaseTableTest, ALeaseMayBeLongerThanAnything) {
  const auto lease = std::chrono::floor<std::chrono::milliseconds>(base::Duration::max());
  const auto claim = add(1, lease, 30s);
  EXPECT_EQ(due(kStart + 10s), Due{1});
  table_.renewed(*claim, kStart + 10s);
  EXPECT_GT(claim->valid(), kStart + std::chrono::years(100));
  EXPECT_GT(table_.scan(kStart + 11s).next, kStart + std::chrono::years(10));
}

TEST_F(LeaseTableTest, TheServersWordIsALoss) {
  const auto claim = add(1, 30s);
  due(kStart + 10s);
  table_.lost(*claim);
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(losses_->take(), Ids{1});
  EXPECT_LE(claim->valid(), base::Time());
  table_.lost(*claim);
  EXPECT_EQ(told_, 1);
}

TEST_F(LeaseTableTest, ARefusalIsAskedAgainSoon) {
  const auto claim = add(1, 30s);
  due(kStart + 10s);
  table_.postpone(*claim, kStart + 11s);
  EXPECT_EQ(table_.scan(kStart + 11s).next, kStart + 13500ms);
  EXPECT_EQ(due(kStart + 13500ms), Due{1});
  EXPECT_EQ(claim->valid(), kStart + 30s);
}

TEST_F(LeaseTableTest, RetryMakesDueWhatWasInFlight) {
  add(1, 30s);
  add(2, 60s);
  EXPECT_EQ(due(kStart + 10s), Due{1});
  table_.retry(false);
  EXPECT_EQ(due(kStart + 10s), Due{1});
  table_.retry(true);
  EXPECT_EQ(due(kStart + 10s), (Due{1, 2}));
}

TEST_F(LeaseTableTest, LooksNoMoreAfterWhatWasRemoved) {
  const auto claim = add(1, 30s);
  const auto other = add(2, 30s);
  table_.remove(*claim);
  table_.remove(*claim);
  EXPECT_EQ(due(kStart + 10s), Due{2});
  table_.remove(*other);
  EXPECT_EQ(due(kStart + 60s), Due{});
  EXPECT_EQ(told_, 0);
}

TEST_F(LeaseTableTest, WakesOnlyForWhatIsEarlierThanPlanned) {
  int woken = 0;
  table_.set_wake([&] { ++woken; });
  add(1, 30s);
  EXPECT_EQ(woken, 1);
  add(2, 60s);
  EXPECT_EQ(woken, 1);
  add(3, 3s);
  EXPECT_EQ(woken, 2);
  // Once the plan is later, an early lease wakes again.
  table_.scan(kStart + 3s);
  add(4, 30s, 21s);
  EXPECT_EQ(woken, 3);
  table_.set_wake(nullptr);
  add(5, 1s);
  EXPECT_EQ(woken, 3);
}

TEST_F(LeaseTableTest, WakesForALeaseThatIsOnlyWatched) {
  int woken = 0;
  table_.set_wake([&] { ++woken; });
  add(1, 30s, 30s, false);
  EXPECT_EQ(woken, 1);
}

TEST_F(LeaseTableTest, WakesWithoutHoldingItsMutex) {
  std::size_t seen = 99;
  table_.set_wake([&] { seen = table_.scan(kStart).due.size(); });
  add(1, 30s);
  EXPECT_EQ(seen, 0U);
}

// Whoever begins to renew must hear of what is held already.
TEST_F(LeaseTableTest, WakesForLeasesThatWereThereBefore) {
  add(1, 30s);
  int woken = 0;
  table_.set_wake([&] { ++woken; });
  EXPECT_EQ(woken, 1);
}

TEST_F(LeaseTableTest, AClosedInboxTellsNobody) {
  const auto claim = add(1, 30s);
  losses_->close();
  table_.lost(*claim);
  EXPECT_EQ(told_, 0);
  EXPECT_EQ(losses_->take(), Ids{1});
}

}  // namespace
}  // namespace dsync::tests
