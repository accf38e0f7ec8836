#include "primitives/renewal.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/scripts.h"
#include "support/wire.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using client::Channel;
using primitives::Claim;
using primitives::Kind;
using primitives::OperationId;
using Ids = std::vector<OperationId>;

class RenewalTest : public ::testing::Test {
 protected:
  std::shared_ptr<Claim> hold(OperationId id, base::Duration lease = 30s, Kind kind = Kind::kLock) {
    const auto text = std::to_string(id);
    auto claim = std::shared_ptr<Claim>(
        new Claim{id, "key" + text, "token" + text, "s:" + text, lease, true, kind});
    claim->extend_to(lease == primitives::kNoExpiry ? base::kNever : base::after(now_, lease));
    table_->add(claim, losses_, claim->next_renewal(now_, lease));
    return claim;
  }

  primitives::Renewal::Need step() { return renewal_.step(now_); }

  void connect() {
    renewal_.client().connected(Channel::kCommands, now_);
    take();
    answer(simple("PONG"));
  }

  void answer(const std::string& bytes) {
    renewal_.client().received(Channel::kCommands, bytes, now_);
    step();
  }

  std::vector<Command> take() {
    auto& output = renewal_.client().output(Channel::kCommands);
    const auto result = commands_in(output);
    output.clear();
    return result;
  }

  base::Time now_{1h};
  std::shared_ptr<primitives::LeaseTable> table_ = std::make_shared<primitives::LeaseTable>();
  std::shared_ptr<primitives::LossInbox> losses_ = std::make_shared<primitives::LossInbox>([] {});
  primitives::Renewal renewal_{table_};
};

TEST_F(RenewalTest, NeedsNoConnectionUntilSomethingIsDue) {
  EXPECT_FALSE(step().connect);
  EXPECT_EQ(renewal_.deadline(), base::kNever);
  hold(1);
  EXPECT_FALSE(step().connect);
  EXPECT_EQ(renewal_.deadline(), now_ + 10s);
  now_ += 10s;
  const auto need = step();
  EXPECT_TRUE(need.connect);
  EXPECT_FALSE(need.lost);
  // It stays due until it has been renewed.
  EXPECT_TRUE(step().connect);
}

TEST_F(RenewalTest, RenewsEverythingWhenItIsConnected) {
  const auto claim = hold(1);
  now_ += 1s;
  step();
  connect();
  const Command expected{"EVAL",
                         std::string(client::kLockRenew.source),
                         "2",
                         "key1",
                         "{key1}:dsync:fence",
                         "token1",
                         "s:1",
                         "30000"};
  EXPECT_EQ(take(), std::vector<Command>{expected});
  const auto sent = now_;
  now_ += 1s;
  answer(array({number(1)}));
  EXPECT_EQ(claim->valid(), sent + 30s);
  EXPECT_EQ(losses_->take(), Ids{});
}

TEST_F(RenewalTest, RenewsPermitsByTheirOwnScript) {
  const auto claim = hold(1, 30s, Kind::kPermit);
  connect();
  const Command expected{"EVAL",
                         std::string(client::kSemaphoreRenew.source),
                         "3",
                         "key1",
                         "{key1}:dsync:queue",
                         "{key1}:dsync:permits",
                         "s:1",
                         "30000"};
  EXPECT_EQ(take(), std::vector<Command>{expected});
  const auto sent = now_;
  now_ += 1s;
  answer(array({number(1)}));
  EXPECT_EQ(claim->valid(), sent + 30s);
}

TEST_F(RenewalTest, RenewsLocksAndPermitsApart) {
  hold(1, 30s, Kind::kPermit);
  hold(2);
  hold(3, 30s, Kind::kRelock);
  hold(4, 30s, Kind::kPermit);
  connect();
  const auto commands = take();
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_EQ(commands[0].at(1), client::kLockRenew.source);
  EXPECT_EQ(commands[0].at(2), "4");
  EXPECT_EQ(commands[1].at(1), client::kSemaphoreRenew.source);
  EXPECT_EQ(commands[1].at(2), "6");
  // The lost permit is that of the second answer.
  const auto lost = commands[1].at(3 + 6);
  answer(array({number(1), number(1)}) + array({number(0), number(1)}));
  EXPECT_EQ(losses_->take(), Ids{std::stoull(lost.substr(2))});
}

TEST_F(RenewalTest, RenewsPermitsInBatches) {
  for (OperationId id = 1; id <= 150; ++id) hold(id, 30s, Kind::kPermit);
  hold(151);
  connect();
  const auto commands = take();
  ASSERT_EQ(commands.size(), 3U);
  EXPECT_EQ(commands[0][2], "2");
  EXPECT_EQ(commands[1][2], "300");
  EXPECT_EQ(commands[2][2], "150");
  EXPECT_EQ(commands[1].size(), 3 + 100 * 5U);
}

TEST_F(RenewalTest, RenewsInBatches) {
  for (OperationId id = 1; id <= 250; ++id) hold(id);
  connect();
  const auto commands = take();
  ASSERT_EQ(commands.size(), 3U);
  EXPECT_EQ(commands[0][2], "200");
  EXPECT_EQ(commands[1][2], "200");
  EXPECT_EQ(commands[2][2], "100");
  EXPECT_EQ(commands[2].size(), 3 + 50 * 5U);
}

