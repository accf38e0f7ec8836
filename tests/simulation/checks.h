// What must be true after every step. Each rule says what documented behaviour limits it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "primitives/operation.h"
#include "server.h"

namespace dsync::simulation {

class Node;
class World;

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Checks : public ServerObserver {
 public:
  using OperationId = primitives::OperationId;

  explicit Checks(World& world) : world_(world) {}

  // ---- from the server ----

  void before_script(const client::Script& script, Words keys, Words arguments) override;
  void after_script(const client::Script& script, Words keys, Words arguments,
                    const Value& reply) override;
  // The server is about to lose that key; empty: all that it has.
  void lost_data(std::string_view key);
  bool has_lost_data() const { return epoch_of_all_ > 0 || !epochs_.empty(); }

  // ---- from the tasks ----

  // What a client believes that it has. It stays so until end_hold(), but counts only as long as
  // the core says so.
  void begin_hold(Node& node, OperationId id, const std::string& key);
  void end_hold(Node& node, OperationId id);
  // The core says that a hold is over, or the server that nothing was held.
  void hold_was_lost(Node& node, OperationId id);
  void node_is_gone(Node& node);

  // After each step.
  void check();

 private:
  struct Hold {
    Node* node;
    OperationId id;
    std::string key;
    std::uint64_t epoch;              // the losses of data before its grant
    base::Time valid{};               // until when it was believed at the last look
    base::Time limit = base::kNever;  // where its data was lost: when it must have been heard of
  };
  struct Grant {
    std::string digits;
    std::uint64_t epoch;
  };
  // Of a lock, as the server has it.
  struct Look {
    bool is_taken = false;
    std::string fence{};
    SortedSet queue{};
  };

  static std::string name_of(const Hold& hold);
  void observe_lock(std::string_view script, Words keys);
  void check_grant(const std::string& key, Words keys, const std::string& fence);
  void check_turn(const std::string& operation, Words keys);
  bool anybody_waits(const SortedSet& queue) const;
  bool is_connected(std::string_view member) const;
  Look look(Words keys) const;
  std::uint64_t epoch(std::string_view key) const;
  void limit_belief(Hold& hold) const;
  std::vector<Hold>::iterator find(Node& node, OperationId id);

  World& world_;
  Look before_;
  std::string own_;  // the operation that the script is about
  std::map<std::string, std::uint64_t, std::less<>> epochs_;
  std::uint64_t epoch_of_all_ = 0;
  std::map<std::string, std::string, std::less<>> last_digits_;    // by lock
  std::map<std::string, std::vector<Grant>, std::less<>> grants_;  // by operation
  std::vector<Hold> holds_;
};

}  // namespace dsync::simulation
