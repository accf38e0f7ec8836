// All of one session in one place: the client, the machines of the primitives, and the way of
// events from one to the other. The bindings and the simulation drive it; see client/client.h for
// how.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "client/client.h"
#include "primitives/lease_table.h"
#include "primitives/machine.h"

namespace dsync::primitives {

class Session {
 public:
  struct Options {
    std::string name;  // random, unique among all sessions of the server
    std::uint32_t seed;
    base::Duration reply_timeout;
    base::Duration ping_interval;
  };

  Session(Options options, std::shared_ptr<LeaseTable> leases, std::shared_ptr<LossInbox> losses);

  Machine& machine() { return machine_; }
  client::Client& client() { return client_; }

  void received(client::Channel channel, std::span<const char> bytes, base::Time now);
  void disconnected(std::string_view reason, base::Time now);
  void tick(base::Time now);
  base::Time deadline() const;

  // What happened to the links since it was asked last.
  struct LinkNews {
    bool ready = false;
    bool healthy = false;
    std::optional<base::Error> lost{};  // with the reason
  };
  LinkNews take_link_news() { return std::exchange(news_, {}); }

 private:
  void dispatch(base::Time now);

  client::Client client_;
  Machine machine_;
  LinkNews news_;
};

}  // namespace dsync::primitives
