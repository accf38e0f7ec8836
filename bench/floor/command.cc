#include "command.h"

#include <array>
#include <iomanip>
#include <sstream>

#include "client/scripts.h"
#include "primitives/names.h"

namespace dsync::bench {
namespace {

using primitives::name_beside;

// As bench.contenders has it.
constexpr std::string_view kSlots = "8";

constexpr std::string_view kBareLockAcquire =
    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then "
    "return redis.call('INCR', KEYS[2]) end return 0";
constexpr std::string_view kBareLockRelease =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

constexpr std::string_view kBareSemaphoreAcquire =
    "local clock = redis.call('TIME') "
    "local now = clock[1] * 1000 + math.floor(clock[2] / 1000) "
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) "
    "if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end "
    "return redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])";
constexpr std::string_view kBareSemaphoreRelease = "return redis.call('ZREM', KEYS[1], ARGV[1])";

}  // namespace

// ---- locks ----

Lock::Lock(std::string_view key, std::string_view session, int number)
    : lock("distributed_lock_" + std::string(key)),
      queue(name_beside(lock, primitives::kQueueSuffix)),
      fence(name_beside(lock, primitives::kFenceSuffix)) {
  // A token of dsync is the text of a UUID: only its length matters here.
  std::ostringstream text;
  text << "00000000-0000-4000-8000-" << std::setfill('0') << std::setw(12)
       << (std::string(session.substr(0, 6)) + std::to_string(number));
  token = text.str();
}

LockScripts::LockScripts(Connection& connection)
    : acquire_(LoadScript(connection, client::kLockAcquire.source)),
      release_(LoadScript(connection, client::kLockRelease.source)) {}

void LockScripts::Acquire(Connection& connection, const Lock& lock,
                          std::string_view operation) const {
  const std::array<std::string_view, 11> command{"EVALSHA",  acquire_,    "3",        lock.lock,
                                                 lock.queue, lock.fence,  lock.token, operation,
                                                 kLease,     kFirstLease, kKept};
  connection.Append(command);
}

void LockScripts::Release(Connection& connection, const Lock& lock,
                          std::string_view operation) const {
  const std::array<std::string_view, 9> command{"EVALSHA",  release_,   "3",
                                                lock.lock,  lock.queue, lock.fence,
                                                lock.token, operation,  kFirstLease};
  connection.Append(command);
}

BareLockScripts::BareLockScripts(Connection& connection)
    : acquire_(LoadScript(connection, kBareLockAcquire)),
      release_(LoadScript(connection, kBareLockRelease)) {}

void BareLockScripts::Acquire(Connection& connection, const Lock& lock, std::string_view) const {
  const std::array<std::string_view, 7> command{"EVALSHA",  acquire_,   "2",   lock.lock,
                                                lock.fence, lock.token, kLease};
  connection.Append(command);
}

void BareLockScripts::Release(Connection& connection, const Lock& lock, std::string_view) const {
  const std::array<std::string_view, 5> command{"EVALSHA", release_, "1", lock.lock, lock.token};
  connection.Append(command);
}

// ---- semaphores ----

Semaphore::Semaphore(std::string_view key, std::string_view, int)
    : slots("distributed_semaphore_" + std::string(key)),
      queue(name_beside(slots, primitives::kQueueSuffix)),
      permits(name_beside(slots, primitives::kPermitsSuffix)),
      limit(primitives::limit_of(slots)),
      value(kSlots) {}

SemaphoreScripts::SemaphoreScripts(Connection& connection)
    : acquire_(LoadScript(connection, client::kSemaphoreAcquire.source)),
      release_(LoadScript(connection, client::kSemaphoreRelease.source)) {}

void SemaphoreScripts::Acquire(Connection& connection, const Semaphore& semaphore,
                               std::string_view operation) const {
  const std::array<std::string_view, 10> command{
      "EVALSHA",         acquire_,  "3",    semaphore.slots, semaphore.queue,
      semaphore.permits, operation, kLease, kFirstLease,     semaphore.value};
  connection.Append(command);
}

void SemaphoreScripts::Release(Connection& connection, const Semaphore& semaphore,
                               std::string_view operation) const {
  const std::array<std::string_view, 11> command{
      "EVALSHA",       release_,  "4",         semaphore.slots, semaphore.queue, semaphore.permits,
      semaphore.limit, operation, kFirstLease, semaphore.value, "release"};
  connection.Append(command);
}

BareSemaphoreScripts::BareSemaphoreScripts(Connection& connection)
    : acquire_(LoadScript(connection, kBareSemaphoreAcquire)),
      release_(LoadScript(connection, kBareSemaphoreRelease)) {}

void BareSemaphoreScripts::Acquire(Connection& connection, const Semaphore& semaphore,
                                   std::string_view operation) const {
  const std::array<std::string_view, 7> command{"EVALSHA", acquire_, "1",   semaphore.permits,
                                                operation, kLease,   kSlots};
  connection.Append(command);
}

void BareSemaphoreScripts::Release(Connection& connection, const Semaphore& semaphore,
                                   std::string_view operation) const {
  const std::array<std::string_view, 5> command{"EVALSHA", release_, "1", semaphore.permits,
                                                operation};
  connection.Append(command);
}

}  // namespace dsync::bench
