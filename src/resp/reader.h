// Bytes of the server, cut into replies.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "resp/reply.h"

struct redisReader;

namespace dsync::resp {

// What a reply may be at most. Scripts answer a line or a flat list of some hundred numbers, and
// the longest message names the parties of a barrier in one session, or comes with the name of a
// channel, for which 1 MiB is enough. So whatever a server says, one connection costs 80 MB at
// worst.
inline constexpr std::size_t kLongestReply = 2 << 20;  // bytes
inline constexpr std::size_t kMostElements = 1 << 10;  // of one array
inline constexpr std::size_t kMostLevels = 7;          // of arrays in arrays

// Wraps hiredis' reader for one connection. After an error it stays in that error: the place where
// the next reply starts is lost, so the connection must be given up.
class Reader {
 public:
  Reader();

  // Takes bytes as they come, cut anywhere.
  void feed(std::span<const char> bytes);

  // The next whole reply, or nothing until more bytes are fed.
  base::Result<std::optional<Reply>> next();

 private:
  struct Free {
    void operator()(redisReader* raw) const;
  };
  std::size_t unread() const;

  std::unique_ptr<redisReader, Free> raw_;
  std::size_t consumed_ = 0;  // bytes of a reply that is not whole yet
};

}  // namespace dsync::resp
