#include "primitives/claim.h"

#include <gtest/gtest.h>

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::Claim;
using primitives::Kind;
using primitives::kNoExpiry;

constexpr base::Time kStart{1h};

Claim claim(base::Duration lease, bool renewed) {
  return {1, "key", "token", "s:1", lease, renewed};
}

TEST(TimeTest, DoesNotRunOverTheEnd) {
  EXPECT_EQ(base::after(kStart, 1s), kStart + 1s);
  EXPECT_EQ(base::after(kStart, base::Duration::max()), base::kNever);
  EXPECT_EQ(base::after(base::kNever, 1s), base::kNever);
  EXPECT_EQ(base::after(base::kNever - 1s, 1s), base::kNever);
}

TEST(ClaimTest, AHandOverPromisesLittleWhenItIsRenewed) {
  EXPECT_EQ(claim(30s, true).first_lease(), primitives::kHandOverLease);
  EXPECT_EQ(claim(1s, true).first_lease(), 1s);
  EXPECT_EQ(claim(30s, false).first_lease(), 30s);
  EXPECT_EQ(claim(kNoExpiry, true).first_lease(), kNoExpiry);
  EXPECT_EQ(claim(kNoExpiry, false).first_lease(), kNoExpiry);
}

TEST(ClaimTest, IsRenewedAtAThirdOfWhatItWasGiven) {
  EXPECT_EQ(claim(30s, true).next_renewal(kStart, 30s), kStart + 10s);
  EXPECT_EQ(claim(30s, true).next_renewal(kStart, 6s), kStart + 2s);
  EXPECT_EQ(claim(30s, false).next_renewal(kStart, 30s), base::kNever);
}

TEST(ClaimTest, WithoutExpiryIsLookedAt) {
  for (const bool renewed : {true, false}) {
    EXPECT_EQ(claim(kNoExpiry, renewed).next_renewal(kStart, kNoExpiry),
              kStart + primitives::kCheckInterval);
  }
}

TEST(ClaimTest, IsHeldUnlessItIsOnlyTold) {
  const auto is_held = [](Kind kind, base::Duration lease) {
    return Claim{1, "key", "token", "s:1", lease, true, kind}.is_held();
  };
  for (const auto lease : {base::Duration(30s), kNoExpiry}) {
    EXPECT_TRUE(is_held(Kind::kLock, lease));
    EXPECT_TRUE(is_held(Kind::kRelock, lease));
    for (const auto kind : {Kind::kCondition, Kind::kBarrier, Kind::kEvent}) {
      EXPECT_FALSE(is_held(kind, lease));
    }
  }
  EXPECT_TRUE(is_held(Kind::kPermit, 30s));
  EXPECT_FALSE(is_held(Kind::kPermit, kNoExpiry));
}

TEST(ClaimTest, OnlyTheLongestTruthCounts) {
  auto subject = claim(30s, true);
  EXPECT_LE(subject.valid(), kStart);
  subject.extend_to(kStart + 2s);
  subject.extend_to(kStart + 1s);
  EXPECT_EQ(subject.valid(), kStart + 2s);
  subject.extend_to(base::kNever);
  EXPECT_EQ(subject.valid(), base::kNever);
  subject.invalidate();
  EXPECT_LE(subject.valid(), base::Time());
}

}  // namespace
}  // namespace dsync::tests
