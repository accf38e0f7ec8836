// Programs that use a condition: some wait for notifications, others notify.
#pragma once

#include "leased_task.h"

namespace dsync::simulation {

// Waits with the lock or without, and may be cancelled meanwhile.
class WaiterTask : public LeasedTask {
 public:
  using LeasedTask::LeasedTask;
  void completed(const primitives::Completion& completion) override;

 protected:
  void acquire() override;
  void use() override;
  void act_elsewhere() override;

 private:
  void wait_for(OperationId id);
  void on_woken();

  OperationId former_ = 0;  // what held the lock before it waited
  bool has_lock_ = false;
  bool has_waited_ = false;  // in this round
  bool is_cancelled_ = false;
};

class NotifierTask : public LeasedTask {
 public:
  using LeasedTask::LeasedTask;
  void completed(const primitives::Completion& completion) override;

 protected:
  void acquire() override;
  void use() override;
  virtual std::int64_t count();

 private:
  OperationId call_ = 0;
};

// Notifies all, again and again, until nobody waits any more.
class FinisherTask : public NotifierTask {
 public:
  using NotifierTask::NotifierTask;
  bool is_helper() const override { return true; }

 protected:
  bool goes_on() const override;
  base::Duration calm_pause() const override { return std::chrono::seconds(1); }
  std::int64_t count() override { return -1; }
};

}  // namespace dsync::simulation
