// The commands of a condition and of a barrier, as dsync sends them. All are appended only, never
// flushed.
#pragma once

#include <string>
#include <string_view>

#include "command.h"
#include "connection.h"

namespace dsync::bench {

// One condition object: the names that its commands carry, and those of its lock.
struct Condition {
  Lock lock;
  std::string waiting, told, counter, reserved, done;
  std::string channel, listeners;

  Condition(std::string_view key, std::string_view session);
};

class ConditionScripts {
 public:
  explicit ConditionScripts(Connection& connection);

  // `former` is the operation that holds the lock; it is empty for a waiter without the lock.
  void Wait(Connection& connection, const Condition& condition, std::string_view operation,
            std::string_view former) const;
  // Tells that the waiter knows that it was woken.
  void Confirm(Connection& connection, const Condition& condition, std::string_view operation,
               bool with_lock) const;
  // Wakes one waiter in the name of `holder`; `operation` is that of the call.
  void Notify(Connection& connection, const Condition& condition, std::string_view operation,
              std::string_view holder) const;

 private:
  std::string wait_, leave_, notify_;
};

// A barrier and the number of its parties.
struct Barrier {
  std::string count, parties, ended, told, guard;
  std::string channel;
  std::string wanted;

  Barrier(std::string_view key, int parties);
};

class BarrierScripts {
 public:
  explicit BarrierScripts(Connection& connection);

  void Wait(Connection& connection, const Barrier& barrier, std::string_view operation) const;
  // Confirms that the party knows the outcome of its round.
  void Confirm(Connection& connection, const Barrier& barrier, std::string_view operation) const;

 private:
  std::string wait_, leave_;
};

}  // namespace dsync::bench
