// A program that uses a lock or a semaphore: acquires, holds for a while, and ends that in one of
// several ways.
#pragma once

#include <string>

#include "node.h"

namespace dsync::simulation {

class LeasedTask : public Task {
 public:
  LeasedTask(World& world, Node& node, std::string key, std::string token);

  void act() override;
  void completed(const primitives::Completion& completion) override;
  void lost(primitives::OperationId id) override;
  void crashed() override;
  bool is_done() const override { return state_ == State::kDone; }

 protected:
  using OperationId = primitives::OperationId;
  // kElsewhere is for what only a derived task does.
  enum class State { kIdle, kWaiting, kConfirming, kHolding, kElsewhere, kReleasing, kDone };

  // Begins a round.
  virtual void acquire();
  // What the lock is held for; the end of the hold, if for nothing else.
  virtual void use() { end_hold(); }
  // Its time has come in kElsewhere.
  virtual void act_elsewhere() {}
  // How long it rests between two rounds when all is calm.
  virtual base::Duration calm_pause() const { return {}; }
  // Whether another round is to come.
  virtual bool goes_on() const;

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

 private:
  void on_over_limit();
  bool is_permit() const;
  bool is_counted() const;  // a permit without lease
  void add_slot();

  OperationId question_ = 0;
};

}  // namespace dsync::simulation
