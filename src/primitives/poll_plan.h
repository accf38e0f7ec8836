// Who of a session's waiters asks the server again, and when. Messages tell of every release;
// asking finds what none tells: a holder whose lease ran out, an old process that freed a lock
// silently, a message that was lost, a server that came back empty.
#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "primitives/claim.h"

namespace dsync::primitives {

class PollPlan {
 public:
  explicit PollPlan(std::uint32_t seed) : random_(seed) {}

  // What the server said of a queued operation.
  struct Place {
    base::Duration delay;  // what the caller wants between two questions, were it alone
    std::int64_t rank;     // 1 is next
    std::int64_t length;   // of the whole queue
    base::Duration ttl;    // of the holder's lease; negative: it has none
  };

  // Counts `id` among the waiters for `key`, and plans the next question for that key. So the
  // questions of all processes together stay about one in `delay`, however many wait.
  void queued(const std::string& key, OperationId id, const Place& place, base::Time now);
  void remove(const std::string& key, OperationId id);
  void clear();

  // The oldest waiter of each key that is due.
  std::vector<OperationId> take_due(base::Time now);
  base::Time next() const { return times_.empty() ? base::kNever : times_.begin()->first; }

  // All waiters for the key.
  std::vector<OperationId> waiters(const std::string& key) const;

 private:
  struct Key {
    std::set<OperationId> waiters;
    base::Duration delay{};  // the shortest that anybody wanted
    base::Duration interval{};
    base::Time at = base::kNever;
  };
  using Keys = std::map<std::string, Key, std::less<>>;

  void schedule(Keys::value_type& entry, base::Time at);

  Keys keys_;
  std::set<std::pair<base::Time, Keys::value_type*>> times_;
  std::minstd_rand random_;
};

}  // namespace dsync::primitives
