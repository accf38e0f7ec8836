#include "primitives/lease_table.h"

#include <algorithm>
#include <utility>

namespace dsync::primitives {
namespace {

base::Duration renewal_interval(const Claim& claim) {
  return claim.lease == kNoExpiry ? kCheckInterval : claim.lease / 3;
}

}  // namespace

void LossInbox::put(OperationId id) {
  const std::lock_guard guard(mutex_);
  lost_.push_back(id);
  if (notify_) notify_();
}

std::vector<OperationId> LossInbox::take() {
  const std::lock_guard guard(mutex_);
  std::ranges::sort(lost_);
  return std::exchange(lost_, {});
}

void LossInbox::close() {
  const std::lock_guard guard(mutex_);
  notify_ = nullptr;
}

void LeaseTable::set_wake(std::function<void()> wake) {
  {
    const std::lock_guard guard(mutex_);
    wake_ = wake;
    if (planned_ == base::kNever) return;
  }
  // There are leases already that nobody has been woken for.
  if (wake) wake();
}

void LeaseTable::add(ClaimPtr claim, std::shared_ptr<LossInbox> losses, base::Time renew_at) {
  const auto first = std::min(renew_at, claim->valid());
  const Claim* id = claim.get();
  std::function<void()> wake;
  {
    const std::lock_guard guard(mutex_);
    entries_.insert_or_assign(id, Entry{std::move(claim), std::move(losses), renew_at});
    if (first < planned_) {
      planned_ = first;
      wake = wake_;
    }
  }
  if (wake) wake();
}

void LeaseTable::remove(const Claim& claim) {
  const std::lock_guard guard(mutex_);
  entries_.erase(&claim);
}

LeaseTable::Scan LeaseTable::scan(base::Time now) {
  Scan result{{}, base::kNever, base::Duration::max()};
  const std::lock_guard guard(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    auto& entry = it->second;
    const auto valid = entry.claim->valid();
    if (valid <= now) {
      entry.claim->invalidate();
      entry.losses->put(entry.claim->id);
      it = entries_.erase(it);
      continue;
    }
    // Whatever is due within a tenth of its interval goes along in the same batch.
    const auto slack = renewal_interval(*entry.claim) / 10;
    if (!entry.in_flight && entry.renew_at != base::kNever && entry.renew_at - slack <= now) {
      entry.in_flight = true;
      result.due.push_back(entry.claim);
    }
    if (!entry.in_flight) result.next = std::min(result.next, entry.renew_at);
    result.next = std::min(result.next, valid);
    if (entry.claim->lease != kNoExpiry) {
      result.shortest = std::min(result.shortest, entry.claim->lease);
    }
    ++it;
  }
  planned_ = result.next;
  // Not by addresses, so that a simulation can be replayed.
  std::ranges::sort(result.due, {},
                    [](const ClaimPtr& claim) -> const std::string& { return claim->operation; });
  return result;
}

void LeaseTable::renewed(const Claim& claim, base::Time sent) {
  const std::lock_guard guard(mutex_);
  const auto found = entries_.find(&claim);
  if (found == entries_.end()) return;
  auto& [ptr, losses, renew_at, in_flight] = found->second;
  in_flight = false;
  if (ptr->lease != kNoExpiry) ptr->extend_to(base::after(sent, ptr->lease));
  renew_at = ptr->next_renewal(sent, ptr->lease);
  // An extended lease needs its next renewal only when no more than the usual part of it is left.
  if (renew_at != base::kNever && ptr->lease != kNoExpiry) {
    renew_at = std::max(renew_at, ptr->valid() - (ptr->lease - ptr->lease / 3));
  }
}

void LeaseTable::lost(const Claim& claim) {
  const std::lock_guard guard(mutex_);
  const auto found = entries_.find(&claim);
  if (found == entries_.end()) return;
  found->second.claim->invalidate();
  found->second.losses->put(found->second.claim->id);
  entries_.erase(found);
}

void LeaseTable::postpone(const Claim& claim, base::Time now) {
  const std::lock_guard guard(mutex_);
  const auto found = entries_.find(&claim);
  if (found == entries_.end()) return;
  found->second.in_flight = false;
  found->second.renew_at = now + renewal_interval(claim) / 4;
}

void LeaseTable::retry(bool all) {
  const std::lock_guard guard(mutex_);
  for (auto& [id, entry] : entries_) {
    const bool due = std::exchange(entry.in_flight, false) || all;
    if (due && entry.renew_at != base::kNever) entry.renew_at = base::Time();
  }
}

}  // namespace dsync::primitives
