// A renewal thread beside a real server, and what a test hears of both.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "driver/renewal_thread.h"
#include "primitives/lease_table.h"
#include "support/server_fixture.h"

namespace dsync::tests {

class RenewalThreadTest : public ServerTest {
 protected:
  using ClaimPtr = std::shared_ptr<primitives::Claim>;

  struct Terms {
    std::string key = kKey;
    base::Duration lease = std::chrono::seconds(30);
    base::Duration renew_after{};  // counted from now
  };

  RenewalThreadTest();

  void start() { start(server_.unix_address()); }
  void start(const driver::Address& address, client::Login login = {});

  // Takes a lock at the server, and has it looked after. A tenth of its lease is gone already, so
  // that every renewal changes something.
  ClaimPtr hold() { return hold(Terms()); }
  ClaimPtr hold(const Terms& terms);
  ClaimPtr take(const Terms& terms);
  void look_after(const ClaimPtr& claim, base::Duration renew_after);

  // Leaves so much of the lease at the server.
  void shorten(const std::string& key, base::Duration left);

  // Waits until the server has renewed the lock `times` times more.
  void await_renewals(const std::string& key = kKey, int times = 1);

  // Waits for a loss, and gives the operation that suffered it.
  primitives::OperationId await_loss();
  bool lost_nothing() { return losses_->take().empty(); }

  // The id of the thread's connection at the server; nothing while there is none.
  std::optional<std::string> connection_id();

  static std::set<std::string> threads();
  static std::size_t descriptors();

  driver::Descriptor loss_signal_;
  std::shared_ptr<primitives::LossInbox> losses_;
  std::shared_ptr<primitives::LeaseTable> table_ = std::make_shared<primitives::LeaseTable>();
  Connection events_{server_.unix_address()};
  std::map<std::string, int> renewals_;  // that nobody has waited for yet, by key
  primitives::OperationId last_id_ = 0;
  std::unique_ptr<driver::RenewalThread> thread_;
};

}  // namespace dsync::tests
