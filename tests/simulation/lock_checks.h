// The rules about locks.
#pragma once

#include <map>
#include <string>

#include "lease_checks.h"

namespace dsync::simulation {

class LockChecks : public LeaseChecks {
 public:
  using LeaseChecks::LeaseChecks;

  void before_script(const client::Script& script, Words keys, Words arguments) override;
  void after_script(const client::Script& script, Words keys, Words arguments,
                    const Value& reply) override;
  void check_end() override;

 protected:
  std::size_t capacity() const override { return 1; }
  std::string token_of(Node& node, OperationId id) const override;
  bool is_by(const std::string& grant, const std::string& token) const override;
  void note_use(const Hold& hold, const std::string& token) override;
  std::string main_key_of(std::string_view key) const override;

 private:
  // Of a lock, as the server has it.
  struct Look {
    bool is_taken = false;
    std::string fence{};
    SortedSet queue{};
  };

  Look look(Words keys) const;
  void check_grant(const std::string& key, const Look& after);

  Look before_;
  std::string own_;     // the operation that the script is about
  std::string former_;  // the one that had the lock before a relock
  std::map<std::string, std::string, std::less<>> last_digits_;  // by lock
  std::map<std::string, std::string, std::less<>> last_used_;    // by operation of the server
};

}  // namespace dsync::simulation
