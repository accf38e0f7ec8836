// The commands of one lock, as dsync sends them, or the least that any lock needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "connection.h"

namespace dsync::bench {

// One lock object: the names that each of its commands carries.
struct Lock {
  std::string lock, queue, fence;
  std::string token;

  // `key` is what a caller would pass to DistributedLock, `number` makes the token unique.
  Lock(std::string_view key, std::string_view session, int number);
};

// How one kind of lock is taken and given back. Commands are appended only, never flushed.
class Protocol {
 public:
  virtual ~Protocol() = default;
  // `operation` is "<session>:<number>", the same for an acquire and its release.
  virtual void Acquire(Connection& connection, const Lock& lock,
                       std::string_view operation) const = 0;
  virtual void Release(Connection& connection, const Lock& lock,
                       std::string_view operation) const = 0;
};

// The scripts of dsync with the arguments that dsync gives them by default.
class DsyncProtocol : public Protocol {
 public:
  explicit DsyncProtocol(Connection& connection);
  void Acquire(Connection& connection, const Lock& lock, std::string_view operation) const override;
  void Release(Connection& connection, const Lock& lock, std::string_view operation) const override;

 private:
  std::string acquire_, release_;
};

// SET NX PX with a counter, and compare-and-delete: no queue, no wake-up, no idempotence.
class BareProtocol : public Protocol {
 public:
  explicit BareProtocol(Connection& connection);
  void Acquire(Connection& connection, const Lock& lock, std::string_view operation) const override;
  void Release(Connection& connection, const Lock& lock, std::string_view operation) const override;

 private:
  std::string acquire_, release_;
};

}  // namespace dsync::bench
