// What a program does with one primitive: a small state machine that is driven by its own timer and
// by what the core tells.
#pragma once

#include "primitives/operation.h"

namespace dsync::simulation {

class Task {
 public:
  virtual ~Task() = default;

  // The time that it asked for has come.
  virtual void act() = 0;
  virtual void completed(const primitives::Completion& completion) = 0;
  // What an operation of it held is lost, says the core.
  virtual void lost(primitives::OperationId) {}
  // Its process is gone.
  virtual void crashed() {}
  virtual bool is_done() const = 0;
  // Whether it is there for others, and goes on until they are done.
  virtual bool is_helper() const { return false; }
};

}  // namespace dsync::simulation