TEST_F(RenewalTest, AnswersFindTheirLocks) {
  for (OperationId id = 1; id <= 3; ++id) hold(id);
  connect();
  const auto command = take().at(0);
  answer(array({number(1), number(0), number(1)}));
  // Which one is the second is the table's choice.
  const auto token = command.at(3 + 6 + 3);
  EXPECT_EQ(losses_->take(), Ids{std::stoull(token.substr(5))});
}

TEST_F(RenewalTest, WithoutExpiryItOnlyAsks) {
  const auto claim = hold(1, primitives::kNoExpiry);
  connect();
  EXPECT_EQ(take().at(0).back(), "0");
  answer(array({number(1)}));
  EXPECT_EQ(claim->valid(), base::kNever);
  now_ += primitives::kCheckInterval;
  step();
  EXPECT_EQ(take().at(0).back(), "0");
  answer(array({number(0)}));
  EXPECT_EQ(losses_->take(), Ids{1});
}

TEST_F(RenewalTest, AnErrorIsAskedAgainSoon) {
  hold(1);
  connect();
  take();
  answer(failure("OOM command not allowed"));
  EXPECT_EQ(losses_->take(), Ids{});
  EXPECT_TRUE(take().empty());
  now_ = renewal_.deadline();
  step();
  EXPECT_EQ(take().size(), 1U);
}

TEST_F(RenewalTest, AnAnswerOfAnotherSizeIsAnError) {
  const auto claim = hold(1);
  connect();
  take();
  answer(array({number(0), number(0)}));
  EXPECT_EQ(losses_->take(), Ids{});
  EXPECT_GT(claim->valid(), now_);
}

TEST_F(RenewalTest, SendsTheSourceWhereTheScriptIsUnknown) {
  const auto claim = hold(1);
  connect();
  EXPECT_EQ(take().at(0).at(0), "EVAL");
  answer(array({number(1)}));
  now_ += 10s;
  step();
  const auto by_name = take().at(0);
  EXPECT_EQ(by_name.at(0), "EVALSHA");
  EXPECT_EQ(by_name.at(1), client::kLockRenew.sha1);
  answer(failure("NOSCRIPT No matching script."));
  EXPECT_EQ(take().at(0).at(0), "EVAL");
  answer(array({number(1)}));
  EXPECT_EQ(claim->valid(), now_ + 30s);
}

TEST_F(RenewalTest, ALostLinkIsToldOnceAndWhatIsDueStaysDue) {
  const auto claim = hold(1);
  connect();
  take();
  renewal_.client().disconnected("gone");
  auto need = step();
  EXPECT_TRUE(need.lost);
  EXPECT_TRUE(need.connect);
  need = step();
  EXPECT_FALSE(need.lost);
  EXPECT_TRUE(need.connect);
  connect();
  EXPECT_EQ(take().size(), 1U);
  answer(array({number(1)}));
  EXPECT_EQ(claim->valid(), now_ + 30s);
}

TEST_F(RenewalTest, TellsALossWithoutALink) {
  hold(1);
  now_ += 10s;
  step();
  EXPECT_EQ(renewal_.deadline(), now_ + 20s);
  now_ += 20s;
  EXPECT_FALSE(step().connect);
  EXPECT_EQ(losses_->take(), Ids{1});
  EXPECT_EQ(renewal_.deadline(), base::kNever);
}

TEST_F(RenewalTest, ShortLeasesHaveShortPatience) {
  hold(1, 2s);
  connect();
  take();
  // A quarter of the shortest lease, so that there is time to try again.
  now_ = renewal_.deadline();
  EXPECT_FALSE(step().lost);
  now_ = renewal_.deadline();
  EXPECT_TRUE(step().lost);
  EXPECT_EQ(now_, base::Time(1h) + 600ms);
}

// Otherwise a server that says nothing costs a short lease, where another attempt would have kept
// it.
TEST_F(RenewalTest, ShortLeasesHaveShortPatienceWithTheGreetingToo) {
  hold(1, 2s);
  now_ += 700ms;
  EXPECT_TRUE(step().connect);
  renewal_.client().connected(Channel::kCommands, now_);
  step();
  EXPECT_EQ(renewal_.client().deadline(), now_ + 500ms);
}

TEST_F(RenewalTest, ShortLeasesHaveShortPauses) {
  step();
  EXPECT_EQ(renewal_.longest_pause(), 1s);
  hold(1, 5s);
  step();
  EXPECT_EQ(renewal_.longest_pause(), 500ms);
  hold(2, 50ms);
  step();
  EXPECT_EQ(renewal_.longest_pause(), 20ms);
}

TEST_F(RenewalTest, DoesNotRenewWhatWasReleasedMeanwhile) {
  const auto claim = hold(1);
  connect();
  take();
  table_->remove(*claim);
  answer(array({number(0)}));
  EXPECT_EQ(losses_->take(), Ids{});
  EXPECT_EQ(renewal_.deadline(), base::kNever);
}

TEST_F(RenewalTest, AWrongLoginEndsTheLink) {
  hold(1);
  renewal_.client().set_login({std::nullopt, "secret", 0, ""});
  renewal_.client().connected(Channel::kCommands, now_);
  EXPECT_EQ(take().at(0), (Command{"AUTH", "secret"}));
  renewal_.client().received(Channel::kCommands, failure("WRONGPASS invalid"), now_);
  EXPECT_TRUE(step().lost);
}

}  // namespace
}  // namespace dsync::tests
