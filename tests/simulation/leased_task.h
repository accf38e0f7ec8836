// A program that uses a lock: acquires, holds for a while, and ends that in one of several ways.
#pragma once

#include <string>

#include "node.h"

namespace dsync::simulation {

class LockTask : public Task {
 public:
  LockTask(World& world, Node& node, std::string key, std::string token);

  void act() override;
  void completed(const primitives::Completion& completion) override;
  void lost(primitives::OperationId id) override;
  void crashed() override;
  bool is_done() const override { return state_ == State::kDone; }

 private:
  using OperationId = primitives::OperationId;
  enum class State { kIdle, kWaiting, kConfirming, kHolding, kReleasing, kDone };

  void acquire();
  void hold();
  void end_hold();
  void release();
  void end_round();
  void on_granted();

  World& world_;
  Node& node_;
  const std::string key_;
  const std::string token_;
  State state_ = State::kIdle;
  int rounds_;
  OperationId id_ = 0;
  OperationId question_ = 0;
};

}  // namespace dsync::simulation
