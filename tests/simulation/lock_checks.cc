#include "lock_checks.h"

#include <algorithm>

#include "world.h"

namespace dsync::simulation {
namespace {

constexpr std::size_t kDigits = 16;
constexpr std::string_view kFenceEnd = "}:dsync:fence";

// "<digits> <operation>+" → "<digits> <operation>"
std::string_view without_mark(std::string_view fence) {
  return fence.ends_with('+') ? fence.substr(0, fence.size() - 1) : fence;
}

bool is_about_one_lock(std::string_view script) {
  return script == "lock_acquire" || script == "lock_release" || script == "key_value_delete" ||
         script.starts_with("condition_");
}

}  // namespace

LockChecks::Look LockChecks::look(Words keys) const {
  const auto* fence = text(keys[2]);
  return {text(keys[0]) != nullptr, fence == nullptr ? "" : *fence, members(keys[1])};
}

void LockChecks::before_script(const client::Script& script, Words keys, Words arguments) {
  if (!is_about_one_lock(script.name)) return;
  before_ = look(keys);
  const bool is_call = script.name == "condition_notify" || script.name == "key_value_delete";
  own_ = is_call ? "" : std::string(arguments[1]);
  former_ = script.name == "condition_wait" ? std::string(arguments[5]) : "";
}

void LockChecks::after_script(const client::Script& script, Words keys, Words, const Value&) {
  if (!is_about_one_lock(script.name)) return;
  const auto after = look(keys);
  const std::string key(keys[0]);
  const bool is_grant =
      !after.fence.empty() && without_mark(after.fence) != without_mark(before_.fence);
  if (is_grant) check_grant(key, after);
  // Who frees a lock gives it to the next. No schedule has a window for old processes. Without a
  // fence nobody knows who holds, and only a lock without expiry is freed at all
  // (docs/decisions.md, 8).
  if (before_.is_taken && !before_.fence.empty() && !after.is_taken && anybody_waits(after.queue)) {
    throw Violation(std::string(script.name) + " has freed " + key + " though somebody waits");
  }
}

void LockChecks::check_grant(const std::string& key, const Look& after) {
  const auto digits = after.fence.substr(0, kDigits);
  const std::string operation(without_mark(after.fence).substr(kDigits + 1));
  auto& last = last_digits_[key];
  if (digits <= last) {
    throw Violation("the fencing token of " + key + " did not grow: " + digits + " after " + last);
  }
  last = digits;
  note_grant(key, operation, digits);
  // A script asks who listens, so a grant to somebody else arrives unless a connection breaks.
  if (operation != own_ && after.is_taken && !is_connected(operation)) {
    throw Violation(key + " was handed over to " + operation + ", which is not connected");
  }
  // One that never gave the lock back to wait goes on to hold it.
  const bool never_left =
      !former_.empty() && operation == own_ && without_mark(before_.fence).ends_with(' ' + former_);
  if (!never_left) check_turn(operation, before_.queue, after.queue);
}

void LockChecks::check_end() {
  for (const auto& key : world_.server.database().names(world_.server.now_us())) {
    // A lock without expiry has such a fence; where its key is deleted nothing ends the fence but
    // the next holder.
    const bool is_fence = key.ends_with(kFenceEnd);
    if (is_fence && world_.plan.lease == base::Duration(0) && has_lost_data()) continue;
    throw Violation("nobody uses " + key + ", but it stays for ever");
  }
}

std::string LockChecks::token_of(Node& node, OperationId id) const {
  auto digits = std::to_string(node.machine().fence(id));
  return digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
}

bool LockChecks::is_by(const std::string& grant, const std::string& token) const {
  return token >= grant && std::stoll(token) - std::stoll(grant) <= primitives::kLocalTurns;
}

// Those that inherit one after the other have growing tokens, and the server's next is greater.
void LockChecks::note_use(const Hold& hold, const std::string& token) {
  auto& used = last_used_[hold.operation];
  if (token <= used) {
    throw Violation("the fencing token of " + hold.key + " did not grow: " + token + " after " +
                    used);
  }
  used = token;
  auto& last = last_digits_[hold.key];
  last = std::max(last, token);
}

std::string LockChecks::main_key_of(std::string_view key) const {
  // "{main}:dsync:fence" belongs to "main".
  if (key.ends_with(kFenceEnd))
    return std::string(key.substr(1, key.size() - 1 - kFenceEnd.size()));
  return std::string(key.starts_with('{') ? "" : key);
}

}  // namespace dsync::simulation
