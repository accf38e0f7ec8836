#include "command.h"

#include <array>
#include <iomanip>
#include <sstream>

#include "client/scripts.h"

namespace dsync::bench {
namespace {

// The defaults of DistributedLock, in milliseconds.
constexpr std::string_view kLease = "30000";
constexpr std::string_view kFirstLease = "5000";
constexpr std::string_view kKept = "630000";

constexpr std::string_view kBareAcquire =
    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then "
    "return redis.call('INCR', KEYS[2]) end return 0";
constexpr std::string_view kBareRelease =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

}  // namespace

Lock::Lock(std::string_view key, std::string_view session, int number)
    : lock("distributed_lock_" + std::string(key)),
      queue("{" + lock + "}:dsync:queue"),
      fence("{" + lock + "}:dsync:fence") {
  // A token of dsync is the text of a UUID: only its length matters here.
  std::ostringstream text;
  text << "00000000-0000-4000-8000-" << std::setfill('0') << std::setw(12)
       << (std::string(session.substr(0, 6)) + std::to_string(number));
  token = text.str();
}

DsyncProtocol::DsyncProtocol(Connection& connection)
    : acquire_(LoadScript(connection, client::kLockAcquire.source)),
      release_(LoadScript(connection, client::kLockRelease.source)) {}

void DsyncProtocol::Acquire(Connection& connection, const Lock& lock,
                            std::string_view operation) const {
  const std::array<std::string_view, 11> command{"EVALSHA",  acquire_,    "3",        lock.lock,
                                                 lock.queue, lock.fence,  lock.token, operation,
                                                 kLease,     kFirstLease, kKept};
  connection.Append(command);
}

void DsyncProtocol::Release(Connection& connection, const Lock& lock,
                            std::string_view operation) const {
  const std::array<std::string_view, 9> command{"EVALSHA",  release_,   "3",
                                                lock.lock,  lock.queue, lock.fence,
                                                lock.token, operation,  kFirstLease};
  connection.Append(command);
}

BareProtocol::BareProtocol(Connection& connection)
    : acquire_(LoadScript(connection, kBareAcquire)),
      release_(LoadScript(connection, kBareRelease)) {}

void BareProtocol::Acquire(Connection& connection, const Lock& lock, std::string_view) const {
  const std::array<std::string_view, 7> command{"EVALSHA",  acquire_,   "2",   lock.lock,
                                                lock.fence, lock.token, kLease};
  connection.Append(command);
}

void BareProtocol::Release(Connection& connection, const Lock& lock, std::string_view) const {
  const std::array<std::string_view, 5> command{"EVALSHA", release_, "1", lock.lock, lock.token};
  connection.Append(command);
}

}  // namespace dsync::bench
