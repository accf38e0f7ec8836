// How long a grant is surely valid: never longer than the server keeps it.
#include <gtest/gtest.h>

#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kFence = 1'700'000'000'000'001;
constexpr std::int64_t kServerStart = 1'000'000'000;  // µs

class LockValidityTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  // The server's clock, where it goes as ours does.
  std::int64_t server_us() const {
    return kServerStart +
           std::chrono::duration_cast<std::chrono::microseconds>(now_ - start_).count();
  }

  const base::Time start_ = now_;
};

TEST_F(LockValidityTest, CountsFromTheQuestion) {
  const auto id = acquire();
  now_ += 2s;
  answer(granted(kFence));
  EXPECT_EQ(machine().valid_for(id, now_), 28s);
  EXPECT_EQ(machine().valid_for(id, now_ + 28s), 0s);
  EXPECT_EQ(machine().valid_for(id, now_ + 1h), 0s);
}

TEST_F(LockValidityTest, AnAnswerThatIsTooLateIsWorthNothing) {
  const auto id = acquire({.lease = 1s});
  now_ += 3s;
  answer(granted(kFence));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(machine().valid_for(id, now_), 0s);
}

TEST_F(LockValidityTest, WithoutExpiryItIsForEver) {
  const auto id = acquire({.lease = 0s});
  now_ += 3s;
  answer(granted(kFence));
  EXPECT_EQ(machine().valid_for(id, now_), base::Duration::max());
  const auto waiter = wait({.key = "other", .lease = 0s});
  push(grant_message("s:2", kFence, server_us()));
  EXPECT_EQ(machine().valid_for(waiter, now_), base::Duration::max());
}

TEST_F(LockValidityTest, AMessageCountsByTheServersClock) {
  const auto id = wait({}, {.server_us = server_us()});
  now_ += 10s;
  const auto granted_us = server_us();
  // The loop was blocked while the message lay in the socket.
  now_ += 3s;
  push(grant_message("s:1", kFence, granted_us));
  EXPECT_EQ(machine().valid_for(id, now_), 2s);
}

TEST_F(LockValidityTest, AMessageThatIsTooLateIsWorthNothing) {
  const auto id = wait({}, {.server_us = server_us()});
  const auto granted_us = server_us();
  now_ += 1min;
  push(grant_message("s:1", kFence, granted_us));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(machine().valid_for(id, now_), 0s);
}

TEST_F(LockValidityTest, ASlowAnswerCountsAgainstTheGrant) {
  const auto id = acquire();
  take();
  // The server saw the question at some moment of this second.
  now_ += 1s;
  answer(reply({.server_us = server_us()}));
  push(grant_message("s:1", kFence, server_us()));
  EXPECT_EQ(machine().valid_for(id, now_), 4s);
}

TEST_F(LockValidityTest, ALaterQuestionKnowsTheServersClockBetter) {
  acquire();
  take();
  now_ += 1s;
  answer(reply({.server_us = server_us()}));
  tick();
  ASSERT_EQ(take(), Texts{"lock_acquire s:1"});
  answer(reply({.server_us = server_us(), .added = 0}));
  now_ += 10s;
  push(grant_message("s:1", kFence, server_us()));
  EXPECT_EQ(machine().valid_for(1, now_), 5s);
}

TEST_F(LockValidityTest, BeforeTheFirstAnswerTheQuestionCounts) {
  const auto id = acquire();
  now_ += 2s;
  push(grant_message("s:1", kFence, server_us()));
  EXPECT_EQ(machine().valid_for(id, now_), 3s);
}

TEST_F(LockValidityTest, NeverBeginsInTheFuture) {
  const auto id = wait({}, {.server_us = server_us()});
  push(grant_message("s:1", kFence, server_us() + 3'600'000'000));
  EXPECT_EQ(machine().valid_for(id, now_), 5s);
}

TEST_F(LockValidityTest, SurvivesAClockThatStepsBack) {
  const auto id = wait({}, {.server_us = server_us()});
  push(grant_message("s:1", kFence, 0));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_EQ(machine().valid_for(id, now_), 0s);
}

// Another server after a failover, whose clock has nothing to do with the one before.
TEST_F(LockValidityTest, AnotherServerHasAnotherClock) {
  const auto id = wait({}, {.server_us = server_us()});
  now_ += 10s;
  lose();
  connect();
  const auto granted_us = server_us() + 3'600'000'000;
  // Our question is answered after the message of a grant that came 3 s too late.
  now_ += 3s;
  push(grant_message("s:1", kFence, granted_us));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  // Not more than is left of the 5 s; and not less, since it came through a link that was made
  // after the loss.
  EXPECT_EQ(machine().valid_for(id, now_), 2s);
}

TEST_F(LockValidityTest, AGrantMayComeBetweenTheLinks) {
  const auto id = wait({}, {.server_us = server_us()});
  lose();
  session_.client().connected(client::Channel::kCommands, now_);
  session_.client().connected(client::Channel::kInbox, now_);
  push(array({bulk("subscribe"), bulk("dsync:inbox:s"), number(1)}));
  // Granted here; but the question goes out later, and the message is read later still.
  const auto granted_us = server_us();
  now_ += 1s;
  answer(simple("PONG"));
  now_ += 1s;
  push(grant_message("s:1", kFence, granted_us));
  EXPECT_EQ(machine().valid_for(id, now_), 3s);
}

TEST_F(LockValidityTest, TheAnswerOfTheNewServerSetsTheClock) {
  const auto id = wait({}, {.server_us = server_us()});
  lose();
  connect();
  answer(reply({.server_us = server_us() + 3'600'000'000}));
  now_ += 10s;
  const auto granted_us = server_us() + 3'600'000'000;
  now_ += 1s;
  push(grant_message("s:1", kFence, granted_us));
  EXPECT_EQ(machine().valid_for(id, now_), 4s);
}

TEST_F(LockValidityTest, AConfirmationMakesItLonger) {
  const auto id = hold();
  now_ += 10s;
  machine().confirm(id, 60s, now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "lock_renew s:1");
  EXPECT_EQ(command.back(), "60000");
  now_ += 1s;
  answer(array({number(1)}));
  EXPECT_EQ(completed(), Texts{"2 held"});
  EXPECT_EQ(machine().valid_for(id, now_), 59s);
}

TEST_F(LockValidityTest, AConfirmationNeverMakesItShorter) {
  const auto id = hold();
  machine().confirm(id, 1s, now_);
  answer(array({number(1)}));
  EXPECT_EQ(machine().valid_for(id, now_), 30s);
  machine().confirm(id, 0s, now_);
  EXPECT_EQ(take_commands().at(1).back(), "0");
  now_ += 1s;
  answer(array({number(1)}));
  EXPECT_EQ(machine().valid_for(id, now_), 29s);
}

}  // namespace
}  // namespace dsync::tests
