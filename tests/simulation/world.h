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

#include "checks.h"
#include "network.h"
#include "node.h"
#include "plan.h"
#include "random.h"
#include "script_engine.h"
#include "server.h"
#include "timeline.h"

namespace dsync::simulation {

std::string show(base::Duration duration);

class World : private Server::TimeSource {
 public:
  World(std::uint64_t seed, const std::vector<Subject>& subjects, ScriptEngine& engine,
        bool is_traced);
  ~World() override;

  // Throws Violation where the schedule shows an error.
  void run();

  bool server_is_up() const { return server_is_up_; }
  // The faults are over, and tasks begin nothing new.
  bool is_calm() const { return calm_; }
  std::uint64_t steps() const { return steps_; }

  // `text` is called where somebody reads it.
  template <typename Text>
  void trace(std::string_view who, Text text) {
    if (is_traced_) std::cout << show(timeline.now()) << "  " << who << ": " << text() << '\n';
  }

 private:
  std::int64_t next_us() override;

  void start();
  Node& spawn();
  std::unique_ptr<Task> make_task(Node& node);
  Node& any_node();
  void suffer(Fault fault);
  void suffer_link(Fault fault);
  void remove_some_key();
  void restart();
  void run_until(base::Duration end, const std::function<bool()>& done);
  bool tasks_are_done() const;
  bool all_rest() const;
  void begin_calm();
  void expect_nothing_left();

  const bool is_traced_;
  bool server_is_up_ = true;
  bool calm_ = false;
  std::uint64_t steps_ = 0;

 public:
  Random random;
  const Plan plan;
  Timeline timeline;
  Checks checks;
  Server server;
  Network network;

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace dsync::simulation
