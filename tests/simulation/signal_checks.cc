#include "signal_checks.h"

#include "world.h"

namespace dsync::simulation {

using namespace std::chrono_literals;
using primitives::Outcome;

void SignalChecks::check_end() {
  for (const auto& key : world_.server.database().names(world_.server.now_us())) {
    // The main keys stay for ever.
    if (key.starts_with('{')) throw Violation("nobody uses " + key + ", but it stays for ever");
  }
}

// ---- barriers ----

Hash BarrierChecks::look(Words keys) const {
  const auto* told = world_.server.database().get<Hash>(keys[3], world_.server.now_us());
  return told == nullptr ? Hash() : *told;
}

void BarrierChecks::before_script(const client::Script& script, Words keys, Words) {
  if (script.name.starts_with("barrier_")) before_ = look(keys);
}

void BarrierChecks::after_script(const client::Script& script, Words keys, Words arguments,
                                 const Value&) {
  if (!script.name.starts_with("barrier_")) return;
  std::set<std::string> parties;
  for (const auto& [operation, outcome] : look(keys)) {
    if (before_.contains(operation)) continue;
    (outcome == "open" ? opened_ : broken_).insert(operation);
    if (outcome == "open") parties.insert(operation);
  }
  if (!parties.empty()) check_opened(parties, arguments);
}

// A round opens for as many as it wants, and each of them lives. Where the server has lost who the
// parties were, the count of their arrivals speaks for them, as for those of old processes.
void BarrierChecks::check_opened(const std::set<std::string>& parties, Words arguments) const {
  if (world_.has_lost_data()) return;
  if (std::to_string(parties.size()) != arguments[1]) {
    throw Violation("a barrier for " + std::string(arguments[1]) + " has opened for " +
                    std::to_string(parties.size()));
  }
  for (const auto& operation : parties) {
    if (operation != arguments[0] && !is_connected(operation)) {
      throw Violation("a barrier has opened with " + operation + ", which is not connected");
    }
  }
}

void BarrierChecks::check_end_of_wait(Node& node, primitives::OperationId id,
                                      Outcome outcome) const {
  const auto operation = node.name() + ':' + std::to_string(id);
  if (outcome == Outcome::kGranted && !opened_.contains(operation)) {
    throw Violation(operation + " goes on, but its round has not opened");
  }
  if (outcome == Outcome::kBroken && !broken_.contains(operation) && !world_.has_lost_data()) {
    throw Violation(operation + " hears of a broken round, but nobody has broken it");
  }
  if (outcome == Outcome::kDisagrees) throw Violation(operation + " disagrees with its own kind");
}

// ---- events ----

bool EventChecks::is_set(std::string_view key) const {
  const auto* value = text(key);
  return value != nullptr && *value == "1";
}

void EventChecks::note_state(std::string_view key) {
  if (is_set(key)) last_set_[std::string(key)] = world_.timeline.now();
}

void EventChecks::before_script(const client::Script& script, Words keys, Words) {
  if (!script.name.starts_with("event_")) return;
  note_state(keys[0]);
  before_ = is_set(keys[0]);
}

void EventChecks::after_script(const client::Script& script, Words keys, Words arguments,
                               const Value&) {
  if (!script.name.starts_with("event_")) return;
  note_state(keys[0]);
  if (script.name != "event_set" || calls_.emplace(arguments[0]).second) return;
  // As with notifications.
  const bool is_excused = world_.has_lost_data() || world_.plan.weather.has_late_commands;
  if (before_ != is_set(keys[0]) && !is_excused) {
    throw Violation("the call " + std::string(arguments[0]) + " was executed twice");
  }
}

void EventChecks::lose_data(std::string_view) {
  for (const auto& key : world_.keys()) note_state(key);
}

// Whoever is woken has waited while the event was set, or began so shortly after that the word of
// it was still on its way (docs/decisions.md, 28).
void EventChecks::check_woken(Node& node, primitives::OperationId id, const std::string& key,
                              base::Duration began) {
  note_state(key);
  const auto set = last_set_.find(key);
  const auto latest = world_.plan.weather.worst + 10ms + world_.longest_stop();
  if (set == last_set_.end() || began > set->second + latest) {
    throw Violation(node.name() + ':' + std::to_string(id) + " was woken, but " + key +
                    " was not set");
  }
}

}  // namespace dsync::simulation
