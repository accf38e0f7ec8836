#include "primitives/names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

namespace dsync::tests {
namespace {

using primitives::Kind;
using primitives::topic_of;

std::string queue_of(std::string_view key) {
  std::string result;
  for (const auto part : primitives::beside(key, primitives::kQueueSuffix)) result += part;
  return result;
}

// What the server hashes of a key in a cluster.
std::string hashed_part(const std::string& key) {
  const auto open = key.find('{');
  if (open == std::string::npos) return key;
  const auto close = key.find('}', open + 1);
  if (close == std::string::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

TEST(NamesTest, PutTheMainKeyInATag) {
  EXPECT_EQ(queue_of("lock"), "{lock}:dsync:queue");
  EXPECT_EQ(queue_of("a lock"), "{a lock}:dsync:queue");
}

TEST(NamesTest, KeepATagOfTheMainKey) {
  EXPECT_EQ(queue_of("{a}lock"), "{a}lock:dsync:queue");
  EXPECT_EQ(queue_of("lock{a}"), "lock{a}:dsync:queue");
  EXPECT_EQ(queue_of("x{{a}}"), "x{{a}}:dsync:queue");
}

TEST(NamesTest, ABraceAloneIsNoTag) {
  EXPECT_EQ(queue_of("a{b"), "{a{b}:dsync:queue");
  EXPECT_EQ(queue_of("{"), "{{}:dsync:queue");
}

TEST(NamesTest, InOnePieceAreTheSame) {
  EXPECT_EQ(primitives::name_beside("lock", primitives::kQueueSuffix), queue_of("lock"));
  EXPECT_EQ(primitives::name_beside("{a}lock", primitives::kQueueSuffix), queue_of("{a}lock"));
}

TEST(NamesTest, DifferByTheSuffix) {
  const std::set<std::string_view> suffixes{
      primitives::kQueueSuffix,     primitives::kFenceSuffix,   primitives::kPermitsSuffix,
      primitives::kWaitingSuffix,   primitives::kToldSuffix,    primitives::kReservedSuffix,
      primitives::kListenersSuffix, primitives::kPartiesSuffix, primitives::kEndedSuffix,
      primitives::kDoneSuffix,      primitives::kWindowSuffix};
  EXPECT_EQ(suffixes.size(), 11U);
}

// These are read and written by the processes of the package before.
TEST(NamesTest, OfTheFleetAreFixed) {
  EXPECT_EQ(topic_of(Kind::kCondition, "distributed_lock_k").channel, "condition_k_channel");
  EXPECT_EQ(topic_of(Kind::kRelock, "distributed_lock_k").channel, "condition_k_channel");
  EXPECT_EQ(topic_of(Kind::kBarrier, "distributed_barrier_count_k").channel,
            "distributed_barrier_channelk");
  EXPECT_EQ(topic_of(Kind::kEvent, "event_k").channel, "event_k_channel");
  EXPECT_EQ(primitives::guard_of("distributed_barrier_count_k"), "distributed_lock_barrier_k");
  EXPECT_EQ(primitives::limit_of("distributed_semaphore_k"), "distributed_semaphore_k_max_value");
}

// A name may look like a part of another.
TEST(NamesTest, LoseTheirPrefixOnce) {
  EXPECT_EQ(topic_of(Kind::kCondition, "distributed_lock_distributed_lock_k").channel,
            "condition_distributed_lock_k_channel");
  EXPECT_EQ(topic_of(Kind::kBarrier, "distributed_barrier_count_").channel,
            "distributed_barrier_channel");
}

TEST(NamesTest, OnlyAConditionHasACompanion) {
  EXPECT_EQ(topic_of(Kind::kCondition, "distributed_lock_k").companion,
            "{distributed_lock_k}:dsync:listeners");
  EXPECT_EQ(topic_of(Kind::kRelock, "distributed_lock_{k}").companion,
            "distributed_lock_{k}:dsync:listeners");
  EXPECT_EQ(topic_of(Kind::kBarrier, "distributed_barrier_count_k").companion, "");
  EXPECT_EQ(topic_of(Kind::kEvent, "event_k").companion, "");
}

TEST(NamesTest, OldProcessesTellNothingOfLocksAndPermits) {
  for (const auto kind : {Kind::kLock, Kind::kPermit}) {
    EXPECT_FALSE(primitives::has_topic(kind));
    EXPECT_EQ(topic_of(kind, "key").channel, "");
  }
  for (const auto kind : {Kind::kCondition, Kind::kRelock, Kind::kBarrier, Kind::kEvent}) {
    EXPECT_TRUE(primitives::has_topic(kind));
  }
}

class SlotTest : public ::testing::TestWithParam<std::string> {};

TEST_P(SlotTest, IsThatOfTheMainKey) {
  EXPECT_EQ(hashed_part(queue_of(GetParam())), hashed_part(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Keys, SlotTest,
                         ::testing::Values("lock", "{a}lock", "lock{a}", "x{{a}}", "a{b", "{",
                                           "{a}{b}", "{a{b}c}"));

}  // namespace
}  // namespace dsync::tests
