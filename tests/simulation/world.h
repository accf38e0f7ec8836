// One schedule: the modelled server, the network, the processes with their tasks, and chance.
#pragma once

#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "condition_checks.h"
#include "lease_checks.h"
#include "network.h"
#include "node.h"
#include "plan.h"
#include "random.h"
#include "script_engine.h"
#include "server.h"
#include "signal_checks.h"
#include "timeline.h"

namespace dsync::simulation {

std::string show(base::Duration duration);

class World : private Server::TimeSource, private ServerObserver {
 public:
  World(std::uint64_t seed, const std::vector<Subject>& subjects, ScriptEngine& engine,
        bool is_traced);
  ~World() override;

  // Throws Violation where the schedule shows an error.
  void run();

  bool server_is_up() const { return server_is_up_; }
  // The faults are over, and tasks begin nothing new.
  bool is_calm() const { return calm_; }
  // Whether what the server counts may differ from what was done, through no fault of its own.
  bool has_lost_data() const { return has_lost_data_; }
  void note_doubt() { has_lost_data_ = true; }
  std::uint64_t steps() const { return steps_; }
  // For how long a process was held up at most so far.
  base::Duration longest_stop() const { return longest_stop_; }
  // The main keys of the primitives.
  const std::vector<std::string>& keys() const { return keys_; }
  LeaseChecks& leases() { return *leases_; }
  ConditionChecks& notifications() { return *notifications_; }
  BarrierChecks& barriers() { return *barriers_; }
  EventChecks& events() { return *events_; }
  // Whether all tasks have ended but those that are there for others.
  bool users_are_done() const;

  // `text` is called where somebody reads it.
  template <typename Text>
  void trace(std::string_view who, Text text) {
    if (is_traced_) std::cout << show(timeline.now()) << "  " << who << ": " << text() << '\n';
  }

 private:
  std::int64_t next_us() override;
  void before_script(const client::Script& script, Words keys, Words arguments) override;
  void after_script(const client::Script& script, Words keys, Words arguments,
                    const Value& reply) override;

  void start();
  Node& add_node();
  Node& spawn();
  void make_checks();
  template <typename Kept, typename Made = Kept>
  void add_checks(std::unique_ptr<Kept>& checks) {
    checks = std::make_unique<Made>(*this);
    checks_.push_back(checks.get());
  }
  std::unique_ptr<Task> make_task(Node& node);
  std::unique_ptr<Task> make_helper(Node& node, const std::string& key);
  Node& any_node();
  void suffer(Fault fault);
  void suffer_link(Fault fault);
  void lose_data(std::string_view key);
  void remove_some_key();
  void restart();
  void run_until(base::Duration end, const std::function<bool()>& done);
  bool tasks_are_done() const;
  bool all_rest() const;
  void begin_calm();
  void check_end();

  const bool is_traced_;
  bool server_is_up_ = true;
  bool calm_ = false;
  bool has_lost_data_ = false;
  base::Duration longest_stop_{};
  std::uint64_t steps_ = 0;

 public:
  Random random;
  const Plan plan;
  Timeline timeline;
  Server server;
  Network network;

 private:
  std::vector<std::string> keys_;
  std::unique_ptr<LeaseChecks> leases_;
  std::unique_ptr<ConditionChecks> notifications_;
  std::unique_ptr<BarrierChecks> barriers_;
  std::unique_ptr<EventChecks> events_;
  std::vector<Checks*> checks_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace dsync::simulation
