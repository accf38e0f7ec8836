// Deadlines of the client: dead connections are found, and live ones are not taken for dead.
#include <gtest/gtest.h>

#include <vector>

#include "support/client_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using Kinds = std::vector<client::Event::Kind>;

class ClientTimeTest : public ClientTest {
 protected:
  void SetUp() override { connect(); }

  void send(client::Cookie cookie = 1) { client_.command({"GET", "k"}, cookie, now_); }

  void tick_at(base::Time time) {
    now_ = time;
    client_.tick(now_);
  }

  bool lost() { return loss().has_value(); }

  const base::Time start_ = now_;
};

TEST_F(ClientTimeTest, OnlyThePingIsDueWhenNothingIsAwaited) {
  EXPECT_EQ(client_.deadline(), start_ + 15s);
}

TEST_F(ClientTimeTest, AReplyThatIsLateEndsTheLinks) {
  send();
  EXPECT_EQ(client_.deadline(), start_ + 5s);
  tick_at(start_ + 5s - 1ns);
  EXPECT_FALSE(lost());
  tick_at(start_ + 5s);
  EXPECT_FALSE(lost());
  // The bytes may lie in the socket, unread.
  EXPECT_EQ(client_.deadline(), start_ + 5100ms);
  tick_at(start_ + 5100ms);
  EXPECT_TRUE(lost());
  EXPECT_EQ(client_.deadline(), base::kNever);
}

TEST_F(ClientTimeTest, ADriverThatWasHeldUpReadsFirst) {
  send();
  tick_at(start_ + 60s);
  EXPECT_FALSE(lost());
  answer(nil());
  tick_at(start_ + 61s);
  EXPECT_FALSE(lost());
  send();
  tick_at(now_ + 5s);
  EXPECT_FALSE(lost());
}

TEST_F(ClientTimeTest, ADriverMayBeHeldUpAgain) {
  for (int round = 0; round < 2; ++round) {
    send();
    tick_at(now_ + 60s);
    EXPECT_FALSE(lost());
    answer(nil());
  }
}

TEST_F(ClientTimeTest, ADriverThatWasHeldUpAndReadsNothingGivesUp) {
  send();
  tick_at(start_ + 60s);
  EXPECT_FALSE(lost());
  tick_at(start_ + 60s);
  EXPECT_TRUE(lost());
}

TEST_F(ClientTimeTest, EachReplyStartsTheClockAnew) {
  send(1);
  send(2);
  now_ += 4s;
  answer(nil());
  EXPECT_EQ(client_.deadline(), start_ + 9s);
  now_ += 4s;
  answer(nil());
  EXPECT_EQ(client_.deadline(), start_ + 15s);
}

TEST_F(ClientTimeTest, ALaterCommandDoesNotRestartTheClock) {
  send(1);
  now_ += 4s;
  send(2);
  EXPECT_EQ(client_.deadline(), start_ + 5s);
}

TEST_F(ClientTimeTest, APartOfAReplyIsNoReply) {
  send();
  now_ += 4s;
  answer("$5\r\nab");
  EXPECT_EQ(client_.deadline(), start_ + 5s);
  tick_at(start_ + 5s);
  tick_at(start_ + 5100ms);
  EXPECT_TRUE(lost());
}

TEST_F(ClientTimeTest, ForgottenScriptsAreNoReasonToGiveUp) {
  send(1);
  send(2);
  now_ += 4s;
  answer(failure("NOSCRIPT No matching script."));
  EXPECT_EQ(client_.deadline(), start_ + 9s);
}

TEST_F(ClientTimeTest, TheTimeoutCanBeChanged) {
  client_.set_reply_timeout(1s);
  send();
  EXPECT_EQ(client_.deadline(), start_ + 1s);
}

TEST_F(ClientTimeTest, ASilentInboxIsPinged) {
  now_ += 10s;
  push(array({bulk("message"), bulk("inbox"), bulk("x")}));
  EXPECT_EQ(client_.deadline(), start_ + 25s);
  tick_at(start_ + 24s);
  EXPECT_TRUE(take(Channel::kInbox).empty());
  tick_at(start_ + 25s);
  EXPECT_EQ(take(Channel::kInbox), (std::vector<Command>{{"PING"}}));
  EXPECT_EQ(client_.deadline(), start_ + 30s);
  tick_at(start_ + 26s);
  EXPECT_TRUE(take(Channel::kInbox).empty());
  push(array({bulk("pong"), bulk("")}));
  EXPECT_EQ(client_.deadline(), start_ + 41s);
  events();
}

TEST_F(ClientTimeTest, AnInboxThatDoesNotAnswerEndsTheLinks) {
  tick_at(start_ + 15s);
  tick_at(start_ + 20s);
  EXPECT_FALSE(lost());
  tick_at(start_ + 20100ms);
  EXPECT_TRUE(lost());
}

TEST_F(ClientTimeTest, AMessageIsNoAnswerToAPing) {
  tick_at(start_ + 15s);
  now_ += 4s;
  push(array({bulk("message"), bulk("inbox"), bulk("x")}));
  events();
  EXPECT_EQ(client_.deadline(), start_ + 20s);
  // A user without the right to PING hears at least that.
  push(failure("NOPERM this user has no permissions to run the 'ping' command"));
  EXPECT_EQ(client_.deadline(), start_ + 34s);
  EXPECT_EQ(kinds(), Kinds{});
}

TEST_F(ClientTimeTest, AWorkingInboxDoesNotKeepADeadCommandLinkAlive) {
  send();
  now_ += 5s;
  // A message every 50 ms, and no reply.
  for (int i = 0; i < 100 && client_.ready(); ++i) {
    client_.tick(now_);
    now_ += 50ms;
    push(array({bulk("message"), bulk("inbox"), bulk("x")}));
  }
  EXPECT_TRUE(lost());
}

TEST_F(ClientTimeTest, WithoutAnInboxNothingIsPinged) {
  client::Client alone(options(""));
  alone.connected(Channel::kCommands, now_);
  alone.received(Channel::kCommands, simple("PONG"), now_);
  EXPECT_EQ(alone.deadline(), base::kNever);
}

TEST_F(ClientTimeTest, ALinkThatIsDownHasNoDeadline) {
  send();
  client_.disconnected("gone");
  EXPECT_EQ(client_.deadline(), base::kNever);
  client_.tick(start_ + 1h);
  EXPECT_EQ(kinds(), Kinds{Kind::kLost});
}

}  // namespace
}  // namespace dsync::tests
