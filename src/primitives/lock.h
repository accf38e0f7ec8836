// The state machine of all locks of one session: who waits, who holds, and which command brings
// each on.
//
//   acquire() ─▶ waiting ─── granted by the reply or by a message ──▶ held ─▶ release() ─▶
//   releasing ─▶ done
//                  │ busy, deadline, error, abandon()                  │ lost
//                  ▼                                                   ▼
//           done, or releasing (withdrawal, nobody waits)             lost ─▶ release() ─▶
//           releasing ─▶ done
//
// Commands may be lost with their connection. Then each operation sends the command of its state
// again, under the same operation id; the scripts make sure that it happens once.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"
#include "client/client.h"
#include "primitives/claim.h"
#include "primitives/lease_table.h"
#include "primitives/operation.h"
#include "primitives/poll_plan.h"

namespace dsync::primitives {

class LockMachine {
 public:
  // `client` must outlive the machine. `session` is the name in its inbox channel.
  LockMachine(client::Client& client, std::string session, std::shared_ptr<LeaseTable> leases,
              std::shared_ptr<LossInbox> losses, std::uint32_t seed);
  ~LockMachine() { forget_all(); }
  LockMachine(const LockMachine&) = delete;
  LockMachine& operator=(const LockMachine&) = delete;

  struct Request {
    std::string_view key;       // as it stands in Redis
    std::string_view token;     // of the lock object
    base::Duration lease;       // kNoExpiry, or at least a millisecond
    bool renewed;               // renew the lease while it is held
    bool queueing;              // wait when the lock is taken
    base::Duration poll_delay;  // between two questions about a lock that is waited for
    base::Time deadline;        // kNever: wait for ever
  };

  // Completes with kGranted, kBusy, kTimedOut or kFailed.
  OperationId acquire(const Request& request, base::Time now);

  // Frees what acquire() was granted. Completes, under the same id, with kReleased, kNotHeld or
  // kFailed. Precondition: `id` was granted, and neither released nor abandoned.
  void release(OperationId id, base::Time now);

  // Nobody waits for `id` any more: what it has or may get is given back without a completion.
  void abandon(OperationId id, base::Time now);

  // Stops to look after `id`, which was granted: its lease runs out by itself, and nobody hears of
  // it.
  void forget(OperationId id);

  // Asks whether `id` still holds, and makes its lease last at least `lease` from now (zero: only
  // asks). Completes, under the id returned, with kHeld, kNotHeld or kFailed.
  OperationId confirm(OperationId id, base::Duration lease, base::Time now);

  // Completes with kLocked, kFree or kFailed.
  OperationId locked(std::string_view key, base::Time now);

  // Of an operation that was granted.
  std::int64_t fence(OperationId id) const { return operations_.at(id).fence; }
  base::Duration valid_for(OperationId id, base::Time now) const;

  // Marks what the renewal found lost. Returns those that are still held by their callers.
  std::vector<OperationId> take_losses();

  // Fails everybody who waits without a deadline: the server stays away for too long.
  void give_up(const base::Error& error);
  // Gives everything back, without completions.
  void abandon_all(base::Time now);
  // Knows nothing any more, and looks after nothing.
  void forget_all();

  // Whether there is anything that only the server can bring on; with `awaited`, anything that a
  // caller waits for.
  bool wants_link(bool awaited) const;

  // From the client.
  void on_reply(client::Cookie cookie, resp::ReplyView reply, base::Time now);
  void on_resend(client::Cookie cookie, base::Time now);
  void on_message(std::string_view message, base::Time now);
  void on_ready(base::Time now);
  void on_lost(base::Time now);
  void tick(base::Time now);
  base::Time deadline() const;

  std::vector<Completion> take_completions() { return std::exchange(completions_, {}); }

 private:
  using Operations = std::unordered_map<OperationId, Operation>;
  enum class Verb : std::uint64_t { kAcquire, kRelease, kAsk };

  OperationId next_id() { return ++last_id_; }
  static client::Cookie cookie(OperationId id, Verb verb);
  void complete(OperationId id, Outcome outcome, base::Error error = {});

  // Sends the command of the operation's state; without a link, on_ready() does it later.
  void send(OperationId id, Operation& operation, base::Time now);
  void send_acquire(OperationId id, Operation& operation, base::Time now);
  void send_release(OperationId id, Operation& operation, base::Time now);
  void send_question(OperationId id, Operation& operation, base::Time now);

  void on_acquire_reply(Operations::iterator it, resp::ReplyView reply, base::Time now);
  void on_release_reply(Operations::iterator it, resp::ReplyView reply, base::Time now);
  void on_answer(Operations::iterator it, resp::ReplyView reply);
  void on_queued(OperationId id, Operation& operation, resp::ReplyView reply, base::Time now);

  // `from` is not after the moment when the server granted a lease of `lease`.
  void grant(OperationId id, Operation& operation, std::int64_t fence, base::Time from,
             base::Duration lease);
  bool holds(OperationId id) const;
  void lose(OperationId id);
  // Ends the waiting of an acquire, and takes back what it may have at the server.
  void withdraw(Operations::iterator it, base::Time now);
  void stop_waiting(OperationId id, const Operation& operation);

  client::Client& client_;
  const std::string session_;
  const std::shared_ptr<LeaseTable> leases_;
  const std::shared_ptr<LossInbox> losses_;
  OperationId last_id_ = 0;
  Operations operations_;
  std::set<std::pair<base::Time, OperationId>> deadlines_;
  PollPlan plan_;
  std::vector<OperationId> lost_;  // found by a confirmation
  std::vector<Completion> completions_;
};

}  // namespace dsync::primitives
