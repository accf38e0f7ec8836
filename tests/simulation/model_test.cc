// The model of the server against a real one: the same commands and script calls to both, chosen at
// random, must have the same answers and leave the same keys.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "primitives/names.h"
#include "resp/reader.h"
#include "server.h"
#include "support/random.h"
#include "support/script_fixture.h"

namespace dsync::tests {
namespace {

using simulation::Value;

// Time is the real server's: both are asked in turn, and no lease is short enough to tell them
// apart.
class ServerTime : public simulation::Server::TimeSource {
 public:
  explicit ServerTime(Connection& redis) : redis_(redis) {}
  std::int64_t next_us() override {
    const auto time = redis_.ask({"TIME"});
    return std::stoll(std::string(time.view().at(0).text())) * 1'000'000 +
           std::stoll(std::string(time.view().at(1).text()));
  }

 private:
  Connection& redis_;
};

// Every number that depends on the clock becomes "T". All others are small in these calls.
std::string without_time(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const auto begin = i;
    while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0) ++i;
    const auto digits = text.substr(begin, i - begin);
    if (digits.empty()) {
      result += text[i++];
    } else {
      const bool is_time = digits.size() >= 3;
      result += is_time ? "T" : digits;
    }
  }
  return result;
}

// "WRONGTYPE …", without what Redis says of the script.
std::string as_answer(const std::string& shown) {
  if (shown.starts_with("(error)")) return shown.substr(0, shown.find(' ', 8));
  return without_time(shown);
}

class ModelTest : public ScriptTest {
 protected:
  static constexpr const char* kSessions[] = {"a", "b", "c"};

  ModelTest() {
    model_.open(kConnection);
    // Of the three sessions one is not connected.
    for (const auto* session : {"a", "b"}) {
      subscribe("dsync:inbox:" + std::string(session));
    }
    subscribe("channel");
  }

  void subscribe(const std::string& channel) {
    listener_.ask({"SUBSCRIBE", channel});
    std::string bytes;
    append_words(bytes, {"SUBSCRIBE", channel});
    model_.receive(kConnection, bytes);
    model_.take_output();
  }

  static void append_words(std::string& bytes, const Texts& words) {
    bytes += '*' + std::to_string(words.size()) + "\r\n";
    for (const auto& word : words) bytes += bulk(word);
  }

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }
  template <std::size_t N>
  std::string any(const std::array<const char*, N>& choices) {
    return choices[below(N)];
  }

  // Both are asked, and must answer alike.
  void ask(const Texts& words) {
    const auto real = as_answer(redis_(words));
    const std::vector<std::string_view> views(words.begin(), words.end());
    const auto modelled = as_answer(show(model_.execute(views)));
    EXPECT_EQ(modelled, real) << described(words);
  }

  static std::string described(const Texts& words) {
    std::string result;
    for (const auto& word : words) {
      if (word.size() < 100) result += word + ' ';
    }
    return result;
  }

  void call(const client::Script& script, const Texts& keys, const Texts& arguments) {
    SCOPED_TRACE(script.name);
    Texts words{"EVAL", std::string(script.source), std::to_string(keys.size())};
    words.insert(words.end(), keys.begin(), keys.end());
    words.insert(words.end(), arguments.begin(), arguments.end());
    ask(words);
  }

  std::string operation() { return any<3>({"a", "b", "c"}) + ':' + std::to_string(1 + below(4)); }

  // Nothing may end at one of the two just before it does at the other.
  void forbid_ends() {
    ask({"PEXPIRE", "{key}:dsync:reserved", "600000"});
    if (below(20) == 0) ask({"DEL", "{count}:dsync:ended"});
  }

  // The key, its type and its content, of all keys.
  void compare_keys() {
    for (const auto& key : redis_.keys()) {
      SCOPED_TRACE(key);
      ask({"TYPE", key});
      EXPECT_EQ(model_.database().expires(key), redis_.integer({"PTTL", key}) >= 0);
      const auto type = redis_({"TYPE", key});
      if (type == "'string'") ask({"GET", key});
      if (type == "'hash'") ask({"HLEN", key});
      if (type == "'zset'") compare_members(key);
    }
    EXPECT_EQ(model_.database().names(model_.now_us()), redis_.keys());
  }

  // Not their order: what came in one millisecond here may have come in two there.
  void compare_members(const std::string& key) {
    const std::string_view words[] = {"ZRANGE", key, "0", "-1", "WITHSCORES"};
    const auto modelled = model_.execute(words);
    const auto real = redis_.ask({words, words + std::size(words)});
    ASSERT_EQ(modelled.items.size(), real.view().size());
    std::multiset<std::string> here;
    std::multiset<std::string> there;
    for (std::size_t i = 0; i < modelled.items.size(); i += 2) {
      here.insert(modelled.items[i].text + without_time(modelled.items[i + 1].text));
      there.insert(std::string(real.view().at(i).text()) +
                   without_time(std::string(real.view().at(i + 1).text())));
    }
    EXPECT_EQ(here, there);
  }

  // What was published to whom.
  void compare_messages() {
    std::string bytes;
    for (auto& [id, output] : model_.take_output()) bytes += output;
    resp::Reader reader;
    reader.feed(bytes);
    while (true) {
      auto next = reader.next();
      ASSERT_TRUE(next.ok());
      if (!next.value()) return;
      const auto real = listener_.read();
      EXPECT_EQ(without_time(tests::show(next.value()->view())),
                without_time(tests::show(real.view())));
    }
  }

  void call_any() {
    using Call = void (ModelTest::*)();
    constexpr Call kCalls[] = {&ModelTest::call_lock, &ModelTest::call_semaphore,
                               &ModelTest::call_condition, &ModelTest::call_barrier,
                               &ModelTest::call_event};
    (this->*kCalls[below(std::size(kCalls))])();
  }
  void call_lock();
  void call_semaphore();
  void call_condition();
  void call_barrier();
  void call_event();

  static constexpr simulation::ConnectionId kConnection = 0;

  std::mt19937 random_ = seeded();
  Connection listener_{server_.unix_address()};
  ServerTime time_{redis_};
  simulation::ScriptEngine engine_{nullptr};
  simulation::Server model_{engine_, time_, nullptr};
};

