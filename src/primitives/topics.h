// The channels of old processes that a session listens to, and who waits for what is said there.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "client/client.h"
#include "primitives/claim.h"
#include "primitives/names.h"

namespace dsync::primitives {

class Topics {
 public:
  // `client` must outlive this.
  explicit Topics(client::Client& client) : client_(client) {}

  // Sees to it that `id`, which waits for `claim`, hears the channel of its primitive.
  void add(OperationId id, const Claim& claim, base::Time now);
  // Listens a while longer when nobody is left, unless being counted as a listener does harm.
  void remove(OperationId id, const Claim& claim, base::Time now);

  // Whether everything that is said there from now on will be heard.
  bool is_heard(const Claim& claim) const;

  // Those that wait for the channel, oldest first.
  std::vector<OperationId> waiters(std::string_view channel) const;

  // From the client.
  void on_subscribed(std::string_view channel);
  void on_refused(std::string_view channel);
  void on_ready(base::Time now);
  void on_room(base::Time now);
  void on_lost();
  void tick(base::Time now);
  base::Time deadline() const { return next_idle_; }
  void clear();

 private:
  struct Entry {
    std::string companion;
    std::set<OperationId> waiters;
    bool wanted = false;                   // the latest command was to subscribe
    int unanswered = 0;                    // subscriptions on their way
    base::Time idle_until = base::kNever;  // when to stop to listen
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  void subscribe(Entries::value_type& entry, base::Time now);
  Entries::iterator unsubscribe(Entries::iterator it, base::Time now);

  client::Client& client_;
  Entries entries_;
  base::Time next_idle_ = base::kNever;  // not after the first idle_until
};

}  // namespace dsync::primitives
