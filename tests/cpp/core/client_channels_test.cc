// Channels beside the inbox: asked for and given up over the same connection.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/client.h"
#include "support/client_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using base::ErrorKind;
using Kinds = std::vector<client::Event::Kind>;
using Commands = std::vector<Command>;

std::string confirmed(const std::string& verb, const std::string& channel) {
  return array({bulk(verb), bulk(channel), number(2)});
}

const std::string kPong = array({bulk("pong"), bulk("")});

class ClientChannelsTest : public ClientTest {
 protected:
  void SetUp() override { connect(); }

  // "channel", or "channel: error", of each that was subscribed since the last call.
  std::vector<std::string> heard() {
    std::vector<std::string> result;
    for (const auto& event : events()) {
      if (event.kind != Kind::kSubscribed) continue;
      result.push_back(event.channel + (event.error.text.empty() ? "" : ": " + event.error.text));
    }
    return result;
  }
};

TEST_F(ClientChannelsTest, AreAskedForOverTheInbox) {
  client_.subscribe("news", "", now_);
  client_.subscribe("talk", "talk too", now_);
  client_.unsubscribe("news", "", now_);
  client_.unsubscribe("talk", "talk too", now_);
  EXPECT_EQ(take(Channel::kInbox), (Commands{{"SUBSCRIBE", "news"},
                                             {"SUBSCRIBE", "talk", "talk too"},
                                             {"UNSUBSCRIBE", "news"},
                                             {"UNSUBSCRIBE", "talk", "talk too"}}));
  EXPECT_EQ(take(Channel::kCommands), Commands{});
}

TEST_F(ClientChannelsTest, AreHeardWhenTheServerSaysSo) {
  client_.subscribe("news", "", now_);
  EXPECT_EQ(heard(), (std::vector<std::string>{}));
  push(confirmed("subscribe", "news"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"news"}));
}

TEST_F(ClientChannelsTest, AreHeardWhenTheCompanionIsHeardToo) {
  client_.subscribe("news", "companion", now_);
  push(confirmed("subscribe", "news"));
  EXPECT_EQ(heard(), (std::vector<std::string>{}));
  push(confirmed("subscribe", "companion"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"news"}));
}

TEST_F(ClientChannelsTest, MessagesSayWhereTheyComeFrom) {
  client_.subscribe("news", "companion", now_);
  push(confirmed("subscribe", "news"));
  // Between the two confirmations as well.
  push(array({bulk("message"), bulk("news"), bulk("first")}));
  push(confirmed("subscribe", "companion"));
  push(array({bulk("message"), bulk("inbox"), bulk("second")}));
  push(array({bulk("message"), bulk("companion"), bulk("")}));
  std::vector<std::string> texts;
  for (const auto& event : events()) {
    if (event.kind == Kind::kMessage) texts.push_back(event.channel + '|' + event.text);
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"news|first", "|second", "companion|"}));
}

TEST_F(ClientChannelsTest, ARefusalIsOneAnswerForBoth) {
  client_.subscribe("news", "companion", now_);
  client_.subscribe("talk", "", now_);
  push(failure("NOPERM no rights"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"news: NOPERM no rights"}));
  push(confirmed("subscribe", "talk"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"talk"}));
  EXPECT_TRUE(client_.ready());
}

TEST_F(ClientChannelsTest, TheEndOfASubscriptionIsNoNews) {
  client_.subscribe("news", "companion", now_);
  client_.unsubscribe("news", "companion", now_);
  client_.subscribe("news", "companion", now_);
  push(confirmed("subscribe", "news") + confirmed("subscribe", "companion"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"news"}));
  push(confirmed("unsubscribe", "news") + confirmed("unsubscribe", "companion"));
  EXPECT_EQ(heard(), (std::vector<std::string>{}));
  push(confirmed("subscribe", "news") + confirmed("subscribe", "companion"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"news"}));
  EXPECT_TRUE(client_.ready());
}

TEST_F(ClientChannelsTest, AnswersToPingsComeInBetween) {
  now_ += 15s;
  client_.tick(now_);
  ASSERT_EQ(take(Channel::kInbox), (Commands{{"PING"}}));
  client_.subscribe("news", "companion", now_);
  push(kPong + confirmed("subscribe", "news") + confirmed("subscribe", "companion"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"news"}));
  EXPECT_TRUE(client_.ready());
}

// A user without the right to PING is refused, which is a sign of life as well.
TEST_F(ClientChannelsTest, AServerThatCannotServeNowRefusesNoChannel) {
  for (const auto* reason : {"LOADING Redis is loading", "BUSY Redis is busy", "NOAUTH login"}) {
    client_.subscribe("news", "", now_);
    push(failure(reason));
    const auto lost = loss();
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->kind, ErrorKind::kConnection);
    EXPECT_EQ(lost->text, reason);
    connect();
  }
}

TEST_F(ClientChannelsTest, ARefusedPingIsNoRefusedSubscription) {
  now_ += 15s;
  client_.tick(now_);
  client_.subscribe("news", "", now_);
  push(failure("NOPERM ping") + confirmed("subscribe", "news"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"news"}));
}

TEST_F(ClientChannelsTest, AnswersThatNobodyAskedForEndTheLinks) {
  client_.subscribe("news", "", now_);
  push(confirmed("subscribe", "news"));
  ASSERT_TRUE(client_.ready());
  push(confirmed("subscribe", "news"));
  EXPECT_FALSE(client_.ready());
}

TEST_F(ClientChannelsTest, ASilentServerIsGivenUp) {
  client_.subscribe("news", "", now_);
  EXPECT_EQ(client_.deadline(), now_ + 5s);
  now_ += 5s;
  client_.tick(now_);
  EXPECT_TRUE(client_.ready());
  now_ += 1s;
  client_.tick(now_);
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kConnection);
}

TEST_F(ClientChannelsTest, AnAnswerIsWaitedForAsLongAsAnotherIsMissing) {
  client_.subscribe("news", "", now_);
  client_.subscribe("talk", "", now_);
  now_ += 4s;
  push(confirmed("subscribe", "news"));
  EXPECT_EQ(client_.deadline(), now_ + 5s);
  push(confirmed("subscribe", "talk"));
  // Nothing is missing any more; only the silence is watched.
  EXPECT_EQ(client_.deadline(), now_ + 15s);
}

TEST_F(ClientChannelsTest, EndWithTheLinks) {
  client_.subscribe("news", "", now_);
  client_.disconnected("gone");
  EXPECT_EQ(kinds(), Kinds{Kind::kLost});
  EXPECT_TRUE(client_.output(Channel::kInbox).empty());
  connect();
  // The answer to the old link is nobody's.
  client_.subscribe("talk", "", now_);
  EXPECT_EQ(take(Channel::kInbox), (Commands{{"SUBSCRIBE", "talk"}}));
  push(confirmed("subscribe", "talk"));
  EXPECT_EQ(heard(), (std::vector<std::string>{"talk"}));
}

}  // namespace
}  // namespace dsync::tests