void ModelTest::call_lock() {
  const Texts keys{kKey, kQueue, kFence};
  const auto token = any<2>({"t", "u"});
  const auto lease = any<2>({"30000", "0"});
  const auto first = any<3>({"30000", "0", "-1"});
  switch (below(5)) {
    case 0:
    case 1:
      return call(client::kLockAcquire, keys, {token, operation(), lease, first, "630000"});
    case 2:
      return call(client::kLockRelease, keys, {token, operation(), first});
    case 3:
      return call(client::kLockRenew, {kKey, kFence}, {token, operation(), lease});
    default:
      return call(client::kKeyValueDelete, {kKey, kQueue, kFence, "{key}:dsync:done"},
                  {operation(), any<2>({"0", "1"})});
  }
}

void ModelTest::call_semaphore() {
  const Texts keys{"slots", "{slots}:dsync:queue", "{slots}:dsync:permits"};
  auto more = keys;
  const auto lease = any<2>({"30000", "0"});
  switch (below(6)) {
    case 0:
    case 1:
      return call(client::kSemaphoreAcquire, keys,
                  {operation(), lease, any<3>({"30000", "0", "-1"}), "2"});
    case 2:
      more.emplace_back("limit");
      return call(client::kSemaphoreRelease, more,
                  {operation(), lease, "2", any<3>({"release", "bounded", "confirm"})});
    case 3:
      return call(client::kSemaphoreRenew, keys, {operation(), lease});
    case 4:
      return call(client::kSemaphoreFree, keys, {"2"});
    default:
      more.emplace_back("{slots}:dsync:done");
      more.emplace_back("limit");
      return call(client::kSemaphoreAdd, more,
                  {operation(), any<2>({"0", "1"}), "2", any<2>({"release", "bounded"})});
  }
}

void ModelTest::call_condition() {
  const Texts keys{kKey, kQueue, kFence, "{key}:dsync:waiting", "{key}:dsync:told"};
  auto more = keys;
  more.insert(more.end(), {"counter", "{key}:dsync:reserved"});
  const auto token = any<3>({"t", "u", ""});
  switch (below(5)) {
    case 0:
    case 1:
      return call(client::kConditionWait, more,
                  {token, operation(), "30000", "30000", "630000",
                   token.empty() || below(2) == 0 ? "" : operation(), any<2>({"wait", "leave"}),
                   any<2>({"", "1"}), "channel", "listeners"});
    case 2:
      return call(client::kConditionLeave, keys,
                  {token, operation(), "30000", any<2>({"confirm", "leave"})});
    default:
      more.emplace_back("{key}:dsync:done");
      return call(client::kConditionNotify, more,
                  {operation(), any<2>({"0", "1"}), any<2>({"t", "u"}), operation(),
                   any<3>({"1", "2", "-1"}), "channel", "listeners"});
  }
}

void ModelTest::call_barrier() {
  const Texts keys{"count", "{count}:dsync:parties", "{count}:dsync:ended", "{count}:dsync:told"};
  auto more = keys;
  switch (below(5)) {
    case 0:
    case 1:
      more.emplace_back("guard");
      return call(client::kBarrierWait, more,
                  {operation(), "3", "channel", any<3>({"", "release", "reset"})});
    case 2:
      return call(client::kBarrierLeave, keys, {operation()});
    case 3:
      return call(client::kBarrierCount, keys, {});
    default:
      more.emplace_back("{count}:dsync:done");
      return call(
          client::kBarrierEnd, more,
          {operation(), any<2>({"0", "1"}), "channel", any<4>({"release", "reset", "abort", ""})});
  }
}

void ModelTest::call_event() {
  if (below(2) == 0) return call(client::kEventWait, {"event"}, {});
  call(client::kEventSet, {"event", "{event}:dsync:done"},
       {operation(), any<2>({"0", "1"}), any<2>({"0", "1"}), "channel"});
}

TEST_F(ModelTest, AnswersAsARealServer) {
  for (int step = 0; step < 4000 && !HasFailure(); ++step) {
    switch (below(40)) {
      case 0:
        ask({"DEL", any<8>({"key", "{key}:dsync:fence", "{key}:dsync:queue", "slots", "limit",
                            "{slots}:dsync:permits", "count", "{key}:dsync:waiting"})});
        break;
      case 1:
        ask({"SET", "count", "0"});
        break;
      case 2:
        ask({"INCRBY", "counter", "2"});
        break;
      default:
        call_any();
    }
    compare_messages();
    if (step % 20 == 0) compare_keys();
    forbid_ends();
  }
  compare_keys();
}

}  // namespace
}  // namespace dsync::tests
