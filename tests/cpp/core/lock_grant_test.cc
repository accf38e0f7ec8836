// How an acquire comes to its end: by replies, messages, deadlines, errors.
#include <gtest/gtest.h>

#include "client/scripts.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kFence = 1'700'000'000'000'001;

class LockGrantTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }
};

TEST_F(LockGrantTest, SaysWhatTheScriptWants) {
  acquire({.key = "key", .token = "token", .lease = 30s});
  const Command expected{"EVAL",
                         std::string(client::kLockAcquire.source),
                         "3",
                         "key",
                         "{key}:dsync:queue",
                         "{key}:dsync:fence",
                         "token",
                         "s:1",
                         "30000",
                         "5000",
                         "630000"};
  EXPECT_EQ(take_commands(), std::vector<Command>{expected});
}

TEST_F(LockGrantTest, SaysHowLongALeaseIs) {
  const auto leases = [&](const Wish& wish) {
    acquire(wish);
    const auto command = take_commands().at(0);
    return Texts(command.begin() + 8, command.end());
  };
  EXPECT_EQ(leases({.lease = 1s}), (Texts{"1000", "1000", "601000"}));
  EXPECT_EQ(leases({.renewed = false}), (Texts{"30000", "30000", "630000"}));
  EXPECT_EQ(leases({.queueing = false}), (Texts{"30000", "-1", "630000"}));
  EXPECT_EQ(leases({.lease = 0s}).at(0), "0");
  EXPECT_EQ(leases({.lease = 0s}).at(1), "0");
}

// Longer than the life of any server: whoever writes it means "for ever".
TEST_F(LockGrantTest, ALeaseMayBeLongerThanAnything) {
  acquire({.lease = std::chrono::floor<std::chrono::milliseconds>(base::Duration::max())});
  const auto command = take_commands().at(0);
  EXPECT_GT(std::stoll(command.at(8)), 0);
  EXPECT_GT(std::stoll(command.at(10)), std::stoll(command.at(8)));
}

