// The rules about what is held for a lease: locks and permits.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "checks.h"
#include "primitives/operation.h"

namespace dsync::simulation {

class LeaseChecks : public Checks {
 public:
  using OperationId = primitives::OperationId;
  using Checks::Checks;

  // ---- from the tasks ----

  // What a client believes that it has. It stays so until end_hold(), but counts only as long as
  // the core says so.
  void begin_hold(Node& node, OperationId id, const std::string& key);
  void end_hold(Node& node, OperationId id);
  // The core says that a hold is over, or the server that nothing was held.
  void hold_was_lost(Node& node, OperationId id);

  void lose_data(std::string_view key) override;
  void node_is_gone(Node& node) override;
  void check() override;
  bool has_lost_data() const { return epoch_of_all_ > 0 || !epochs_.empty(); }

 protected:
  struct Grant {
    std::string token;
    std::uint64_t epoch;  // the losses of data before it
  };

  struct Hold {
    Node* node;
    OperationId id;
    std::string key;
    std::string operation;  // to which the server granted it
    std::uint64_t epoch;
    base::Time valid{};               // until when it was believed at the last look
    base::Time limit = base::kNever;  // where its data was lost: when it must have been heard of
  };

  // How many may hold at a time.
  virtual std::size_t capacity() const = 0;
  // What the client shows of its grant.
  virtual std::string token_of(Node& node, OperationId id) const = 0;
  // Whether one that was granted `grant` may show `token`.
  virtual bool is_by(const std::string& grant, const std::string& token) const {
    return token == grant;
  }
  virtual void note_use(const Hold&, const std::string&) {}
  // Whose holders lose what they have when this key is lost; empty: nobody.
  virtual std::string main_key_of(std::string_view key) const = 0;

  void note_grant(const std::string& key, const std::string& operation, const std::string& token);

 private:
  bool is_believed(const Hold& hold) const;
  std::uint64_t epoch(std::string_view key) const;
  void limit_belief(Hold& hold) const;
  std::vector<Hold>::iterator find(Node& node, OperationId id);

  std::map<std::string, std::uint64_t, std::less<>> epochs_;
  std::uint64_t epoch_of_all_ = 0;
  std::map<std::string, std::vector<Grant>, std::less<>> grants_;  // by operation
  std::vector<Hold> holds_;
};

}  // namespace dsync::simulation
