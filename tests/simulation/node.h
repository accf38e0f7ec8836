// A process: one session with its renewal, the driver of both, a clock, and the tasks that use it.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "network.h"
#include "primitives/renewal.h"
#include "primitives/session.h"
#include "task.h"

namespace dsync::simulation {

class World;

class Node : public Endpoint {
 public:
  using OperationId = primitives::OperationId;

  Node(World& world, std::string name);
  ~Node() override;

  const std::string& name() const { return name_; }
  bool is_alive() const { return alive_; }
  primitives::Machine& machine() { return session_.machine(); }
  base::Time now() const { return local(base::Duration(0)); }

  // ---- for tasks ----

  void add(std::unique_ptr<Task> task, base::Duration delay);
  // The completion, and the loss, of an operation go to `task`.
  void route(OperationId id, Task& task) { owners_[id] = &task; }
  // Has `task` act after `delay`, instead of what was planned before.
  void plan(Task& task, base::Duration delay);
  void forget_plan(Task& task) { ++plans_[&task]; }
  const std::vector<std::unique_ptr<Task>>& tasks() const { return tasks_; }
  // What it asked of the machine leaves after that; for those who call from outside of act().
  void settle();

  // Whether nothing is on its way to the server.
  bool rests() { return !machine().wants_link(false); }

  // ---- faults ----

  void crash();
  void stop(base::Duration time);   // the whole process
  void block(base::Duration time);  // the event loop, but not the renewal
  std::optional<ConnectionId> connection(std::size_t which) const { return links_.at(which); }

  // From the network.
  void received(ConnectionId id, std::string bytes) override;
  void closed(ConnectionId id) override;

 private:
  enum LinkIndex : std::size_t { kCommands, kInbox, kRenewal };

  base::Time local(base::Duration later) const;
  base::Duration true_time(base::Time time) const;

  // Lets it happen now, or when the process, or the session in it, runs again.
  void run_session(std::function<void()> action);
  void run_renewal(std::function<void()> action);
  void resume();

  void deliver();
  void write(LinkIndex index, client::Client& client);
  void drop(LinkIndex index);

  void open_links();
  void link_open(LinkIndex index, std::uint64_t attempt);
  void links_failed();
  void on_links_lost();
  void set_timer();

  void step_renewal();
  void connect_renewal();
  void drop_renewal();
  void set_renewal_timer();

  World& world_;
  const std::string name_;
  base::Duration offset_;
  std::int64_t drift_;  // its clock gains one part in so many; 0: none
  bool alive_ = true;
  base::Duration stopped_until_{};
  base::Duration blocked_until_{};
  std::vector<std::function<void()>> session_backlog_;
  std::vector<std::function<void()>> renewal_backlog_;

  std::shared_ptr<primitives::LeaseTable> table_ = std::make_shared<primitives::LeaseTable>();
  std::shared_ptr<primitives::LossInbox> losses_;
  primitives::Session session_;
  primitives::Renewal renewal_{table_};
  std::array<std::optional<ConnectionId>, 3> links_;

  bool opening_ = false;
  std::uint64_t attempt_ = 0;
  int failures_ = 0;
  base::Duration timer_ = base::Duration::max();

  bool renewal_opening_ = false;
  bool renewal_wanted_ = false;
  int renewal_failures_ = 0;
  base::Duration renewal_next_attempt_{};
  base::Duration renewal_timer_ = base::Duration::max();

  std::vector<std::unique_ptr<Task>> tasks_;
  std::unordered_map<OperationId, Task*> owners_;
  std::unordered_map<Task*, std::uint64_t> plans_;
};

}  // namespace dsync::simulation
