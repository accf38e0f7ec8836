// A connection to the server under test: hiredis with ownership, and nothing more.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace dsync::bench {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

// Every failure ends the program.
class Connection {
 public:
  // Connects to the loopback address.
  explicit Connection(int port);

  // Adds a command to what the next Flush() writes; nothing is sent yet.
  void Append(std::span<const std::string_view> arguments);
  // Writes all that was appended: one system call unless the socket is full.
  void Flush();
  // Waits for bytes of the server and reads them.
  void Read();
  // The next reply among what was read, or null.
  [[nodiscard]] Reply Next();
  // Sends one command and waits for its reply.
  Reply Call(std::span<const std::string_view> arguments);

  [[nodiscard]] int fd() const { return context_->fd; }

 private:
  std::unique_ptr<redisContext, FreeContext> context_;
};

// Loads a script and returns its SHA1 as the server sees it.
[[nodiscard]] std::string LoadScript(Connection& connection, std::string_view source);

}  // namespace dsync::bench
