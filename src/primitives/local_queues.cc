#include "primitives/local_queues.h"

#include <algorithm>

namespace dsync::primitives {

void LocalQueue::remove(OperationId waiter) {
  const auto it = std::ranges::lower_bound(waiters, waiter);
  if (it != waiters.end() && *it == waiter) waiters.erase(it);
}

LocalQueue& LocalQueues::join(const std::string& key) {
  auto& queue = queues_[key];
  ++queue.users;
  return queue;
}

void LocalQueues::leave(const std::string& key, LocalQueue& queue) {
  if (--queue.users == 0) queues_.erase(key);
}

std::vector<OperationId> LocalQueues::take_due(base::Time now) {
  std::vector<OperationId> due;
  while (next() <= now) {
    due.push_back(staying_.front().second);
    staying_.pop_front();
  }
  return due;
}

void LocalQueues::clear() {
  queues_.clear();
  staying_.clear();
}

}  // namespace dsync::primitives
