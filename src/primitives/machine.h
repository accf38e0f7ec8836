// The state machine of all operations of one session: who waits, who holds, and which command
// brings each on.
//
//   acquire(), relock() ─▶ waiting ─── granted by the reply or by a message ──▶ held ─▶ release()
//   ─▶ releasing ─▶ done       │                                            │       │ lost
//                           │ busy, deadline, error, broken, abandon()   │       ▼
//                           ▼                                            │      lost ─▶ release()
//                           ─▶
//                    done, or releasing (withdrawal, nobody waits)       ▼      releasing ─▶ done
//                                                                 told ─▶ settle() ─▶ releasing ─▶
//                                                                 done
//
// Locks and permits with a lease are held; the others are only told that their waiting is over, and
// confirm that they know. Commands may be lost with their connection. Then each operation sends the
// command of its state again, under the same operation id; the scripts make sure that it happens
// once.
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
#include "primitives/local_queues.h"
#include "primitives/operation.h"
#include "primitives/poll_plan.h"
#include "primitives/topics.h"

namespace dsync::primitives {

class Machine {
 public:
  // `client` must outlive the machine. `session` is the name in its inbox channel.
  Machine(client::Client& client, std::string session, std::shared_ptr<LeaseTable> leases,
          std::shared_ptr<LossInbox> losses, std::uint32_t seed);
  ~Machine() { forget_all(); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  struct Request {
    std::string_view key;       // as it stands in Redis
    std::string_view token;     // of the lock object
    base::Duration lease;       // kNoExpiry, or at least a millisecond
    bool renewed;               // renew the lease while it is held
    bool queueing;              // wait when the lock is taken
    base::Duration poll_delay;  // between two questions about what is waited for
    base::Time deadline;        // kNever: wait for ever
    Kind kind = Kind::kLock;
    bool bounded = false;     // of a semaphore
    std::int64_t number = 0;  // value of a semaphore, parties of a barrier
    base::Duration window{};  // for old processes while a fleet migrates; zero: none
    bool local = false;       // of a lock: may change hands within this session for a while
  };

  // Waits for what the request is about. Completes with kGranted, kBusy, kTimedOut, kFailed, and,
  // of a barrier, kBroken or kDisagrees.
  OperationId acquire(const Request& request, base::Time now);

  // Gives the lock that `held` holds back, waits for a notification of its condition, and takes the
  // lock again; the result is what holds it then. Completes with kGranted, kNotHeld or kFailed.
  // Precondition: `held` was granted, and is not used any more.
  OperationId relock(OperationId held, base::Duration poll_delay, base::Time now);

  // Wants the lock of a relock back without a notification. Returns kHeld where it has the lock by
  // now, kBusy where the completion is still to come, kNotHeld where it has failed.
  Outcome rejoin(OperationId id, base::Time now);

  // Confirms that the caller knows of its grant. Of what is held it ends nothing; of a relock only,
  // it may say that the notification `is_used`, or else goes to another waiter.
  void settle(OperationId id, bool is_used, base::Time now);

  // Frees what acquire() was granted. Returns true where a waiter of this session has inherited it,
  // which is granted then; else completes, under the same id, with kReleased, kNotHeld, kOverLimit
  // or kFailed. Precondition: `id` was granted, and neither released nor abandoned.
  bool release(OperationId id, base::Time now);

  // Nobody waits for `id` any more: what it has or may get is given back without a completion.
  void abandon(OperationId id, base::Time now);

  // Stops to look after `id`, which was granted: its lease runs out by itself, and nobody hears of
  // it. What is renewed, and still held by then, is given back by abandon_all().
  void forget(OperationId id, base::Time now);

  // Asks whether `id` still holds, and makes its lease last at least `lease` from now (zero: only
  // asks). Completes, under the id returned, with kHeld, kNotHeld or kFailed.
  OperationId confirm(OperationId id, base::Duration lease, base::Time now);

  // Completes with the outcome that the question means, or kFailed.
  OperationId ask(Question question, base::Time now);

  // Wakes `count` waiters of a condition (-1: all), in the name of the one that holds its lock.
  // Completes with kDone, kNotHeld or kFailed.
  OperationId notify(OperationId holder, std::int64_t count, base::Time now);

  // Whether the operation was granted, and not released or lost since.
  bool holds(OperationId id) const;

  // Of an operation that was granted.
  // As the server knows it: where it was inherited, that of the one to which the server granted it.
  const Claim& claim(OperationId id) const { return *operations_.at(id).claim; }
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
  void on_topic(std::string_view channel, std::string_view message, base::Time now);
  void on_subscribed(std::string_view channel, const base::Error& error, base::Time now);
  void on_ready(base::Time now);
  void on_room(base::Time now);
  void on_lost(base::Time now);
  void tick(base::Time now);
  base::Time deadline() const;

  bool has_completions() const { return !completions_.empty(); }
  std::vector<Completion> take_completions() { return std::exchange(completions_, {}); }

 private:
  using Operations = std::unordered_map<OperationId, Operation>;
  enum class Verb : std::uint64_t { kWait, kLeave, kAsk, kForgo };

  OperationId next_id() { return ++last_id_; }
  static client::Cookie cookie(OperationId id, Verb verb);
  void complete(OperationId id, Outcome outcome, base::Error error = {});
  std::vector<OperationId> ids() const;  // in the order in which they began
  OperationId begin_waiting(std::shared_ptr<Claim> claim, Operation operation, bool local,
                            base::Time now);

  // Sends the command of the operation's state; without a link, on_ready() does it later, and
  // without room on it, on_room().
  void send(OperationId id, Operation& operation, base::Time now);
  bool send_in_state(OperationId id, Operation& operation, base::Time now);
  bool must_listen_first(const Operation& operation) const;

  void on_wait_reply(Operations::iterator it, resp::ReplyView reply, base::Time now);
  void on_wait_ended(Operations::iterator it, resp::ReplyView reply, base::Time now);
  void on_queued(Operations::iterator it, resp::ReplyView reply, base::Time now);
  void on_leave_reply(Operations::iterator it, resp::ReplyView reply, base::Time now);
  void on_answer(Operations::iterator it, resp::ReplyView reply);
  void on_confirmed(OperationId id, const Operation& operation, bool held);
  bool may_be_told(OperationId id) const;
  void on_grant_message(std::string_view message, base::Time now);
  void on_round_message(std::string_view message, base::Time now);
  void hear(std::string_view channel, Operation::Heard heard, base::Time now);
  void queue_again(OperationId id, const Operation& operation, base::Time now);

  // `from` is not after the moment when the server granted a lease of `lease`.
  void grant(OperationId id, Operation& operation, std::int64_t fence, base::Time from,
             base::Duration lease, base::Time now);
  // Ends the waiting of an operation that only needs to be told.
  void tell(OperationId id, Outcome outcome, base::Time now);
  void lose(OperationId id);
  // Forgets what held the lock before a relock; with `still_held`, it holds again.
  void end_former(Operation& operation, bool still_held);
  // Ends the waiting of an operation, and takes back what it may have at the server.
  void withdraw(Operations::iterator it, base::Time now);
  void stop_waiting(OperationId id, Operation& operation, base::Time now);
  PollPlan& plan(const Operation& operation);

  // Within the session (machine_local.cc).
  bool may_inherit(const LocalQueue& queue, base::Time now) const;
  void join_local_queue(OperationId id, Operation& operation, base::Time now);
  void send_those_who_stay(const LocalQueue& queue, base::Time now);
  // Gives the lock to the oldest waiter here, if that is due; `operation` has ended then.
  bool hand_on(OperationId id, Operation& operation, base::Time now);
  void withdraw_place(const Operation& operation, base::Time now);
  // The lock that `operation` held is no longer here: the oldest waiter asks the server.
  void call_oldest(Operation& operation, base::Time now);
  void go_to_server(OperationId id, Operation& operation, base::Time now);
  void stop_holding(Operation& operation);
  void leave_local_queue(Operation& operation);

  client::Client& client_;
  const std::string session_;
  const std::shared_ptr<LeaseTable> leases_;
  const std::shared_ptr<LossInbox> losses_;
  OperationId last_id_ = 0;
  Operations operations_;
  std::set<std::pair<base::Time, OperationId>> deadlines_;
  PollPlan plan_;
  PollPlan
      notification_plan_;  // of those that wait for a notification; the key is that of the lock
  Topics topics_;
  LocalQueues local_;
  std::set<std::pair<base::Time, OperationId>> forgotten_;  // by the end of what they hold
  std::vector<OperationId> lost_;                           // found by a confirmation
  std::vector<Completion> completions_;
};

}  // namespace dsync::primitives
