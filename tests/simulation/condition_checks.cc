#include "condition_checks.h"

#include <algorithm>
#include <limits>

#include "world.h"

namespace dsync::simulation {
namespace {

// As in wake.lua: those that were not connected when their turn came stand behind all others.
constexpr double kAside = 4503599627370496.0;

bool is_about_notifications(std::string_view script) { return script.starts_with("condition_"); }

}  // namespace

void ConditionChecks::before_script(const client::Script& script, Words keys, Words) {
  if (is_about_notifications(script.name)) before_ = look(keys);
}

void ConditionChecks::after_script(const client::Script& script, Words keys, Words arguments,
                                   const Value& reply) {
  if (!is_about_notifications(script.name)) return;
  const auto after = look(keys);
  for (const auto& item : after.told.items) told_.emplace(operation_in(item.member));
  if (script.name == "condition_notify") return check_call(arguments, after, reply);
  const bool is_confirmed = script.name == "condition_leave" && arguments[3] == "confirm";
  check_passed_on(after, arguments[1], is_confirmed);
}

std::size_t ConditionChecks::count_new(const Look& after) const {
  return static_cast<std::size_t>(std::ranges::count_if(after.told.items, [this](const auto& item) {
    return before_.told.score(item.member) == nullptr;
  }));
}

// A notification wakes as many as it says, or all that wait and are connected; those that have
// waited longest, and once only. Who is not connected may be woken where nobody else is left.
void ConditionChecks::check_call(Words arguments, const Look& after, const Value& reply) {
  const auto wanted = std::stoll(std::string(arguments[4]));
  const auto woken = count_new(after);
  const bool is_new = reply.integer == 1 && calls_.emplace(arguments[0]).second;
  if (!is_new) {
    // A server that lost its data does not know that it has been executed, and one that hears it
    // late, after it was sent again, does not ask.
    if (woken == 0 || world_.has_lost_data() || world_.plan.weather.has_late_commands) return;
    throw Violation("the call " + std::string(arguments[0]) + " was executed twice");
  }
  auto left =
      wanted < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(wanted);
  if (woken > left) throw Violation(std::to_string(woken) + " were woken by one notification");
  for (const auto& item : before_.waiting.items) {
    if (item.score >= kAside || left == 0) break;
    if (!is_connected(item.member)) continue;
    --left;
    if (after.told.score(item.member) == nullptr) {
      throw Violation("a notification has passed over " + item.member);
    }
  }
}

// Whose notification is not used passes it on to somebody that waited when it was given.
void ConditionChecks::check_passed_on(const Look& after, std::string_view own,
                                      bool is_confirmed) const {
  std::size_t lost = 0;
  std::size_t able = 0;
  for (const auto& given : before_.told.items) {
    if (after.told.score(given.member) != nullptr) continue;
    if (is_confirmed && operation_in(given.member) == own) continue;
    ++lost;
    able += static_cast<std::size_t>(
        std::ranges::count_if(before_.waiting.items, [&](const auto& item) {
          return item.score <= given.score && is_connected(item.member) &&
                 operation_in(item.member) != own;
        }));
  }
  if (count_new(after) < std::min(lost, able)) {
    throw Violation("a notification was lost, though others wait");
  }
  if (count_new(after) > lost) throw Violation("somebody was woken for no reason");
}

void ConditionChecks::check_woken(Node& node, primitives::OperationId id) const {
  const auto operation = node.name() + ':' + std::to_string(id);
  if (!told_.contains(operation)) throw Violation(operation + " was woken by nobody");
}

}  // namespace dsync::simulation
