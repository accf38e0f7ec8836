// One session as Python sees it.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "bindings/conversions.h"
#include "bindings/fork_owned.h"
#include "bindings/idleness.h"
#include "bindings/leases.h"
#include "bindings/pending.h"
#include "bindings/receive_buffer.h"
#include "client/client.h"
#include "driver/reply_wait.h"
#include "primitives/lease_table.h"
#include "primitives/operation.h"
#include "primitives/session.h"

namespace dsync::bindings {

// Reads the clock for the core. All methods must be called by the thread of the session's event
// loop, but for forget(), which may come from a garbage collection in any thread that holds the
// GIL.
class Session {
 public:
  // `loss_fd` gets a byte when a renewal finds a lock lost. What no task of `loop` awaits is
  // appended to `events`, a deque, and stays there until Python has dealt with it: an exception of
  // a signal handler may come between any two of its lines. `failure` makes an exception of the
  // kind and the text of an error.
  Session(std::string name, std::uint32_t seed, double reply_timeout, double ping_interval,
          std::shared_ptr<Leases> leases, int loss_fd, py::object loop, py::object failure,
          py::object events);
  ~Session();

  // The outcome of an operation that was just started, to be awaited once. Who is alone in a loop
  // with nothing else to do needs no turn of the loop, and has it here; but for `own`, which the
  // loop is to call, and may as well call later.
  py::object outcome(std::uint64_t operation, py::handle own);
  std::size_t awaited() const { return pending_.size(); }  // how many of them have not come
  // Whether there are events to deal with, or outcomes that have come and are not told.
  bool has_news() const { return !ready_.empty() || py::len(events_) > 0; }
  // Whether there is one outcome to come, and nothing to do before.
  bool is_alone() const { return awaited() == 1 && !has_news(); }
  // Runs the tasks whose outcomes have come, each until it waits again, or, unless `at_once`, lets
  // the loop do that. Returns what is to be done before the next one: kAdvance for events, kSend
  // for much output, kNone where that was the last.
  int resume(bool at_once);
  // Fails every task, and gives back what it has waited for.
  void fail_all(int kind, const py::str& text);

  // The sockets of both links, for outcome(). They are taken back before they are closed.
  void lend(int commands, int inbox) { sockets_ = {commands, inbox}; }
  void take_back() { sockets_.reset(); }
  void connected(std::size_t channel, const client::Login& login);
  void disconnected(const std::string& reason);
  // What a transport has written into the buffer.
  void received(std::size_t channel, std::size_t size);
  // Reads from a socket, and sends to it. Nothing of Python comes between the socket and the
  // session, so no exception of a signal handler can make one of them miss what the other saw.
  // Both raise OSError where the connection is broken.
  bool receive(std::size_t channel, int fd);  // false: the server has ended it
  bool send(std::size_t channel, int fd);     // whether everything was sent
  void tick();
  // Seconds until tick() is due, if that is earlier than what was told since the last tick(); else
  // -1.
  double due_in();
  // What is to be done now that was not told before.
  enum class Work : int { kNone, kSend /* commands, and no more */, kAdvance /* all of it */ };
  int work();
  py::object take_output(std::size_t channel);  // bytes, or None where there are none
  ReceiveBuffer* buffer(std::size_t channel);

  std::uint64_t acquire(std::string_view key, std::string_view token, double lease, bool renewed,
                        bool queueing, double poll_delay, double timeout, double window,
                        bool local);
  std::uint64_t acquire_permit(std::string_view key, std::int64_t value, bool bounded, double lease,
                               bool renewed, bool queueing, double poll_delay, double timeout,
                               double window);
  std::uint64_t wait_for_notification(std::string_view lock, double poll_delay);
  std::uint64_t wait_for_parties(std::string_view barrier, std::int64_t parties, double poll_delay);
  std::uint64_t wait_for_event(std::string_view event, double poll_delay);
  std::uint64_t relock(std::uint64_t held, double poll_delay);
  int rejoin(std::uint64_t id);
  void settle(std::uint64_t id, bool is_used);
  // Gives the outcome, as outcome() does; it may be known already.
  py::object release(std::uint64_t id, py::handle own);
  void abandon(std::uint64_t id);
  void forget(std::uint64_t id);
  std::uint64_t confirm(std::uint64_t id, double lease);
  bool is_held(std::uint64_t id) const { return core_->machine().holds(id); }
  std::uint64_t locked(std::string_view key);
  std::uint64_t drop(std::string_view key);
  std::uint64_t free_slots(std::string_view key, std::int64_t value);
  std::uint64_t add_slot(std::string_view key, std::int64_t value, bool bounded);
  std::uint64_t notify(std::uint64_t holder, std::int64_t count);
  std::uint64_t parties_waiting(std::string_view barrier);
  std::uint64_t end_round(std::string_view barrier, std::string_view word);
  std::uint64_t is_set(std::string_view event);
  std::uint64_t set_event(std::string_view event, bool value);
  const std::string& token(std::uint64_t id) const { return core_->machine().claim(id).token; }
  std::int64_t fence(std::uint64_t id) const;
  double valid_for(std::uint64_t id) const;

  void give_up(const std::string& reason);
  void abandon_all();
  // Looks after nothing any more, and leaves `loss_fd` alone. Nothing may be called after it.
  void close();
  bool wants_link(bool awaited) const { return core_->machine().wants_link(awaited); }

 private:
  void put(std::uint64_t operation, std::int64_t number, const base::Error* error = nullptr);
  bool has_much_to_send();
  void put_outcome(const primitives::Completion& completion);
  void put_events();
  using Sockets = driver::ReplyWait::Sockets;
  void exchange(std::uint64_t operation, Sockets sockets, base::Duration limit);
  bool send_all(Sockets sockets);
  bool receive_all(Sockets sockets, base::Time end);
  driver::ReplyWait::Readable wait_readable(Sockets sockets, base::Duration limit);
  void received(client::Channel channel, std::span<const char> bytes);
  void tell_deadline();
  std::uint64_t wait(primitives::Kind kind, std::string_view key, std::int64_t number,
                     double poll_delay);
  std::uint64_t ask(primitives::Question question);

  std::shared_ptr<Leases> leases_;
  std::shared_ptr<primitives::LossInbox> losses_;
  ForkOwned<primitives::Session> core_;
  py::object loop_, failure_, events_;
  Idleness idleness_;
  std::optional<Sockets> sockets_;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::optional<Pending> newest_;        // of outcome(), which must not own it while it waits
  std::deque<Pending> ready_;            // their outcomes are set, their tasks do not know yet
  std::size_t asked_to_send_ = 0;        // of the commands, what there is no room for
  base::Time announced_ = base::kNever;  // what due_in() told last
  std::array<ReceiveBuffer, 2> buffers_;
  driver::ReplyWait reply_wait_, message_wait_;
};

void bind_session(py::module_& module);

}  // namespace dsync::bindings
