// A model of one Redis server: keys, scripts, channels and connections, without I/O. It executes
// the scripts of lua/ themselves.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "database.h"
#include "script_engine.h"
#include "value.h"

namespace dsync::simulation {

using ConnectionId = std::size_t;

// Sees every script call. Both are called with the server as it was before or is after the call.
class ServerObserver {
 public:
  virtual ~ServerObserver() = default;
  virtual void before_script(const client::Script& script, Words keys, Words arguments) = 0;
  virtual void after_script(const client::Script& script, Words keys, Words arguments,
                            const Value& reply) = 0;
};

class Server : private ScriptHost {
 public:
  // How the server knows the time, in microseconds: asked once before each command. It must be more
  // than all that the server has shown before.
  class TimeSource {
   public:
    virtual ~TimeSource() = default;
    virtual std::int64_t next_us() = 0;
  };

  // All three must outlive the server; the observer may be null.
  Server(ScriptEngine& engine, TimeSource& time, ServerObserver* observer)
      : engine_(engine), time_(time), observer_(observer) {}

  void open(ConnectionId id) { connections_.try_emplace(id); }
  void close(ConnectionId id);
  bool is_open(ConnectionId id) const { return connections_.contains(id); }

  // Executes what has come in whole over the connection.
  void receive(ConnectionId id, std::string_view bytes);

  // What the server has to send since the last call: replies and messages, in the order of
  // connections.
  std::vector<std::pair<ConnectionId, std::string>> take_output();

  // One command, as if over a connection of its own that it needs for nothing else.
  Value execute(Words words);

  // Faults.
  void flush_all() { database_.clear(); }
  void flush_scripts() { loaded_.clear(); }
  void lose_everything();  // A restart: the connections are gone as well.
  void set_loading(bool loading) { loading_ = loading; }
  // Whether TIME stands still while a script runs, as it does since Redis 7.2. What has an end of
  // its life never ends within a script.
  void set_frozen_time(bool frozen) { frozen_time_ = frozen; }

  const Database& database() const { return database_; }
  std::int64_t now_us() const { return now_us_; }
  std::int64_t shown_us() const { return shown_us_; }
  bool has_subscriber(std::string_view channel) const { return subscribers(channel) > 0; }

 private:
  struct Connection {
    std::string input;
    std::string output;
    std::set<std::string, std::less<>> channels;
  };

  Value call(Words words) override;
  void answer(Connection& connection, Words words);
  void subscribe(Connection& connection, Words words, bool begins);
  Value run_script(Words words);
  Value time();
  Value publish(std::string_view channel, std::string_view text);
  Value count_subscribers(Words channels) const;
  std::int64_t subscribers(std::string_view channel) const;

  ScriptEngine& engine_;
  TimeSource& time_;
  ServerObserver* observer_;
  Database database_;
  std::map<ConnectionId, Connection> connections_;
  std::set<std::string_view> loaded_;  // SHA1s of scripts
  std::int64_t now_us_ = 0;            // when the current command, or script, began
  std::int64_t shown_us_ = 0;          // by the latest TIME
  bool loading_ = false;
  bool frozen_time_ = false;
};

}  // namespace dsync::simulation
