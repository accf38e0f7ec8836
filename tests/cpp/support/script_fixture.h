// Scripts called directly, as their headers say, against a real server.
#pragma once

#include <string>
#include <vector>

#include "client/scripts.h"
#include "support/server_fixture.h"

namespace dsync::tests {

class ScriptTest : public ServerTest {
 protected:
  using Texts = std::vector<std::string>;

  std::string run(const client::Script& script, const Texts& keys, const Texts& arguments);

  // Of "[1, -2, 3]".
  static std::vector<std::int64_t> numbers_in(const std::string& shown);
  // The fencing token in "'1700000000000000'".
  static std::int64_t fence_in(const std::string& shown);

  std::int64_t server_us();
  std::int64_t server_ms() { return server_us() / 1000; }

  // The members of a sorted set, in order.
  Texts members(const std::string& key);
  std::int64_t score(const std::string& key, const std::string& member);

  // Everything that the server knows.
  Texts state();
  void make_list(const std::string& key);
  void expect_wrong_type(const std::string& reply, const Texts& before);
  // From here on the server refuses what needs memory.
  void fill_memory() { redis_({"CONFIG", "SET", "maxmemory", "1"}); }

  // Hears what is published on channels.
  class Listener : public Connection {
   public:
    Listener(const RedisServer& server, const Texts& channels);
    std::string message() { return std::string(read().view().at(2).text()); }
    // Everything that was published so far and not read yet.
    Texts messages(Connection& redis);

   private:
    std::string last_channel_;
  };

  // A session that is alive, as the scripts see it.
  struct Inbox : Listener {
    Inbox(const RedisServer& server, const std::string& session)
        : Listener(server, {"dsync:inbox:" + session}) {}
  };
};

}  // namespace dsync::tests
