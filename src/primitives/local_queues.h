// Who of one session wants a lock, and who has it: what one of them frees, the next may get without
// the server, as long as that takes nothing from other processes but a moment.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"
#include "primitives/claim.h"

namespace dsync::primitives {

// How often in a row a lock may change hands here after a grant of the server. Each takes a fencing
// token of its own, so count_fence.lua leaves that many free behind each of its grants.
inline constexpr int kLocalTurns = 16;

// How long after such a grant it may: others that asked before may have to wait for so long.
inline constexpr base::Duration kLocalTime = std::chrono::milliseconds(5);

// How long a waiter stays away from the server's queue where it may inherit.
inline constexpr base::Duration kStayTime = std::chrono::milliseconds(20);

struct LocalQueue {
  int users = 0;                     // operations that refer to it
  OperationId holder = 0;            // 0: nobody here
  std::vector<OperationId> waiters;  // oldest first, so the ids grow

  OperationId oldest() const { return waiters.empty() ? 0 : waiters.front(); }
  void remove(OperationId waiter);
};

class LocalQueues {
 public:
  // That of a lock. It stays where it is until all of its users have left.
  LocalQueue& join(const std::string& key);
  void leave(const std::string& key, LocalQueue& queue);

  // Notes that `id` is not to stay away from the server after `until`, which never gets earlier.
  void stay_until(base::Time until, OperationId id) { staying_.emplace_back(until, id); }
  std::vector<OperationId> take_due(base::Time now);
  base::Time next() const { return staying_.empty() ? base::kNever : staying_.front().first; }

  void clear();

 private:
  std::unordered_map<std::string, LocalQueue> queues_;
  std::deque<std::pair<base::Time, OperationId>> staying_;
};

}  // namespace dsync::primitives
