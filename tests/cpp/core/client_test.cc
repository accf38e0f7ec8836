#include "client/client.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/scripts.h"
#include "support/client_fixture.h"

namespace dsync::tests {
namespace {

using base::ErrorKind;
using client::kLockAcquire;
using client::kLockRelease;
using Kinds = std::vector<client::Event::Kind>;

std::string message(const std::string& text) {
  return array({bulk("message"), bulk("inbox"), bulk(text)});
}

// Runs `script` without keys and arguments.
void run(client::Client& client, const client::Script& script, client::Cookie cookie,
         base::Time now) {
  client.run(script, 0, 0, cookie, now);
}

TEST_F(ClientTest, RepliesFindTheirCommandsInOrder) {
  connect();
  for (client::Cookie cookie = 1; cookie <= 3; ++cookie)
    client_.command({"GET", "k"}, cookie, now_);
  EXPECT_EQ(take().size(), 3U);
  answer(bulk("one") + nil());
  answer(failure("ERR three"));
  std::vector<std::pair<client::Cookie, std::string>> found;
  for (const auto& event : events()) {
    if (event.kind == Kind::kReply) found.emplace_back(event.cookie, show(event.reply.view()));
  }
  EXPECT_EQ(found, (decltype(found){{1, "'one'"}, {2, "nil"}, {3, "(error) ERR three"}}));
}

TEST_F(ClientTest, TheFirstCallBringsTheSource) {
  connect();
  auto call = client_.run(kLockAcquire, 1, 3, 1, now_);
  call << "key" << std::int64_t{-5};
  call.parts({"a", "", "b"}) << "";
  EXPECT_EQ(take().at(0),
            (Command{"EVAL", std::string(kLockAcquire.source), "1", "key", "-5", "ab", ""}));
  run(client_, kLockAcquire, 2, now_);
  EXPECT_EQ(take().at(0), (Command{"EVALSHA", std::string(kLockAcquire.sha1), "0"}));
  // Each script for itself.
  run(client_, kLockRelease, 3, now_);
  EXPECT_EQ(take().at(0).at(0), "EVAL");
}

TEST_F(ClientTest, ANewLinkHasANewServer) {
  connect();
  run(client_, kLockAcquire, 1, now_);
  client_.disconnected("gone");
  connect();
  run(client_, kLockAcquire, 2, now_);
  EXPECT_EQ(take().at(0).at(0), "EVAL");
}

TEST_F(ClientTest, AForgottenScriptIsSentAgain) {
  connect();
  for (client::Cookie cookie = 1; cookie <= 3; ++cookie) run(client_, kLockAcquire, cookie, now_);
  take();
  answer(number(1) + failure("NOSCRIPT No matching script. Please use EVAL.") +
         failure("NOSCRIPT No matching script. Please use EVAL."));
  const auto happened = events();
  ASSERT_EQ(happened.size(), 4U);
  EXPECT_EQ(happened[1].kind, Kind::kHealthy);
  EXPECT_EQ(happened[2].kind, Kind::kResend);
  EXPECT_EQ(happened[2].cookie, 2U);
  EXPECT_EQ(happened[3].kind, Kind::kResend);
  EXPECT_EQ(happened[3].cookie, 3U);
  EXPECT_TRUE(client_.ready());
  run(client_, kLockAcquire, 2, now_);
  run(client_, kLockAcquire, 3, now_);
  const auto again = take();
  EXPECT_EQ(again.at(0).at(0), "EVAL");
  EXPECT_EQ(again.at(1).at(0), "EVALSHA");
}

class NotNowTest : public ClientTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(NotNowTest, TheServerIsGivenUp) {
  connect();
  client_.command({"GET", "k"}, 1, now_);
  client_.command({"GET", "k"}, 2, now_);
  answer(failure(GetParam()) + number(1));
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kConnection);
  EXPECT_EQ(error->text, GetParam());
  EXPECT_FALSE(client_.ready());
}

INSTANTIATE_TEST_SUITE_P(
    Errors, NotNowTest,
    ::testing::Values("LOADING Redis is loading", "READONLY You can't write", "BUSY Redis is busy",
                      "MASTERDOWN Link with MASTER is down", "CLUSTERDOWN", "TRYAGAIN later",
                      "NOAUTH Authentication required.",
                      "ERR Error running script (call to f_1): @user_script:1: -READONLY You"));

TEST_F(ClientTest, OtherErrorsAreAnswers) {
  connect();
  client_.command({"GET", "k"}, 1, now_);
  answer(failure("WRONGTYPE Operation against a key"));
  EXPECT_EQ(kinds(), (Kinds{Kind::kReply, Kind::kHealthy}));
  EXPECT_TRUE(client_.ready());
}

TEST_F(ClientTest, AReplyWithoutACommandEndsTheLinks) {
  connect();
  answer(number(1) + number(2));
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kProtocol);
}

