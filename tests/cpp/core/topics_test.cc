#include "primitives/topics.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/client_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::Claim;
using primitives::Kind;
using primitives::OperationId;
using Ids = std::vector<OperationId>;
using Lines = std::vector<std::string>;

const Claim kEvent{1, "event_e", "token", "s:1", 30s, true, Kind::kEvent};
const Claim kOther{1, "event_f", "token", "s:1", 30s, true, Kind::kEvent};
const Claim kBarrier{1, "distributed_barrier_count_b", "token", "s:1", 30s, true, Kind::kBarrier};
const Claim kCondition{1, "distributed_lock_c", "token", "s:1", 30s, true, Kind::kCondition};
const Claim kRelock{1, "distributed_lock_c", "token", "s:1", 30s, true, Kind::kRelock};

const std::string kEventChannel = "event_e_channel";
const std::string kBarrierChannel = "distributed_barrier_channelb";
const std::string kConditionChannel = "condition_c_channel";

class TopicsTest : public ClientTest {
 protected:
  void SetUp() override { connect(); }

  // What was said to the server, one command a line.
  Lines said() {
    Lines result;
    for (const auto& command : take(Channel::kInbox)) {
      auto& line = result.emplace_back();
      for (const auto& word : command) line += (line.empty() ? "" : " ") + word;
    }
    return result;
  }

  void hear(const Claim& claim) { topics_.on_subscribed(topic_of(claim.kind, claim.key).channel); }

  // Lets the next deadline come; returns how long that took.
  base::Duration tick() {
    const auto before = now_;
    now_ = topics_.deadline();
    topics_.tick(now_);
    return now_ - before;
  }

  primitives::Topics topics_{client_};
};

TEST_F(TopicsTest, ListenForTheFirstThatWaits) {
  topics_.add(1, kEvent, now_);
  EXPECT_EQ(said(), Lines{"SUBSCRIBE event_e_channel"});
  topics_.add(2, kEvent, now_);
  EXPECT_EQ(said(), Lines{});
  EXPECT_FALSE(topics_.is_heard(kEvent));
  hear(kEvent);
  EXPECT_TRUE(topics_.is_heard(kEvent));
  topics_.add(3, kEvent, now_);
  EXPECT_TRUE(topics_.is_heard(kEvent));
  EXPECT_EQ(said(), Lines{});
}

TEST_F(TopicsTest, KeepPrimitivesApart) {
  topics_.add(1, kEvent, now_);
  topics_.add(2, kBarrier, now_);
  hear(kEvent);
  EXPECT_TRUE(topics_.is_heard(kEvent));
  EXPECT_FALSE(topics_.is_heard(kBarrier));
  EXPECT_EQ(topics_.waiters(kEventChannel), Ids{1});
  EXPECT_EQ(topics_.waiters(kBarrierChannel), Ids{2});
  EXPECT_EQ(topics_.waiters("event_other_channel"), Ids{});
}

TEST_F(TopicsTest, AConditionHasACompanion) {
  topics_.add(1, kCondition, now_);
  EXPECT_EQ(said(), Lines{"SUBSCRIBE condition_c_channel {distributed_lock_c}:dsync:listeners"});
  // With and without the lock: one channel.
  topics_.add(2, kRelock, now_);
  EXPECT_EQ(said(), Lines{});
  EXPECT_EQ(topics_.waiters(kConditionChannel), (Ids{1, 2}));
}

TEST_F(TopicsTest, KnowWhoWaitsInOrder) {
  for (const OperationId id : {7U, 3U, 5U}) topics_.add(id, kEvent, now_);
  EXPECT_EQ(topics_.waiters(kEventChannel), (Ids{3, 5, 7}));
  topics_.remove(5, kEvent, now_);
  EXPECT_EQ(topics_.waiters(kEventChannel), (Ids{3, 7}));
}

TEST_F(TopicsTest, ListenAWhileLongerThanAnybodyWaits) {
  for (const auto* claim : {&kEvent, &kBarrier}) {
    topics_.add(1, *claim, now_);
    hear(*claim);
    said();
    topics_.remove(1, *claim, now_);
    EXPECT_EQ(said(), Lines{});
    EXPECT_TRUE(topics_.is_heard(*claim));
    EXPECT_EQ(tick(), 1s);
    EXPECT_EQ(said(), Lines{"UNSUBSCRIBE " + topic_of(claim->kind, claim->key).channel});
    EXPECT_FALSE(topics_.is_heard(*claim));
    EXPECT_EQ(topics_.deadline(), base::kNever);
  }
}

// Whoever is counted as a listener gets a notification of an old notify_all.
TEST_F(TopicsTest, StopToListenToAConditionAtOnce) {
  topics_.add(1, kCondition, now_);
  topics_.add(2, kRelock, now_);
  hear(kCondition);
  said();
  topics_.remove(1, kCondition, now_);
  EXPECT_EQ(said(), Lines{});
  topics_.remove(2, kRelock, now_);
  EXPECT_EQ(said(), Lines{"UNSUBSCRIBE condition_c_channel {distributed_lock_c}:dsync:listeners"});
}

TEST_F(TopicsTest, WhoWaitsAgainSoonNeedsNotSubscribeAgain) {
  topics_.add(1, kEvent, now_);
  hear(kEvent);
  said();
  topics_.remove(1, kEvent, now_);
  now_ += 900ms;
  topics_.add(2, kEvent, now_);
  EXPECT_TRUE(topics_.is_heard(kEvent));
  now_ += 1h;
  topics_.tick(now_);
  EXPECT_EQ(said(), Lines{});
  EXPECT_TRUE(topics_.is_heard(kEvent));
}

