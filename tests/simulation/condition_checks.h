// The rules about notifications.
#pragma once

#include <set>
#include <string>

#include "checks.h"
#include "primitives/operation.h"

namespace dsync::simulation {

class ConditionChecks : public Checks {
 public:
  using Checks::Checks;

  void before_script(const client::Script& script, Words keys, Words arguments) override;
  void after_script(const client::Script& script, Words keys, Words arguments,
                    const Value& reply) override;

  // A client was woken that had not been cancelled.
  void check_woken(Node& node, primitives::OperationId id) const;

 private:
  struct Look {
    SortedSet waiting{};
    SortedSet told{};
  };

  Look look(Words keys) const { return {members(keys[3]), members(keys[4])}; }
  void check_call(Words arguments, const Look& after, const Value& reply);
  void check_passed_on(const Look& after, std::string_view own, bool is_confirmed) const;
  std::size_t count_new(const Look& after) const;

  Look before_;
  std::set<std::string, std::less<>> calls_;  // notifications that have been executed
  std::set<std::string, std::less<>> told_;   // every operation that was ever notified
};

}  // namespace dsync::simulation
