#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/client_fixture.h"

namespace dsync::tests {
namespace {

using base::ErrorKind;
using client::Login;
using Commands = std::vector<Command>;

const std::string kSubscribed = array({bulk("subscribe"), bulk("inbox"), number(1)});

class GreetingTest : public ClientTest {
 protected:
  // Connects both links, and gives what the commands link says first.
  Commands greet(Login login) {
    client_.set_login(std::move(login));
    client_.connected(Channel::kCommands, now_);
    client_.connected(Channel::kInbox, now_);
    inbox_ = take(Channel::kInbox);
    return take(Channel::kCommands);
  }

  Commands inbox_;
};

TEST_F(GreetingTest, WithoutALogin) {
  EXPECT_EQ(greet({}), (Commands{{"PING"}}));
  EXPECT_EQ(inbox_, (Commands{{"SUBSCRIBE", "inbox"}}));
  answer(simple("PONG"));
  EXPECT_FALSE(client_.ready());
  push(kSubscribed);
  EXPECT_TRUE(client_.ready());
  EXPECT_EQ(kinds(), std::vector{Kind::kReady});
}

TEST_F(GreetingTest, WithAPassword) {
  const Command auth{"AUTH", "se\r\ncret"};
  EXPECT_EQ(greet({std::nullopt, "se\r\ncret", 0, ""}), (Commands{auth, {"PING"}}));
  EXPECT_EQ(inbox_, (Commands{auth, {"SUBSCRIBE", "inbox"}}));
}

TEST_F(GreetingTest, WithAUser) {
  const Command auth{"AUTH", "alice", ""};
  EXPECT_EQ(greet({"alice", "", 0, ""}), (Commands{auth, {"PING"}}));
}

TEST_F(GreetingTest, AUserWithoutAPasswordIsNoLogin) {
  EXPECT_EQ(greet({"alice", std::nullopt, 0, ""}), (Commands{{"PING"}}));
}

TEST_F(GreetingTest, WithEverything) {
  const Command auth{"AUTH", "alice", "secret"};
  const Command name{"CLIENT", "SETNAME", "service"};
  EXPECT_EQ(greet({"alice", "secret", 7, "service"}),
            (Commands{auth, name, {"SELECT", "7"}, {"PING"}}));
  // A channel belongs to no database.
  EXPECT_EQ(inbox_, (Commands{auth, name, {"SUBSCRIBE", "inbox"}}));
  answer(simple("OK") + simple("OK") + simple("OK"));
  push(simple("OK") + simple("OK") + kSubscribed);
  EXPECT_FALSE(client_.ready());
  answer(simple("PONG"));
  EXPECT_EQ(kinds(), std::vector{Kind::kReady});
}

TEST_F(GreetingTest, WithoutAnInbox) {
  client::Client alone(options(""));
  alone.connected(Channel::kCommands, now_);
  alone.received(Channel::kCommands, simple("PONG"), now_);
  EXPECT_TRUE(alone.ready());
}

TEST_F(GreetingTest, ComesInAnyPieces) {
  greet({"alice", "secret", 1, ""});
  for (const char byte : simple("OK") + simple("OK") + simple("PONG")) answer({byte});
  for (const char byte : simple("OK") + kSubscribed) push({byte});
  EXPECT_TRUE(client_.ready());
}

TEST_F(GreetingTest, WhatTheInboxSaysBeforeTheOtherLinkIsUpIsKept) {
  greet({});
  push(kSubscribed + array({bulk("message"), bulk("inbox"), bulk("early")}));
  EXPECT_EQ(kinds(), std::vector{Kind::kMessage});
  answer(simple("PONG"));
  EXPECT_TRUE(client_.ready());
}

TEST_F(GreetingTest, TheNextLoginIsForTheNextLink) {
  greet({"alice", "old", 0, ""});
  client_.disconnected("gone");
  EXPECT_EQ(greet({"alice", "new", 0, ""}).at(0), (Command{"AUTH", "alice", "new"}));
}

TEST_F(GreetingTest, HalfOfItAndThenTheEnd) {
  greet({"alice", "secret", 0, ""});
  answer(simple("OK") + "+PO");
  client_.disconnected("connection reset");
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kConnection);
  EXPECT_EQ(error->text, "connection reset");
  // Nothing of the half reply is left.
  client_.set_login({});
  connect();
}

TEST_F(GreetingTest, BytesOfADeadLinkAreDropped) {
  greet({});
  client_.disconnected("gone");
  events();
  answer(simple("PONG"));
  push(kSubscribed);
  client_.disconnected("again");
  EXPECT_TRUE(events().empty());
  EXPECT_FALSE(client_.ready());
}

// A refused greeting: which login, what the server says, and what becomes of it.
struct Refusal {
  Login login;
  std::string commands;  // replies on that link
  std::string inbox;
  ErrorKind kind;
  std::string text;
};

class RefusalTest : public ClientTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(RefusalTest, EndsTheLinks) {
  client_.set_login(GetParam().login);
  client_.connected(Channel::kCommands, now_);
  client_.connected(Channel::kInbox, now_);
  answer(GetParam().commands);
  push(GetParam().inbox);
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, GetParam().kind);
  EXPECT_EQ(error->text, GetParam().text);
  EXPECT_FALSE(client_.ready());
  EXPECT_TRUE(client_.output(Channel::kCommands).empty());
  EXPECT_EQ(client_.deadline(), base::kNever);
}

