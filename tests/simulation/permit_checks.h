// The rules about semaphores.
#pragma once

#include <map>
#include <string>

#include "lease_checks.h"

namespace dsync::simulation {

class PermitChecks : public LeaseChecks {
 public:
  using LeaseChecks::LeaseChecks;

  void before_script(const client::Script& script, Words keys, Words arguments) override;
  void after_script(const client::Script& script, Words keys, Words arguments,
                    const Value& reply) override;
  void check_end() override;

 protected:
  std::size_t capacity() const override;
  std::string token_of(Node&, OperationId) const override { return {}; }
  std::string main_key_of(std::string_view key) const override;

 private:
  // Of a semaphore, as the server has it.
  struct Look {
    std::int64_t free = 0;
    SortedSet queue{};
    SortedSet permits{};
  };

  Look look(Words keys) const;
  bool is_open() const;
  bool leaves_free(const Look& state) const { return state.free > 0 && anybody_waits(state.queue); }

  template <typename Each>
  void for_each(const client::Script& script, Words keys, Each each) const;

  std::map<std::string, Look> before_;  // by semaphore
};

}  // namespace dsync::simulation
