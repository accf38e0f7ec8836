// A client whose server is played by the test.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/client.h"
#include "support/wire.h"

namespace dsync::tests {

class ClientTest : public ::testing::Test {
 protected:
  using Kind = client::Event::Kind;
  using Channel = client::Channel;

  static client::Client::Options options(std::string inbox = "inbox") {
    return {std::move(inbox), std::chrono::seconds(5), std::chrono::seconds(15)};
  }

  // Makes both links and answers their greeting without a login.
  void connect() {
    client_.connected(Channel::kCommands, now_);
    client_.connected(Channel::kInbox, now_);
    take(Channel::kCommands);
    take(Channel::kInbox);
    answer(simple("PONG"));
    push(array({bulk("subscribe"), bulk("inbox"), number(1)}));
    ASSERT_TRUE(client_.ready());
    client_.take_events();
  }

  void answer(const std::string& bytes) { client_.received(Channel::kCommands, bytes, now_); }
  void push(const std::string& bytes) { client_.received(Channel::kInbox, bytes, now_); }

  // What was written since the last call.
  std::vector<Command> take(Channel channel = Channel::kCommands) {
    auto& output = client_.output(channel);
    const auto result = commands_in(output);
    output.clear();
    return result;
  }

  std::vector<client::Event> events() { return client_.take_events(); }

  std::vector<Kind> kinds() {
    std::vector<Kind> result;
    for (const auto& event : events()) result.push_back(event.kind);
    return result;
  }

  // The error of the one loss that has happened since; nothing when there was none, or more.
  std::optional<base::Error> loss() {
    std::vector<base::Error> found;
    for (const auto& event : events()) {
      if (event.kind == Kind::kLost) found.push_back(event.error);
    }
    if (found.size() != 1) return std::nullopt;
    return found.front();
  }

  base::Time now_{std::chrono::hours(1)};
  client::Client client_{options()};
};

}  // namespace dsync::tests
