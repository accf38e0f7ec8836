// What is sent on a new connection before anything else.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "resp/reply.h"

namespace dsync::client {

// Who we are at the server. Never printed: it holds a password.
struct Login {
  std::optional<std::string> username;
  std::optional<std::string> password;
  std::int64_t database = 0;
  std::string client_name;  // empty: none
};

// One connection's greeting: built, sent in one write, and its replies checked in order.
class Handshake {
 public:
  static Handshake for_commands(const Login& login);

  // For the subscription to the channel `inbox`.
  static Handshake for_inbox(const Login& login, const std::string& inbox);

  // The bytes to send first. May be called once.
  std::string take_bytes() { return std::move(bytes_); }

  // Takes the next reply. An error says that the connection cannot be used.
  base::Result<bool> on_reply(resp::ReplyView reply);

  bool done() const { return next_ == steps_.size(); }

 private:
  enum class Step : char { kAuthenticate, kSelect, kName, kProbe, kSubscribe };

  explicit Handshake(const Login& login);
  void add(Step step, std::initializer_list<std::string_view> command);

  std::string bytes_;
  std::string steps_;  // of Step: a handful, without a heap block
  std::size_t next_ = 0;
};

}  // namespace dsync::client
