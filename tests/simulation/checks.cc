#include "checks.h"

#include <algorithm>
#include <utility>

#include "world.h"

namespace dsync::simulation {
namespace {

constexpr std::size_t kDigits = 16;

// "<digits> <operation>+" → "<digits> <operation>"
std::string_view without_mark(std::string_view fence) {
  return fence.ends_with('+') ? fence.substr(0, fence.size() - 1) : fence;
}

std::string_view operation_of_member(std::string_view member) {
  return member.substr(0, member.find(' '));
}

}  // namespace

std::string Checks::name_of(const Hold& hold) {
  return hold.node->name() + ':' + std::to_string(hold.id);
}

namespace {

bool is_about_one_lock(std::string_view script) {
  return script == "lock_acquire" || script == "lock_release" || script == "key_value_delete" ||
         script.starts_with("condition_");
}

}  // namespace

// ---- the server's side ----

Checks::Look Checks::look(Words keys) const {
  const auto& database = world_.server.database();
  const auto now = world_.server.now_us();
  Look result;
  result.is_taken = database.get<std::string>(keys[0], now) != nullptr;
  if (const auto* queue = database.get<SortedSet>(keys[1], now)) result.queue = *queue;
  if (const auto* fence = database.get<std::string>(keys[2], now)) result.fence = *fence;
  return result;
}

void Checks::before_script(const client::Script& script, Words keys, Words arguments) {
  if (!is_about_one_lock(script.name)) return;
  before_ = look(keys);
  own_ = script.name.starts_with("condition_notify") || script.name == "key_value_delete"
             ? ""
             : std::string(arguments[1]);
}

void Checks::after_script(const client::Script& script, Words keys, Words, const Value& reply) {
  world_.trace("server",
               [&] { return std::string(script.name) + ' ' + own_ + " → " + show(reply); });
  if (is_about_one_lock(script.name)) observe_lock(script.name, keys);
}

void Checks::observe_lock(std::string_view script, Words keys) {
  const auto after = look(keys);
  const bool is_grant =
      !after.fence.empty() && without_mark(after.fence) != without_mark(before_.fence);
  if (is_grant) check_grant(std::string(keys[0]), keys, after.fence);
  // Who frees a lock gives it to the next. No schedule has a window for old processes. Without a
  // fence nobody knows who holds, and only a lock without expiry is freed at all
  // (docs/decisions.md, 8).
  if (before_.is_taken && !before_.fence.empty() && !after.is_taken && anybody_waits(after.queue)) {
    throw Violation(std::string(script) + " has freed " + std::string(keys[0]) +
                    " though somebody waits");
  }
}

void Checks::check_grant(const std::string& key, Words keys, const std::string& fence) {
  const auto digits = fence.substr(0, kDigits);
  auto& last = last_digits_[key];
  if (digits <= last) {
    throw Violation("the fencing token of " + key + " did not grow: " + digits + " after " + last);
  }
  last = digits;
  const auto operation = std::string(without_mark(fence).substr(kDigits + 1));
  grants_[operation].push_back({digits, epoch(key)});
  // A late command of a holder takes the lock again that the server had forgotten. So its belief is
  // true again, though its token is that of the first grant (docs/decisions.md, 9).
  for (auto& hold : holds_) {
    if (name_of(hold) != operation) continue;
    hold.epoch = epoch(key);
    hold.limit = base::kNever;
  }
  world_.trace("server", [&] { return "granted " + key + " to " + operation; });
  // A script asks who listens, so a grant to somebody else arrives unless a connection breaks.
  if (operation != own_ && world_.server.database().get<std::string>(key, world_.server.now_us()) &&
      !is_connected(operation)) {
    throw Violation(key + " was handed over to " + operation + ", which is not connected");
  }
  check_turn(operation, keys);
}

// First come, first served, by the order in which the server queued them. Those that are not
// connected lose their turn: a message could not reach them.
void Checks::check_turn(const std::string& operation, Words keys) {
  const auto& waited = before_.queue.items;
  const auto granted = std::ranges::find_if(
      waited, [&](const auto& item) { return operation_of_member(item.member) == operation; });
  const auto after = look(keys);
  for (auto it = waited.begin(); it != granted; ++it) {
    const bool waits_on = after.queue.score(it->member) != nullptr;
    if (waits_on && operation_of_member(it->member) != operation && is_connected(it->member)) {
      throw Violation(operation + " was granted " + std::string(keys[0]) + " before " + it->member +
                      ", which has waited longer");
    }
  }
}

bool Checks::anybody_waits(const SortedSet& queue) const {
  return std::ranges::any_of(queue.items,
                             [this](const auto& item) { return is_connected(item.member); });
}

bool Checks::is_connected(std::string_view member) const {
  return world_.server.has_subscriber("dsync:inbox:" +
                                      std::string(member.substr(0, member.find(':'))));
}

void Checks::lost_data(std::string_view key) {
  if (key.empty()) {
    ++epoch_of_all_;
  } else if (key.ends_with("}:dsync:fence")) {
    // "{main}:dsync:fence" belongs to "main".
    ++epochs_[std::string(key.substr(1, key.find('}') - 1))];
  } else {
    ++epochs_[std::string(key)];
  }
  for (auto& hold : holds_) limit_belief(hold);
}

// No renewal succeeds from here on, so what was sent before is the last that a client may rely on.
void Checks::limit_belief(Hold& hold) const {
  const auto lease = world_.plan.lease;
  if (hold.epoch == epoch(hold.key) || lease == base::Duration(0)) return;
  hold.limit = std::min(hold.limit, base::after(hold.node->now(), lease));
}

std::uint64_t Checks::epoch(std::string_view key) const {
  const auto it = epochs_.find(key);
  return epoch_of_all_ + (it == epochs_.end() ? 0 : it->second);
}

// ---- the clients' side ----

std::vector<Checks::Hold>::iterator Checks::find(Node& node, OperationId id) {
  return std::ranges::find_if(
      holds_, [&](const Hold& hold) { return hold.node == &node && hold.id == id; });
}

void Checks::begin_hold(Node& node, OperationId id, const std::string& key) {
  const auto operation = node.name() + ':' + std::to_string(id);
  auto digits = std::to_string(node.machine().fence(id));
  digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
  const auto& grants = grants_[operation];
  const auto grant = std::ranges::find(grants, digits, &Grant::digits);
  if (grant == grants.end()) {
    throw Violation(operation + " believes that it holds " + key + " with the token " + digits +
                    ", which the server never gave it");
  }
  // Where the server lost data, and granted it again since, the client has the older token.
  holds_.push_back({&node, id, key, grants.back().epoch});
  limit_belief(holds_.back());
  world_.trace(node.name(), [&] {
    return "holds " + key + " by " + operation + " for " +
           show(node.machine().valid_for(id, node.now()));
  });
}

void Checks::end_hold(Node& node, OperationId id) {
  if (const auto it = find(node, id); it != holds_.end()) holds_.erase(it);
}

void Checks::node_is_gone(Node& node) {
  std::erase_if(holds_, [&](const Hold& hold) { return hold.node == &node; });
}

void Checks::hold_was_lost(Node& node, OperationId id) {
  const auto it = find(node, id);
  if (it == holds_.end()) return;
  const auto hold = *it;
  holds_.erase(it);
  const bool lost_data = hold.epoch != epoch(hold.key);
  if (!lost_data && node.now() < hold.valid) {
    throw Violation(node.name() + ':' + std::to_string(id) + " lost " + hold.key + " " +
                    show(hold.valid - node.now()) + " before the end of its lease");
  }
}

// At most one client believes that it holds a lock. Where the server has lost data in between, the
// older one may believe so until it hears of it, or its lease ends.
void Checks::check() {
  for (auto it = holds_.begin(); it != holds_.end(); ++it) {
    const auto left = it->node->machine().holds(it->id)
                          ? it->node->machine().valid_for(it->id, it->node->now())
                          : base::Duration(0);
    if (left == base::Duration(0)) continue;
    it->valid = base::after(it->node->now(), left);
    if (it->valid > it->limit) {
      throw Violation(name_of(*it) + " believes that it holds " + it->key +
                      ", which the server has lost");
    }
    for (auto other = holds_.begin(); other != it; ++other) {
      if (other->key != it->key || other->epoch != it->epoch) continue;
      if (other->valid <= other->node->now() || !other->node->machine().holds(other->id)) continue;
      throw Violation(name_of(*it) + " and " + name_of(*other) + " both hold " + it->key);
    }
  }
}

}  // namespace dsync::simulation
