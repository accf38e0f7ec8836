// The commands of one lock or semaphore, as dsync sends them, or the least that any needs. All are
// appended only, never flushed.
#pragma once

#include <string>
#include <string_view>

#include "connection.h"

namespace dsync::bench {

// The defaults of dsync, in milliseconds.
inline constexpr std::string_view kLease = "30000";
inline constexpr std::string_view kFirstLease = "5000";
inline constexpr std::string_view kKept = "630000";

// One lock object: the names that each of its commands carries.
struct Lock {
  std::string lock, queue, fence;
  std::string token;

  // `key` is what a caller would pass to DistributedLock, `number` makes the token unique.
  Lock(std::string_view key, std::string_view session, int number);
};

// The same for a semaphore, whose permits need no token.
struct Semaphore {
  std::string slots, queue, permits, limit;
  std::string value;  // how many may have it at a time

  Semaphore(std::string_view key, std::string_view session, int number);
};

// Each of the following classes is one way to take and to give back a `Target`. `operation` is
// "<session>:<number>", the same for an acquire and its release.

// The scripts of dsync with the arguments that dsync gives them by default.
class LockScripts {
 public:
  using Target = Lock;

  explicit LockScripts(Connection& connection);
  void Acquire(Connection& connection, const Lock& lock, std::string_view operation) const;
  void Release(Connection& connection, const Lock& lock, std::string_view operation) const;

 private:
  std::string acquire_, release_;
};

// SET NX PX with a counter, and compare-and-delete: no queue, no wake-up, no idempotence.
class BareLockScripts {
 public:
  using Target = Lock;

  explicit BareLockScripts(Connection& connection);
  void Acquire(Connection& connection, const Lock& lock, std::string_view operation) const;
  void Release(Connection& connection, const Lock& lock, std::string_view operation) const;

 private:
  std::string acquire_, release_;
};

// As LockScripts, for semaphores.
class SemaphoreScripts {
 public:
  using Target = Semaphore;

  explicit SemaphoreScripts(Connection& connection);
  void Acquire(Connection& connection, const Semaphore& semaphore,
               std::string_view operation) const;
  void Release(Connection& connection, const Semaphore& semaphore,
               std::string_view operation) const;

 private:
  std::string acquire_, release_;
};

// A sorted set of permits that expire by the server's clock: no queue, no wake-up, and no counter
// that old processes could read.
class BareSemaphoreScripts {
 public:
  using Target = Semaphore;

  explicit BareSemaphoreScripts(Connection& connection);
  void Acquire(Connection& connection, const Semaphore& semaphore,
               std::string_view operation) const;
  void Release(Connection& connection, const Semaphore& semaphore,
               std::string_view operation) const;

 private:
  std::string acquire_, release_;
};

}  // namespace dsync::bench
