#include "primitives/topics.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace dsync::primitives {
namespace {

// Those that wait again soon need not subscribe again.
constexpr base::Duration kIdle = std::chrono::seconds(1);

// An old notify_all counts who listens to a condition, and leaves one notification for each.
base::Duration idle_time(Kind kind) {
  return kind == Kind::kBarrier || kind == Kind::kEvent ? kIdle : base::Duration::zero();
}

}  // namespace

void Topics::add(OperationId id, const Claim& claim, base::Time now) {
  auto topic = topic_of(claim.kind, claim.key);
  auto& entry = *entries_.try_emplace(std::move(topic.channel)).first;
  entry.second.companion = std::move(topic.companion);
  entry.second.waiters.insert(id);
  entry.second.idle_until = base::kNever;
  if (!entry.second.wanted) subscribe(entry, now);
}

void Topics::remove(OperationId id, const Claim& claim, base::Time now) {
  const auto it = entries_.find(topic_of(claim.kind, claim.key).channel);
  if (it == entries_.end() || it->second.waiters.erase(id) == 0) return;
  if (!it->second.waiters.empty()) return;
  // What is not listened to needs no end of it.
  const bool lingers = it->second.wanted;
  const auto idle = lingers ? idle_time(claim.kind) : base::Duration::zero();
  if (idle == base::Duration::zero()) {
    unsubscribe(it, now);
    return;
  }
  it->second.idle_until = base::after(now, idle);
  next_idle_ = std::min(next_idle_, it->second.idle_until);
}

bool Topics::is_heard(const Claim& claim) const {
  const auto it = entries_.find(topic_of(claim.kind, claim.key).channel);
  return it != entries_.end() && it->second.wanted && it->second.unanswered == 0;
}

std::vector<OperationId> Topics::waiters(std::string_view channel) const {
  const auto it = entries_.find(channel);
  if (it == entries_.end()) return {};
  return {it->second.waiters.begin(), it->second.waiters.end()};
}

void Topics::subscribe(Entries::value_type& entry, base::Time now) {
  if (!client_.ready() || !client_.has_room()) return;
  entry.second.wanted = true;
  ++entry.second.unanswered;
  client_.subscribe(entry.first, entry.second.companion, now);
}

Topics::Entries::iterator Topics::unsubscribe(Entries::iterator it, base::Time now) {
  auto& entry = it->second;
  if (entry.wanted && client_.ready()) client_.unsubscribe(it->first, entry.companion, now);
  entry.wanted = false;
  entry.idle_until = base::kNever;
  // A confirmation that is still to come must find its entry.
  return entry.unanswered == 0 ? entries_.erase(it) : std::next(it);
}

void Topics::on_subscribed(std::string_view channel) {
  const auto it = entries_.find(channel);
  if (it == entries_.end()) return;
  --it->second.unanswered;
  const auto& entry = it->second;
  if (!entry.wanted && entry.unanswered == 0 && entry.waiters.empty()) entries_.erase(it);
}

void Topics::on_refused(std::string_view channel) {
  const auto it = entries_.find(channel);
  if (it != entries_.end()) it->second.wanted = false;
  on_subscribed(channel);
}

void Topics::on_ready(base::Time now) {
  for (auto& entry : entries_) subscribe(entry, now);
}

void Topics::on_room(base::Time now) {
  for (auto& entry : entries_) {
    if (!entry.second.wanted && !entry.second.waiters.empty()) subscribe(entry, now);
  }
}

void Topics::on_lost() {
  std::erase_if(entries_, [](const auto& entry) { return entry.second.waiters.empty(); });
  for (auto& [channel, entry] : entries_) {
    entry.wanted = false;
    entry.unanswered = 0;
  }
}

void Topics::tick(base::Time now) {
  if (now < next_idle_) return;
  next_idle_ = base::kNever;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto idle_until = it->second.idle_until;
    if (idle_until > now) next_idle_ = std::min(next_idle_, idle_until);
    it = idle_until <= now ? unsubscribe(it, now) : std::next(it);
  }
}

void Topics::clear() {
  entries_.clear();
  next_idle_ = base::kNever;
}

}  // namespace dsync::primitives
