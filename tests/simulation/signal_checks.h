// The rules about barriers and events.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/time.h"
#include "checks.h"
#include "primitives/operation.h"

namespace dsync::simulation {

class SignalChecks : public Checks {
 public:
  using Checks::Checks;
  void check_end() override;
};

class BarrierChecks : public SignalChecks {
 public:
  using SignalChecks::SignalChecks;

  void before_script(const client::Script& script, Words keys, Words arguments) override;
  void after_script(const client::Script& script, Words keys, Words arguments,
                    const Value& reply) override;

  // What a client was told of its round.
  void check_end_of_wait(Node& node, primitives::OperationId id, primitives::Outcome outcome) const;

 private:
  Hash look(Words keys) const;
  void check_opened(const std::set<std::string>& parties, Words arguments) const;

  Hash before_;  // the outcomes that were not confirmed yet
  std::set<std::string, std::less<>> opened_;
  std::set<std::string, std::less<>> broken_;
};

class EventChecks : public SignalChecks {
 public:
  using SignalChecks::SignalChecks;

  void before_script(const client::Script& script, Words keys, Words arguments) override;
  void after_script(const client::Script& script, Words keys, Words arguments,
                    const Value& reply) override;
  void lose_data(std::string_view) override;

  void check_woken(Node& node, primitives::OperationId id, const std::string& key,
                   base::Duration began);

 private:
  bool is_set(std::string_view key) const;
  void note_state(std::string_view key);

  bool before_ = false;
  std::set<std::string, std::less<>> calls_;                     // that have been executed
  std::map<std::string, base::Duration, std::less<>> last_set_;  // when an event was set at last
};

}  // namespace dsync::simulation
