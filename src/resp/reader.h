// Bytes of the server, cut into replies.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "resp/reply.h"

struct redisReader;

namespace dsync::resp {

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
  std::unique_ptr<redisReader, Free> raw_;
};

}  // namespace dsync::resp
