#include "support/script_fixture.h"

#include <sstream>
#include <stdexcept>

namespace dsync::tests {

std::string ScriptTest::run(const client::Script& script, const Texts& keys,
                            const Texts& arguments) {
  Texts words{"EVAL", std::string(script.source), std::to_string(keys.size())};
  words.insert(words.end(), keys.begin(), keys.end());
  words.insert(words.end(), arguments.begin(), arguments.end());
  return redis_(words);
}

std::vector<std::int64_t> ScriptTest::numbers_in(const std::string& shown) {
  if (!shown.starts_with('[')) throw std::runtime_error("not a list of numbers: " + shown);
  std::vector<std::int64_t> result;
  std::istringstream stream(shown);
  char separator = 0;
  std::int64_t number = 0;
  while (stream >> separator >> number) result.push_back(number);
  return result;
}

std::int64_t ScriptTest::fence_in(const std::string& shown) {
  EXPECT_EQ(shown.size(), 18U) << shown;
  return std::stoll(shown.substr(1));
}

std::int64_t ScriptTest::server_us() {
  const auto time = redis_.ask({"TIME"});
  return std::stoll(std::string(time.view().at(0).text())) * 1'000'000 +
         std::stoll(std::string(time.view().at(1).text()));
}

ScriptTest::Texts ScriptTest::members(const std::string& key) {
  const auto reply = redis_.ask({"ZRANGE", key, "0", "-1"});
  Texts result;
  for (std::size_t i = 0; i < reply.view().size(); ++i) {
    result.emplace_back(reply.view().at(i).text());
  }
  return result;
}

std::int64_t ScriptTest::score(const std::string& key, const std::string& member) {
  const auto reply = redis_.ask({"ZSCORE", key, member});
  EXPECT_FALSE(reply.view().is_nil()) << member;
  return reply.view().is_nil() ? 0 : std::stoll(std::string(reply.view().text()));
}

ScriptTest::Texts ScriptTest::state() {
  Texts result;
  for (const auto& key : redis_.keys()) {
    const auto expiring = redis_.integer({"PTTL", key}) >= 0;
    result.push_back(key + (expiring ? " expiring " : " lasting ") + redis_({"DUMP", key}));
  }
  return result;
}

void ScriptTest::make_list(const std::string& key) {
  redis_({"DEL", key});
  redis_({"RPUSH", key, "x"});
}

void ScriptTest::expect_wrong_type(const std::string& reply, const Texts& before) {
  EXPECT_EQ(reply.find("(error) WRONGTYPE"), 0U) << reply;
  EXPECT_EQ(state(), before);
}

ScriptTest::Listener::Listener(const RedisServer& server, const Texts& channels)
    : Connection(server.unix_address()), last_channel_(channels.back()) {
  for (const auto& channel : channels) ask({"SUBSCRIBE", channel});
}

ScriptTest::Texts ScriptTest::Listener::messages(Connection& redis) {
  const std::string end = "the end of the messages so far";
  redis({"PUBLISH", last_channel_, end});
  Texts result;
  while (true) {
    result.push_back(message());
    if (result.back() != end) continue;
    result.pop_back();
    return result;
  }
}

}  // namespace dsync::tests
