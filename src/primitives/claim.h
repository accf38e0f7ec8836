// What one operation asks of a primitive, and how long it surely has it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

#include "base/time.h"

namespace dsync::primitives {

using OperationId = std::uint64_t;

enum class Kind : std::uint8_t {
  kLock,
  kPermit,     // of a semaphore
  kCondition,  // waits for a notification
  kRelock,     // gives a lock back, waits for a notification, and takes the lock again
  kBarrier,
  kEvent,
};

inline constexpr base::Duration kNoExpiry = base::Duration::zero();

// A hand-over is a promise to somebody who has not answered yet: to a machine that vanished it must
// not cost a whole lease. The first renewal makes it full.
inline constexpr base::Duration kHandOverLease = std::chrono::seconds(5);

// How often a lock without expiry is looked at: it needs no renewal, but its holder wants to hear
// of a loss.
inline constexpr base::Duration kCheckInterval = std::chrono::seconds(10);

// Shared by the session's thread and the renewal thread; all but `id` and `valid_until` is
// constant.
struct Claim {
  std::atomic<OperationId> id{0};  // whose it is, now
  std::string key;                 // the main key, as it stands in Redis
  std::string token;               // of the lock object
  std::string operation;  // "<session>:<id>", as the scripts know it: of whom the server granted it
  base::Duration lease;   // kNoExpiry, or > 0
  bool renewed;           // whether the lease is renewed while the claim is held
  Kind kind = Kind::kLock;
  bool bounded = false;     // of a permit
  std::int64_t number = 0;  // the value of a semaphore, the parties of a barrier
  base::Duration window{};  // for old processes while a fleet migrates; zero: none
  std::atomic<base::Clock::rep> valid_until{0};

  // Whether a grant lasts until it is released or lost; other grants only need to be confirmed.
  bool is_held() const {
    return kind == Kind::kLock || kind == Kind::kRelock ||
           (kind == Kind::kPermit && lease != kNoExpiry);
  }

  base::Duration first_lease() const { return renewed ? std::min(lease, kHandOverLease) : lease; }

  // The end of a lease of `given` that began at `from`.
  base::Time lease_end(base::Time from, base::Duration given) const {
    return lease == kNoExpiry ? base::kNever : base::after(from, given);
  }

  // When a lease of `given` that began at `from` is to be renewed; kNever: not at all.
  base::Time next_renewal(base::Time from, base::Duration given) const {
    if (lease == kNoExpiry) return base::after(from, kCheckInterval);
    return renewed ? base::after(from, given / 3) : base::kNever;
  }

  // The end of the time in which the server surely still counts this claim as the holder.
  base::Time valid() const { return base::Time(base::Duration(valid_until.load())); }

  // Learns that the lease lasts until `time`; two truths of this kind never contradict each other.
  void extend_to(base::Time time) {
    const auto value = time.time_since_epoch().count();
    auto known = valid_until.load();
    while (known < value && !valid_until.compare_exchange_weak(known, value)) {
    }
  }

  void invalidate() { valid_until.store(0); }
};

}  // namespace dsync::primitives
