// Renews the leases of a table over a connection of its own: a machine without I/O, driven by a
// native thread (driver/renewal_thread.h) or, over TLS, by a Python thread.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "client/client.h"
#include "primitives/lease_table.h"

namespace dsync::primitives {

class Renewal {
 public:
  explicit Renewal(std::shared_ptr<LeaseTable> table);

  // For the driver: bytes, connections and logins go straight to the client; step() comes after.
  client::Client& client() { return client_; }

  // Handles what has happened and sends what is due. Returns whether the driver must (re)connect:
  // the client is not ready, and something waits for it. `lost` tells whether the link broke since
  // the last step; the driver then closes its connection.
  struct Need {
    bool connect;
    bool lost;
  };
  Need step(base::Time now);

  // How long a driver may wait between two attempts to connect, so that no lease ends meanwhile.
  base::Duration longest_pause() const { return longest_pause_; }

  // When to call step() again, whatever happens.
  base::Time deadline() const;

 private:
  struct Batch {
    std::vector<LeaseTable::ClaimPtr> claims;
    base::Time sent;
  };

  void handle(const client::Event& event, Need& need, base::Time now);
  void on_reply(const client::Event& event, base::Time now);
  void send_batches(std::span<LeaseTable::ClaimPtr> claims, base::Time now);
  void send(std::vector<LeaseTable::ClaimPtr> claims, base::Time now);

  std::shared_ptr<LeaseTable> table_;
  client::Client client_;
  std::unordered_map<client::Cookie, Batch> batches_;
  client::Cookie next_cookie_ = 1;
  base::Time next_scan_ = base::kNever;
  base::Duration longest_pause_;
};

}  // namespace dsync::primitives
