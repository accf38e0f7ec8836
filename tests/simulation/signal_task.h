// Programs that use a barrier or an event: some wait, others call.
#pragma once

#include <string>

#include "node.h"

namespace dsync::simulation {

// Waits for the other parties of a barrier, or for an event, round after round.
class SignalTask : public Task {
 public:
  SignalTask(World& world, Node& node, std::string key);

  void act() override;
  void completed(const primitives::Completion& completion) override;
  bool is_done() const override { return state_ == State::kDone; }
  void crashed() override { state_ = State::kDone; }

 private:
  enum class State { kIdle, kWaiting, kDone };

  void wait();
  void end_round();

  World& world_;
  Node& node_;
  const std::string key_;
  State state_ = State::kIdle;
  int rounds_;
  primitives::OperationId id_ = 0;
  base::Duration began_{};
};

// Resets a barrier, or sets and clears an event. A helper does so until nobody waits any more.
class CallTask : public Task {
 public:
  CallTask(World& world, Node& node, std::string key, bool is_helper);

  void act() override;
  void completed(const primitives::Completion& completion) override;
  bool is_done() const override { return is_done_; }
  bool is_helper() const override { return is_helper_; }
  void crashed() override { is_done_ = true; }

 private:
  World& world_;
  Node& node_;
  const std::string key_;
  const bool is_helper_;
  bool is_done_ = false;
  int rounds_;
  primitives::OperationId id_ = 0;
};

}  // namespace dsync::simulation
