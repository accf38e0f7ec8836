#include "server.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <utility>

namespace dsync::simulation {
namespace {

// Reads "*3\r\n" or "$3\r\n" at `at`, and moves on; nothing where it has not come in whole.
std::optional<std::size_t> take_head(std::string_view bytes, std::size_t& at, char type) {
  const auto end = bytes.find("\r\n", at);
  if (end == std::string_view::npos) return std::nullopt;
  std::size_t number = 0;
  if (bytes[at] != type) throw std::runtime_error("a session wrote what is no command");
  std::from_chars(bytes.data() + at + 1, bytes.data() + end, number);
  at = end + 2;
  return number;
}

// Cuts one command off; false where it has not come in whole.
bool take_command(std::string_view bytes, std::size_t& at, std::vector<std::string_view>& words) {
  words.clear();
  auto next = at;
  const auto count = take_head(bytes, next, '*');
  if (!count) return false;
  for (std::size_t i = 0; i < *count; ++i) {
    const auto size = take_head(bytes, next, '$');
    if (!size || next + *size + 2 > bytes.size()) return false;
    words.push_back(bytes.substr(next, *size));
    next += *size + 2;
  }
  at = next;
  return true;
}

}  // namespace

void Server::close(ConnectionId id) { connections_.erase(id); }

void Server::lose_everything() {
  database_.clear();
  loaded_.clear();
  connections_.clear();
}

void Server::receive(ConnectionId id, std::string_view bytes) {
  auto& connection = connections_.at(id);
  connection.input.append(bytes);
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while (take_command(connection.input, at, words)) answer(connection, words);
  connection.input.erase(0, at);
}

std::vector<std::pair<ConnectionId, std::string>> Server::take_output() {
  std::vector<std::pair<ConnectionId, std::string>> result;
  for (auto& [id, connection] : connections_) {
    if (!connection.output.empty()) result.emplace_back(id, std::exchange(connection.output, {}));
  }
  return result;
}

void Server::answer(Connection& connection, Words words) {
  const bool begins = words[0] == "SUBSCRIBE";
  if (loading_) {
    append_resp(connection.output, Value::error("LOADING Redis is loading the dataset in memory"));
  } else if (begins || words[0] == "UNSUBSCRIBE") {
    subscribe(connection, words.subspan(1), begins);
  } else if (words[0] == "PING" && !connection.channels.empty()) {
    append_resp(connection.output, Value::array({Value::bulk("pong"), Value::bulk("")}));
  } else {
    append_resp(connection.output, execute(words));
  }
}

void Server::subscribe(Connection& connection, Words channels, bool begins) {
  for (const auto channel : channels) {
    if (begins) {
      connection.channels.emplace(channel);
    } else if (const auto it = connection.channels.find(channel); it != connection.channels.end()) {
      connection.channels.erase(it);
    }
    append_resp(connection.output, Value::array({Value::bulk(begins ? "subscribe" : "unsubscribe"),
                                                 Value::bulk(channel),
                                                 Value::number(std::ssize(connection.channels))}));
  }
}

Value Server::execute(Words words) {
  now_us_ = shown_us_ = time_.next_us();
  if (words[0] == "EVAL" || words[0] == "EVALSHA") return run_script(words);
  if (words[0] == "PING") return Value::status("PONG");
  if (words[0] == "SELECT" || words[0] == "AUTH" || words[0] == "CLIENT") {
    return Value::status("OK");
  }
  return call(words);
}

Value Server::run_script(Words words) {
  const bool by_source = words[0] == "EVAL";
  const auto* script = by_source ? engine_.with_source(words[1]) : engine_.with_sha1(words[1]);
  if (script == nullptr) throw std::runtime_error("a session sent a script that is none of lua/");
  if (by_source) {
    loaded_.insert(script->sha1);
  } else if (!loaded_.contains(script->sha1)) {
    return Value::error("NOSCRIPT No matching script. Please use EVAL.");
  }
  std::size_t count = 0;
  std::from_chars(words[2].data(), words[2].data() + words[2].size(), count);
  const auto keys = words.subspan(3, count);
  const auto arguments = words.subspan(3 + count);
  if (observer_ != nullptr) observer_->before_script(*script, keys, arguments);
  auto reply = engine_.run(*script, keys, arguments, *this);
  if (observer_ != nullptr) observer_->after_script(*script, keys, arguments, reply);
  return reply;
}

Value Server::call(Words words) {
  Value reply;
  if (database_.execute(words, now_us_, reply)) return reply;
  if (words[0] == "TIME") return time();
  if (words[0] == "PUBLISH") return publish(words[1], words[2]);
  if (words[0] == "PUBSUB" && words[1] == "NUMSUB") return count_subscribers(words.subspan(2));
  throw std::runtime_error("the model has no command " + std::string(words[0]));
}

Value Server::time() {
  if (!frozen_time_) shown_us_ += 20;
  return Value::array({Value::bulk(std::to_string(shown_us_ / 1'000'000)),
                       Value::bulk(std::to_string(shown_us_ % 1'000'000))});
}

Value Server::publish(std::string_view channel, std::string_view text) {
  std::int64_t receivers = 0;
  for (auto& [id, connection] : connections_) {
    if (!connection.channels.contains(channel)) continue;
    ++receivers;
    append_resp(connection.output,
                Value::array({Value::bulk("message"), Value::bulk(channel), Value::bulk(text)}));
  }
  return Value::number(receivers);
}

Value Server::count_subscribers(Words channels) const {
  std::vector<Value> result;
  for (const auto channel : channels) {
    result.push_back(Value::bulk(channel));
    result.push_back(Value::number(subscribers(channel)));
  }
  return Value::array(std::move(result));
}

std::int64_t Server::subscribers(std::string_view channel) const {
  return std::ranges::count_if(connections_, [channel](const auto& entry) {
    return entry.second.channels.contains(channel);
  });
}

}  // namespace dsync::simulation
