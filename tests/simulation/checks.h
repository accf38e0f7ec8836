// What must be true after every step. Each rule says what documented behaviour limits it.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "server.h"

namespace dsync::simulation {

class Node;
class World;

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The rules about one kind of primitive.
class Checks : public ServerObserver {
 public:
  explicit Checks(World& world) : world_(world) {}

  void before_script(const client::Script&, Words, Words) override {}
  void after_script(const client::Script&, Words, Words, const Value&) override {}

  // The server is about to lose that key; empty: all that it has.
  virtual void lose_data(std::string_view) {}
  virtual void node_is_gone(Node&) {}
  // After each step.
  virtual void check() {}
  // When everything is over.
  virtual void check_end() {}

 protected:
  // Whether a message would reach the session of an operation, "<session>:<number>…".
  bool is_connected(std::string_view operation) const;
  // The queue of a lock or semaphore, or what else is a sorted set.
  SortedSet members(std::string_view key) const;
  const std::string* text(std::string_view key) const;
  // First come, first served, by the order in which the server queued them. Those that are not
  // connected lose their turn: a message could not reach them. `operation` has got what those of
  // `before` waited for, and those of `after` still do.
  void check_turn(std::string_view operation, const SortedSet& before,
                  const SortedSet& after) const;
  bool anybody_waits(const SortedSet& queue) const;

  World& world_;
};

// "<operation> …" → "<operation>"
std::string_view operation_in(std::string_view member);

}  // namespace dsync::simulation
