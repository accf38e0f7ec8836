#include "primitives/poll_plan.h"

#include <algorithm>
#include <iterator>

namespace dsync::primitives {
namespace {

constexpr base::Duration kShortest = std::chrono::milliseconds(10);
constexpr base::Duration kLongest = std::chrono::seconds(30);
constexpr base::Duration kAfterExpiry = std::chrono::milliseconds(1);

}  // namespace

void PollPlan::queued(const std::string& key, OperationId id, const Place& place, base::Time now) {
  auto& entry = *keys_.try_emplace(key).first;
  auto& [name, state] = entry;
  const bool asked = !state.waiters.empty() && *state.waiters.begin() == id;
  state.delay = state.waiters.empty() ? place.delay : std::min(state.delay, place.delay);
  state.waiters.insert(id);
  const auto own = static_cast<std::int64_t>(state.waiters.size());
  const auto share = static_cast<double>(std::max(place.length, own)) / static_cast<double>(own);
  // Processes that started together drift apart, so that they don't ask all at once.
  const auto jitter = std::uniform_real_distribution<double>(0.8, 1.0)(random_);
  const auto bounded = std::clamp<double>(static_cast<double>(state.delay.count()) * share * jitter,
                                          kShortest.count(), kLongest.count());
  state.interval = base::Duration(static_cast<base::Duration::rep>(bounded));
  auto at = now + state.interval;
  if (place.rank == 1 && place.ttl >= base::Duration::zero()) {
    at = std::min(at, now + place.ttl + kAfterExpiry);
  }
  schedule(entry, asked ? at : std::min(at, state.at));
}

void PollPlan::remove(const std::string& key, OperationId id) {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return;
  found->second.waiters.erase(id);
  if (!found->second.waiters.empty()) return;
  times_.erase({found->second.at, &*found});
  keys_.erase(found);
}

void PollPlan::clear() {
  times_.clear();
  keys_.clear();
}

std::vector<OperationId> PollPlan::take_due(base::Time now) {
  std::vector<OperationId> result;
  while (!times_.empty() && times_.begin()->first <= now) {
    auto& entry = *times_.begin()->second;
    result.push_back(*entry.second.waiters.begin());
    // Until the answer brings a better plan.
    schedule(entry, now + std::max(entry.second.interval, kShortest));
  }
  return result;
}

std::vector<OperationId> PollPlan::waiters(const std::string& key) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return {};
  return {found->second.waiters.begin(), found->second.waiters.end()};
}

void PollPlan::schedule(Keys::value_type& entry, base::Time at) {
  times_.erase({entry.second.at, &entry});
  entry.second.at = at;
  times_.emplace(at, &entry);
}

}  // namespace dsync::primitives
