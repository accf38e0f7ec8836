#include "permit_checks.h"

#include <algorithm>
#include <limits>

#include "world.h"

namespace dsync::simulation {
namespace {

constexpr std::string_view kPermitsEnd = "}:dsync:permits";

}  // namespace

PermitChecks::Look PermitChecks::look(Words keys) const {
  Look result{0, members(keys[1]), members(keys[2])};
  const auto* free = text(keys[0]);
  result.free =
      free != nullptr ? std::stoll(*free) : world_.plan.value - std::ssize(result.permits.items);
  return result;
}

// The keys of each semaphore that a script is about. Only a renewal is about several.
template <typename Each>
void PermitChecks::for_each(const client::Script& script, Words keys, Each each) const {
  if (!script.name.starts_with("semaphore_")) return;
  const auto count = script.name == "semaphore_renew" ? keys.size() / 3 : 1;
  for (std::size_t i = 0; i < count; ++i) each(keys.subspan(3 * i, 3));
}

void PermitChecks::before_script(const client::Script& script, Words keys, Words) {
  for_each(script, keys, [this](Words some) { before_[std::string(some[0])] = look(some); });
}

void PermitChecks::after_script(const client::Script& script, Words keys, Words, const Value&) {
  for_each(script, keys, [&](Words some) {
    const std::string key(some[0]);
    const auto before = std::move(before_[key]);
    const auto after = look(some);
    for (const auto& permit : after.permits.items) {
      if (before.permits.score(permit.member) != nullptr) continue;
      const auto operation = operation_in(permit.member);
      note_grant(key, std::string(operation), {});
      check_turn(operation, before.queue, after.queue);
    }
    // Who gives a slot back gives it to the next.
    if (!is_open() && !leaves_free(before) && leaves_free(after)) {
      throw Violation(std::string(script.name) + " leaves a slot free though somebody waits");
    }
  });
}

// Without leases the counter is all that is known of the permits. So a counter that was lost starts
// anew, and those that were taken before are given back to it.
bool PermitChecks::is_open() const {
  return world_.plan.lease == base::Duration(0) && world_.has_lost_data();
}

std::size_t PermitChecks::capacity() const {
  return is_open() ? std::numeric_limits<std::size_t>::max()
                   : static_cast<std::size_t>(world_.plan.value);
}

// With leases a counter that was lost is found again from the permits (docs/decisions.md, 22).
std::string PermitChecks::main_key_of(std::string_view key) const {
  if (!key.ends_with(kPermitsEnd)) return {};
  return std::string(key.substr(1, key.size() - 1 - kPermitsEnd.size()));
}

void PermitChecks::check_end() {
  for (const auto& main : world_.keys()) {
    const auto prefix = '{' + main + "}:dsync:";
    const auto queue = prefix + "queue";
    const auto permits = prefix + "permits";
    const auto value = std::to_string(world_.plan.value);
    const std::string_view words[] = {
        "EVAL", client::kSemaphoreFree.source, "3", main, queue, permits, value};
    const auto free = world_.server.execute(words);
    if (!is_open() && free.integer != world_.plan.value) {
      throw Violation("nobody uses " + main + ", but it has " + show(free) +
                      " free slots instead of " + value);
    }
    if (!members(permits).items.empty()) throw Violation("nobody uses the permits of " + main);
  }
  for (const auto& key : world_.server.database().names(world_.server.now_us())) {
    if (key.starts_with('{')) throw Violation("nobody uses " + key + ", but it stays for ever");
  }
}

}  // namespace dsync::simulation
