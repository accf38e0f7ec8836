// A real server for one test: it keeps nothing on disk, and dies with the test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "driver/socket.h"

namespace dsync::tests {

class RedisServer {
 public:
  // `options` are further arguments of redis-server. Throws when it does not start.
  explicit RedisServer(std::vector<std::string> options = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  driver::Address unix_address() const { return {"", 0, directory_ + "/socket"}; }
  driver::Address tcp_address() const { return {"127.0.0.1", port_, ""}; }

  // Ends it at once, as a crash would, and starts it again at the same addresses, without any data.
  void kill();
  void start();

  // Holds it up, and lets it go on.
  void freeze();
  void thaw();

 private:
  // Returns what the server wrote if it ended before it was ready.
  std::string try_start();

  std::vector<std::string> options_;
  std::string directory_;
  int port_ = 0;
  pid_t process_ = 0;
  driver::Descriptor log_;
};

}  // namespace dsync::tests
