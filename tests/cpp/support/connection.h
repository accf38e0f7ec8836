// A plain connection to a server, for what a test wants to know or do besides dsync.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "driver/socket.h"
#include "resp/reader.h"
#include "resp/reply.h"

namespace dsync::tests {

// Every call blocks, and throws when the server is gone or silent for long.
class Connection {
 public:
  explicit Connection(const driver::Address& address);

  // Sends a command and gives its reply.
  resp::Reply ask(const std::vector<std::string>& words);

  // The same, as show() writes it.
  std::string operator()(const std::vector<std::string>& words);
  std::int64_t integer(const std::vector<std::string>& words);

  // The next reply or message.
  resp::Reply read();

  // All keys of the database, in order.
  std::vector<std::string> keys();

 private:
  driver::Descriptor socket_;
  resp::Reader reader_;
};

}  // namespace dsync::tests