const Login kAlice{"alice", "secret", 0, ""};
const std::string kWrongPass = "WRONGPASS invalid username-password pair or user is disabled.";
const std::string kNoPassword = "ERR Client sent AUTH, but no password is set";
const std::string kLoading = "LOADING Redis is loading the dataset in memory";
const std::string kNoPerm = "NOPERM this user has no permissions";

INSTANTIATE_TEST_SUITE_P(
    Logins, RefusalTest,
    ::testing::Values(
        Refusal{kAlice, failure(kWrongPass), "", ErrorKind::kAuthentication, kWrongPass},
        Refusal{kAlice, failure(kNoPassword), "", ErrorKind::kAuthentication, kNoPassword},
        Refusal{kAlice, "", failure(kWrongPass), ErrorKind::kAuthentication, kWrongPass},
        Refusal{{},
                failure("NOAUTH Authentication required."),
                "",
                ErrorKind::kAuthentication,
                "NOAUTH Authentication required."},
        Refusal{{std::nullopt, std::nullopt, 0, "me"},
                failure("NOAUTH Authentication required."),
                "",
                ErrorKind::kAuthentication,
                "NOAUTH Authentication required."},
        Refusal{kAlice, failure(kLoading), "", ErrorKind::kConnection, kLoading}));

INSTANTIATE_TEST_SUITE_P(
    Servers, RefusalTest,
    ::testing::Values(
        Refusal{{}, failure(kLoading), "", ErrorKind::kConnection, kLoading},
        Refusal{{}, "", failure(kLoading), ErrorKind::kConnection, kLoading},
        Refusal{{std::nullopt, std::nullopt, 99, ""},
                failure("ERR DB index is out of range"),
                "",
                ErrorKind::kServer,
                "ERR DB index is out of range"},
        Refusal{
            {std::nullopt, std::nullopt, 1, ""}, failure(kNoPerm), "", ErrorKind::kServer, kNoPerm},
        Refusal{{}, "", failure(kNoPerm), ErrorKind::kServer, kNoPerm},
        Refusal{{}, "", simple("OK"), ErrorKind::kProtocol, "unexpected reply to SUBSCRIBE"},
        Refusal{{},
                "",
                array({bulk("message"), bulk("inbox"), bulk("x")}),
                ErrorKind::kProtocol,
                "unexpected reply to SUBSCRIBE"}));

TEST_F(GreetingTest, GoesOnWithoutTheRightToWhatIsDispensable) {
  greet({"alice", "secret", 0, "service"});
  answer(simple("OK") + failure(kNoPerm) + failure(kNoPerm));
  push(simple("OK") + failure("ERR unknown command 'CLIENT'") + kSubscribed);
  EXPECT_EQ(kinds(), std::vector{Kind::kReady});
}

TEST_F(GreetingTest, GarbageIsAProtocolError) {
  greet({});
  answer("HTTP/1.1 400 Bad Request\r\n");
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kProtocol);
}

TEST_F(GreetingTest, ASilentServerIsGivenUp) {
  greet({});
  answer(simple("PONG"));
  now_ = client_.deadline();
  EXPECT_EQ(now_, base::Time(std::chrono::hours(1)) + std::chrono::seconds(5));
  client_.tick(now_);
  now_ = client_.deadline();
  client_.tick(now_);
  const auto error = loss();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kConnection);
}

}  // namespace
}  // namespace dsync::tests