TEST_F(TopicsTest, EachChannelIsLeftInItsTime) {
  topics_.add(1, kEvent, now_);
  topics_.add(2, kBarrier, now_);
  hear(kEvent);
  hear(kBarrier);
  said();
  topics_.remove(1, kEvent, now_);
  now_ += 400ms;
  topics_.remove(2, kBarrier, now_);
  EXPECT_EQ(tick(), 600ms);
  EXPECT_EQ(said(), Lines{"UNSUBSCRIBE event_e_channel"});
  EXPECT_EQ(tick(), 400ms);
  EXPECT_EQ(said(), Lines{"UNSUBSCRIBE distributed_barrier_channelb"});
}

TEST_F(TopicsTest, RemovingAStrangerChangesNothing) {
  topics_.remove(1, kCondition, now_);
  topics_.add(1, kCondition, now_);
  said();
  topics_.remove(2, kCondition, now_);
  EXPECT_EQ(topics_.waiters(kConditionChannel), Ids{1});
  topics_.remove(1, kCondition, now_);
  topics_.remove(1, kCondition, now_);
  EXPECT_EQ(said().size(), 1U);
}

// The first confirmation is that of a subscription that was ended meanwhile.
TEST_F(TopicsTest, AreHeardAgainByTheLatestConfirmationOnly) {
  topics_.add(1, kCondition, now_);
  topics_.remove(1, kCondition, now_);
  EXPECT_EQ(said().size(), 2U);
  topics_.add(2, kCondition, now_);
  EXPECT_EQ(said().size(), 1U);
  hear(kCondition);
  EXPECT_FALSE(topics_.is_heard(kCondition));
  hear(kCondition);
  EXPECT_TRUE(topics_.is_heard(kCondition));
}

TEST_F(TopicsTest, AConfirmationThatNobodyWaitsForChangesNothing) {
  topics_.add(1, kCondition, now_);
  topics_.remove(1, kCondition, now_);
  said();
  hear(kCondition);
  hear(kCondition);
  EXPECT_FALSE(topics_.is_heard(kCondition));
  topics_.add(2, kCondition, now_);
  EXPECT_EQ(said().size(), 1U);
  EXPECT_FALSE(topics_.is_heard(kCondition));
  hear(kCondition);
  EXPECT_TRUE(topics_.is_heard(kCondition));
}

TEST_F(TopicsTest, WhatWasRefusedIsAskedForAgain) {
  topics_.add(1, kEvent, now_);
  said();
  topics_.on_refused(kEventChannel);
  EXPECT_FALSE(topics_.is_heard(kEvent));
  topics_.remove(1, kEvent, now_);
  topics_.add(2, kEvent, now_);
  EXPECT_EQ(said(), Lines{"SUBSCRIBE event_e_channel"});
  hear(kEvent);
  EXPECT_TRUE(topics_.is_heard(kEvent));
}

TEST_F(TopicsTest, WhatWasRefusedIsNotLeft) {
  topics_.add(1, kEvent, now_);
  topics_.on_refused(kEventChannel);
  said();
  topics_.remove(1, kEvent, now_);
  EXPECT_EQ(topics_.deadline(), base::kNever);
  EXPECT_EQ(said(), Lines{});
  topics_.on_refused("unknown");
  topics_.on_subscribed("unknown");
}

TEST_F(TopicsTest, WaitForTheLink) {
  client_.disconnected("gone");
  topics_.on_lost();
  topics_.add(1, kEvent, now_);
  topics_.add(2, kCondition, now_);
  topics_.add(3, kBarrier, now_);
  topics_.add(4, kOther, now_);
  topics_.remove(2, kCondition, now_);
  topics_.remove(4, kOther, now_);
  EXPECT_TRUE(client_.output(Channel::kInbox).empty());
  EXPECT_FALSE(topics_.is_heard(kEvent));
  connect();
  topics_.on_ready(now_);
  EXPECT_EQ(said(), (Lines{"SUBSCRIBE distributed_barrier_channelb", "SUBSCRIBE event_e_channel"}));
}

TEST_F(TopicsTest, EndWithTheLinks) {
  topics_.add(1, kEvent, now_);
  topics_.add(2, kBarrier, now_);
  hear(kEvent);
  hear(kBarrier);
  topics_.remove(2, kBarrier, now_);
  client_.disconnected("gone");
  topics_.on_lost();
  EXPECT_FALSE(topics_.is_heard(kEvent));
  connect();
  topics_.on_ready(now_);
  // Nobody waits for the barrier any more.
  EXPECT_EQ(said(), Lines{"SUBSCRIBE event_e_channel"});
  EXPECT_FALSE(topics_.is_heard(kEvent));
  hear(kEvent);
  EXPECT_TRUE(topics_.is_heard(kEvent));
  tick();
  EXPECT_EQ(said(), Lines{});
  EXPECT_EQ(topics_.deadline(), base::kNever);
}

// Its confirmation went down with the link, so the next one is not waited for twice.
TEST_F(TopicsTest, ASubscriptionThatWasLostIsNotCounted) {
  topics_.add(1, kEvent, now_);
  client_.disconnected("gone");
  topics_.on_lost();
  connect();
  topics_.on_ready(now_);
  hear(kEvent);
  EXPECT_TRUE(topics_.is_heard(kEvent));
}

TEST_F(TopicsTest, ForgetAll) {
  topics_.add(1, kEvent, now_);
  topics_.remove(1, kEvent, now_);
  topics_.add(2, kBarrier, now_);
  topics_.clear();
  EXPECT_EQ(topics_.deadline(), base::kNever);
  EXPECT_EQ(topics_.waiters(kBarrierChannel), Ids{});
}

}  // namespace
}  // namespace dsync::tests