TEST_F(LockGrantTest, ByTheReply) {
  const auto id = acquire();
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(machine().fence(id), kFence);
  EXPECT_EQ(machine().valid_for(id, now_), 30s);
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockGrantTest, ByAMessage) {
  const auto id = wait();
  EXPECT_EQ(completed(), Texts{});
  push(grant_message("s:1", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(machine().fence(id), kFence);
  EXPECT_EQ(machine().valid_for(id, now_), 5s);
}

TEST_F(LockGrantTest, ByAMessageBeforeTheReply) {
  const auto id = acquire();
  push(grant_message("s:1", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  answer(reply({.server_us = 999'999'000}));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_EQ(machine().fence(id), kFence);
  // Nobody asks for it any more.
  now_ += 60s;
  machine().tick(now_);
  EXPECT_EQ(take(), Texts{"lock_acquire s:1"});
}

TEST_F(LockGrantTest, ASecondMessageIsNoNews) {
  const auto id = wait();
  push(grant_message("s:1", kFence, 1'000'000'000));
  completed();
  push(grant_message("s:1", kFence + 1, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_EQ(machine().fence(id), kFence);
}

TEST_F(LockGrantTest, AQuestionThatCrossesTheMessageIsOld) {
  const auto id = wait();
  tick();
  EXPECT_EQ(take(), Texts{"lock_acquire s:1"});
  push(grant_message("s:1", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_EQ(machine().fence(id), kFence);
}

TEST_F(LockGrantTest, MessagesForNobodyAreIgnored) {
  const auto id = wait();
  for (const std::string text :
       {"", "s", "s:", "s:1", "s:1 ", "s:2 1700000000000001 1000 0", "t:1 1700000000000001 1000 0",
        "s:99999999999999999999 1 1 1", "1 1 1 1", "release"}) {
    push(array({bulk("message"), bulk("dsync:inbox:s"), bulk(text)}));
    EXPECT_EQ(completed(), Texts{}) << text;
  }
  EXPECT_TRUE(session_.client().ready());
  push(grant_message("s:1", kFence, 1'000'000'000));
  EXPECT_EQ(machine().fence(id), kFence);
}

TEST_F(LockGrantTest, BusyWithoutQueueing) {
  acquire({.queueing = false});
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 busy"});
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_EQ(machine().deadline(), base::kNever);
}

TEST_F(LockGrantTest, AnErrorIsGivenBackAndCleansUp) {
  acquire();
  take();
  answer(failure("OOM command not allowed"));
  EXPECT_EQ(completed(), Texts{"1 failed: OOM command not allowed"});
  // The error may have come after the script had begun.
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  answer(number(0));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockGrantTest, AnAnswerOfAnotherKindIsAnError) {
  for (const auto& strange : {nil(), simple("OK"), array({number(1)}), number(-1), bulk("")}) {
    const auto id = acquire();
    answer(strange);
    const auto outcome = completed();
    ASSERT_EQ(outcome.size(), 1U) << strange;
    EXPECT_EQ(outcome[0].find(std::to_string(id) + " failed"), 0U) << outcome[0];
    answer(number(0));
  }
}

TEST_F(LockGrantTest, ADeadlineEndsTheWaiting) {
  wait({.timeout = 150ms});
  // Asks once in between.
  tick();
  answer(reply({.added = 0}));
  take();
  tick();
  EXPECT_EQ(now_, base::Time(1h) + 150ms);
  EXPECT_EQ(completed(), Texts{"1 timed out"});
  EXPECT_EQ(take(), Texts{"lock_release s:1"});
  EXPECT_TRUE(machine().wants_link(false));
  EXPECT_FALSE(machine().wants_link(true));
  answer(number(2));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockGrantTest, ADeadlineCrossesAGrant) {
  wait({.timeout = 50ms});
  tick();
  EXPECT_EQ(completed(), Texts{"1 timed out"});
  push(grant_message("s:1", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(LockGrantTest, AGrantEndsTheDeadline) {
  acquire({.timeout = 50ms});
  answer(granted(kFence));
  EXPECT_EQ(machine().deadline(), base::kNever);
  now_ += 1s;
  machine().tick(now_);
  EXPECT_EQ(completed(), Texts{"1 granted"});
}

TEST_F(LockGrantTest, DeadlinesComeInTheirOrder) {
  wait({.timeout = 3s});
  wait({.timeout = 1s});
  wait({.timeout = 2s});
  now_ += 2s;
  session_.tick(now_);
  EXPECT_EQ(completed(), (Texts{"2 timed out", "3 timed out"}));
}

TEST_F(LockGrantTest, OperationsOfOneTokenAreApart) {
  const auto first = hold();
  const auto second = wait();
  EXPECT_EQ(completed(), Texts{});
  push(grant_message("s:2", kFence, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_EQ(machine().fence(second), kFence);
  EXPECT_NE(machine().fence(first), kFence);
}

TEST_F(LockGrantTest, AsksForTheOldestWaiterOfAKey) {
  for (int i = 0; i < 3; ++i) wait({}, {.rank = i + 1, .length = i + 1});
  wait({.key = "other", .poll_delay = 10s});
  EXPECT_LE(tick(), 100ms);
  EXPECT_EQ(take(), Texts{"lock_acquire s:1"});
  // One question at a time.
  tick();
  EXPECT_EQ(take(), Texts{});
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  tick();
  EXPECT_EQ(take(), Texts{"lock_acquire s:2"});
}

TEST_F(LockGrantTest, AsksWhenTheHoldersLeaseIsOver) {
  wait({.poll_delay = 10s}, {.ttl_ms = 40});
  const auto waited = tick();
  EXPECT_GE(waited, 40ms);
  EXPECT_LE(waited, 50ms);
  EXPECT_EQ(take(), Texts{"lock_acquire s:1"});
}

TEST_F(LockGrantTest, ForgottenPlacesAreTakenAgain) {
  for (int i = 0; i < 3; ++i) wait({}, {.rank = i + 1, .length = i + 1});
  wait({.key = "other"});
  tick();
  EXPECT_EQ(take().at(0), "lock_acquire s:1");
  // The server did not know it any more, so it has lost the others too.
  answer(reply({.rank = 1, .length = 1, .added = 1}));
  EXPECT_EQ(take(), (Texts{"lock_acquire s:2", "lock_acquire s:3"}));
}

// Each of them hears that it was not queued: they must not start to ask for one another.
TEST_F(LockGrantTest, ForgottenPlacesAreTakenAgainOnce) {
  for (int i = 0; i < 3; ++i) wait({}, {.rank = i + 1, .length = i + 1});
  tick();
  answer(reply({.rank = 1, .length = 1, .added = 1}));
  take();
  answer(reply({.rank = 2, .length = 2, .added = 1}) + reply({.rank = 3, .length = 3, .added = 1}));
  EXPECT_EQ(take(), Texts{});
  // And the next time it happens it is found again.
  tick();
  take();
  answer(reply({.rank = 1, .length = 1, .added = 1}));
  EXPECT_EQ(take(), (Texts{"lock_acquire s:2", "lock_acquire s:3"}));
}

TEST_F(LockGrantTest, APlaceThatIsKnownIsNotTakenAgain) {
  for (int i = 0; i < 3; ++i) wait({}, {.rank = i + 1, .length = i + 1});
  tick();
  take();
  answer(reply({.rank = 1, .length = 3, .added = 0}));
  EXPECT_EQ(take(), Texts{});
}

}  // namespace
}  // namespace dsync::tests
