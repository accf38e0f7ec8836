// The leases that a process holds, and when each must be renewed. Used by two threads: sessions add
// and remove, the renewal asks what is due.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "primitives/claim.h"

namespace dsync::primitives {

// Where a session hears that it lost a lock.
class LossInbox {
 public:
  // `notify` is called from the renewal thread after each loss; it must not block.
  explicit LossInbox(std::function<void()> notify) : notify_(std::move(notify)) {}

  void put(OperationId id);
  std::vector<OperationId> take();

  // After this returns, `notify` is not called any more.
  void close();

 private:
  std::mutex mutex_;
  std::function<void()> notify_;
  std::vector<OperationId> lost_;
};

class LeaseTable {
 public:
  using ClaimPtr = std::shared_ptr<Claim>;

  // `wake` is called, without any lock held, when something is due earlier than the last scan()
  // said.
  void set_wake(std::function<void()> wake);

  // Starts to look after a claim that is held; the first renewal is due at `renew_at`.
  void add(ClaimPtr claim, std::shared_ptr<LossInbox> losses, base::Time renew_at);
  void remove(const Claim& claim);

  struct Scan {
    std::vector<ClaimPtr> due;  // to be renewed now; they count as in flight from here on
    base::Time next;            // when to scan again
    base::Duration shortest;    // of all leases; Duration::max() when there is none
  };
  // Tells the losses of leases that have run out, and what must be renewed now.
  Scan scan(base::Time now);

  // The server has renewed the claim by a command sent at `sent`.
  void renewed(const Claim& claim, base::Time sent);
  // The server says that somebody else has the lock, or nobody.
  void lost(const Claim& claim);
  // The server refused to say; ask again soon.
  void postpone(const Claim& claim, base::Time now);
  // What is in flight will not be answered, and is due again. With `all`, so is everything else:
  // a server that went away may have forgotten.
  void retry(bool all);

  // For a fork: nothing else may hold the mutex while the process is copied.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct Entry {
    ClaimPtr claim;
    std::shared_ptr<LossInbox> losses;
    base::Time renew_at;
    bool in_flight = false;
  };

  std::mutex mutex_;
  std::function<void()> wake_;
  std::unordered_map<const Claim*, Entry> entries_;
  base::Time planned_ = base::kNever;  // when the next scan comes by itself
};

}  // namespace dsync::primitives
