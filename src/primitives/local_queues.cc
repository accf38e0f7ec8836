#include "primitives/local_queues.h"

namespace dsync::primitives {

void LocalQueues::leave(const std::string& key, OperationId id) {
  const auto it = queues_.find(key);
  if (it == queues_.end()) return;
  it->second.waiters.erase(id);
  forget_if_empty(it);
}

OperationId LocalQueues::oldest(const std::string& key) const {
  const auto it = queues_.find(key);
  if (it == queues_.end() || it->second.waiters.empty()) return 0;
  return *it->second.waiters.begin();
}

void LocalQueues::free(const std::string& key, OperationId id) {
  const auto it = queues_.find(key);
  if (it == queues_.end() || it->second.holder != id) return;
  it->second.holder = 0;
  forget_if_empty(it);
}

OperationId LocalQueues::holder(const std::string& key) const {
  const auto it = queues_.find(key);
  return it == queues_.end() ? 0 : it->second.holder;
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

void LocalQueues::forget_if_empty(Queues::iterator it) {
  if (it->second.holder == 0 && it->second.waiters.empty()) queues_.erase(it);
}

}  // namespace dsync::primitives