TEST_F(ClientTest, GarbageEndsTheLinks) {
  for (const bool inbox : {false, true}) {
    connect();
    client_.command({"GET", "k"}, 1, now_);
    inbox ? push("what?") : answer("what?");
    const auto error = loss();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind, ErrorKind::kProtocol);
  }
}

TEST_F(ClientTest, NothingOfTheOldLinkReachesTheNewOne) {
  connect();
  client_.command({"GET", "k"}, 1, now_);
  answer("$100\r\nhalf");
  client_.disconnected("gone");
  EXPECT_EQ(kinds(), Kinds{Kind::kLost});
  EXPECT_TRUE(client_.output(Channel::kCommands).empty());
  connect();
  client_.command({"GET", "k"}, 2, now_);
  answer(bulk("whole"));
  const auto happened = events();
  ASSERT_FALSE(happened.empty());
  EXPECT_EQ(happened[0].cookie, 2U);
  EXPECT_EQ(happened[0].reply.view().text(), "whole");
}

TEST_F(ClientTest, MessagesComeInAnyPieces) {
  connect();
  for (const char byte : message("first") + message("")) push({byte});
  push(message("third") + message("fourth").substr(0, 30));
  push(message("fourth").substr(30));
  std::vector<std::string> texts;
  for (const auto& event : events()) {
    EXPECT_EQ(event.kind, Kind::kMessage);
    texts.push_back(event.text);
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"first", "", "third", "fourth"}));
}

class NoMessageTest : public ClientTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(NoMessageTest, EndsTheLinks) {
  connect();
  push(GetParam());
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kProtocol);
}

INSTANTIATE_TEST_SUITE_P(Pushes, NoMessageTest,
                         ::testing::Values(number(1), nil(), array({}), array({number(1)}),
                                           array({bulk("message"), bulk("inbox")}),
                                           array({bulk("unsubscribe"), bulk("inbox"), number(0)}),
                                           failure("NOAUTH Authentication required.")));

TEST_F(ClientTest, IsHealthyWithTheFirstAnswer) {
  connect();
  client_.command({"GET", "k"}, 1, now_);
  client_.tick(now_);
  EXPECT_EQ(kinds(), Kinds{});
  answer(nil());
  EXPECT_EQ(kinds(), (Kinds{Kind::kReply, Kind::kHealthy}));
  client_.command({"GET", "k"}, 2, now_);
  answer(nil());
  EXPECT_EQ(kinds(), Kinds{Kind::kReply});
}

TEST_F(ClientTest, IsHealthyWithNothingToAnswer) {
  connect();
  client_.tick(now_);
  EXPECT_EQ(kinds(), Kinds{Kind::kHealthy});
  client_.tick(now_);
  EXPECT_EQ(kinds(), Kinds{});
}

TEST_F(ClientTest, HealthIsAskedOfEachLinkAnew) {
  connect();
  client_.tick(now_);
  client_.disconnected("gone");
  connect();
  client_.tick(now_);
  EXPECT_EQ(kinds(), Kinds{Kind::kHealthy});
}

TEST_F(ClientTest, AServerThatOnlyForgotTheScriptIsNotHealthyYet) {
  connect();
  run(client_, kLockAcquire, 1, now_);
  answer(failure("NOSCRIPT No matching script."));
  run(client_, kLockAcquire, 1, now_);
  client_.tick(now_);
  EXPECT_EQ(kinds(), Kinds{Kind::kResend});
  answer(failure("READONLY You can't write against a read only replica."));
  EXPECT_EQ(kinds(), Kinds{Kind::kLost});
}

}  // namespace
}  // namespace dsync::tests
