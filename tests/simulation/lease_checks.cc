#include "lease_checks.h"

#include <algorithm>
#include <utility>

#include "world.h"

namespace dsync::simulation {

// ---- the server's side ----

void LeaseChecks::note_grant(const std::string& key, const std::string& operation,
                             const std::string& token) {
  grants_[operation].push_back({token, epoch(key)});
  world_.trace("server", [&] { return "granted " + key + " to " + operation; });
  // A late command of a holder takes the lock again that the server had forgotten. So its belief is
  // true again, though its token is that of the first grant (docs/decisions.md, 9).
  for (auto& hold : holds_) {
    if (hold.operation != operation) continue;
    hold.epoch = epoch(key);
    hold.limit = base::kNever;
  }
}

void LeaseChecks::lose_data(std::string_view key) {
  if (key.empty()) {
    ++epoch_of_all_;
  } else if (const auto main = main_key_of(key); !main.empty()) {
    ++epochs_[main];
  }
  for (auto& hold : holds_) limit_belief(hold);
}

// No renewal succeeds from here on, so what was sent before is the last that a client may rely on.
void LeaseChecks::limit_belief(Hold& hold) const {
  const auto lease = world_.plan.lease;
  if (hold.epoch == epoch(hold.key) || lease == base::Duration(0)) return;
  hold.limit = std::min(hold.limit, base::after(hold.node->now(), lease));
}

std::uint64_t LeaseChecks::epoch(std::string_view key) const {
  const auto it = epochs_.find(key);
  return epoch_of_all_ + (it == epochs_.end() ? 0 : it->second);
}

// ---- the clients' side ----

std::vector<LeaseChecks::Hold>::iterator LeaseChecks::find(Node& node, OperationId id) {
  return std::ranges::find_if(
      holds_, [&](const Hold& hold) { return hold.node == &node && hold.id == id; });
}

void LeaseChecks::begin_hold(Node& node, OperationId id, const std::string& key) {
  const auto& operation = node.machine().claim(id).operation;
  const auto token = token_of(node, id);
  const auto& grants = grants_[operation];
  const auto is_its = [&](const Grant& grant) { return is_by(grant.token, token); };
  if (std::ranges::none_of(grants, is_its)) {
    throw Violation(operation + " believes that it holds " + key + " by a grant \"" + token +
                    "\" which the server never gave it");
  }
  // Where the server lost data, and granted it again since, the client has the older token.
  holds_.push_back({&node, id, key, operation, grants.back().epoch});
  note_use(holds_.back(), token);
  limit_belief(holds_.back());
  world_.trace(node.name(), [&] { return "holds " + key + " by " + operation; });
}

void LeaseChecks::end_hold(Node& node, OperationId id) {
  if (const auto it = find(node, id); it != holds_.end()) holds_.erase(it);
}

void LeaseChecks::node_is_gone(Node& node) {
  std::erase_if(holds_, [&](const Hold& hold) { return hold.node == &node; });
}

void LeaseChecks::hold_was_lost(Node& node, OperationId id) {
  const auto it = find(node, id);
  if (it == holds_.end()) return;
  const auto hold = *it;
  holds_.erase(it);
  if (hold.epoch == epoch(hold.key) && node.now() < hold.valid) {
    throw Violation(hold.operation + " lost " + hold.key + ' ' + show(hold.valid - node.now()) +
                    " before the end of its lease");
  }
}

bool LeaseChecks::is_believed(const Hold& hold) const {
  // A permit without lease is held until the task adds the slot again.
  if (world_.plan.subject == Subject::kSemaphore && world_.plan.lease == base::Duration(0)) {
    return true;
  }
  return hold.node->machine().holds(hold.id) &&
         hold.node->machine().valid_for(hold.id, hold.node->now()) > base::Duration(0);
}

// No more clients believe that they hold than may. Where the server has lost data in between, the
// older ones may believe so until they hear of it, or their leases end.
void LeaseChecks::check() {
  std::map<std::pair<std::string_view, std::uint64_t>, std::size_t> counts;
  for (auto& hold : holds_) {
    if (!is_believed(hold)) continue;
    const auto now = hold.node->now();
    hold.valid = world_.plan.lease == base::Duration(0)
                     ? base::kNever
                     : base::after(now, hold.node->machine().valid_for(hold.id, now));
    if (hold.valid > hold.limit) {
      throw Violation(hold.operation + " believes that it holds " + hold.key +
                      ", which the server has lost");
    }
    if (++counts[{hold.key, hold.epoch}] > capacity()) {
      throw Violation(hold.operation + " holds " + hold.key + " too: more than may at a time");
    }
  }
}

}  // namespace dsync::simulation
