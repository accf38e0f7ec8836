#include "checks.h"

#include <algorithm>

#include "world.h"

namespace dsync::simulation {

std::string_view operation_in(std::string_view member) {
  return member.substr(0, member.find(' '));
}

bool Checks::is_connected(std::string_view operation) const {
  return world_.server.has_subscriber("dsync:inbox:" +
                                      std::string(operation.substr(0, operation.find(':'))));
}

SortedSet Checks::members(std::string_view key) const {
  const auto* set = world_.server.database().get<SortedSet>(key, world_.server.now_us());
  return set == nullptr ? SortedSet() : *set;
}

const std::string* Checks::text(std::string_view key) const {
  return world_.server.database().get<std::string>(key, world_.server.now_us());
}

bool Checks::anybody_waits(const SortedSet& queue) const {
  return std::ranges::any_of(queue.items,
                             [this](const auto& item) { return is_connected(item.member); });
}

void Checks::check_turn(std::string_view operation, const SortedSet& before,
                        const SortedSet& after) const {
  const auto is_it = [operation](const auto& item) {
    return operation_in(item.member) == operation;
  };
  const auto place = std::ranges::find_if(before.items, is_it);
  for (auto it = before.items.begin(); it != place; ++it) {
    const bool waits_on = after.score(it->member) != nullptr;
    if (waits_on && !is_it(*it) && is_connected(it->member)) {
      throw Violation(std::string(operation) + " was served before " + it->member +
                      ", which has waited longer");
    }
  }
}

}  // namespace dsync::simulation
