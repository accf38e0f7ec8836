// A session over real sockets, driven by the test's own thread.
#pragma once

#include <array>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "client/client.h"
#include "driver/socket.h"
#include "primitives/lease_table.h"
#include "primitives/session.h"
#include "support/outcome.h"
#include "support/wish.h"

namespace dsync::tests {

class LiveSession {
 public:
  using OperationId = primitives::OperationId;
  using Outcome = primitives::Outcome;

  LiveSession(driver::Address address, std::string name,
              std::shared_ptr<primitives::LeaseTable> table = {});

  primitives::Machine& machine() { return session_.machine(); }
  primitives::LeaseTable& leases() { return *table_; }
  primitives::LossInbox& losses() { return *losses_; }

  // Opens both links, and serves them until the greeting is over.
  void connect();
  bool connected() { return session_.client().ready(); }
  // Closes both links; the core does not hear of it, as if its process had died.
  void vanish();
  // Closes both links, and the core hears of it.
  void disconnect();

  // Starts an operation, and sends it.
  OperationId acquire(const Wish& wish = Wish());
  void release(OperationId id);
  void abandon(OperationId id);
  OperationId confirm(OperationId id, base::Duration lease);

  // What became of an operation. Each outcome is given once.
  bool completed(OperationId id) const { return outcomes_.contains(id); }
  Outcome outcome(OperationId id);  // Serves until there is one.
  // The text of the error when outcome() was kFailed.
  const std::string& error() const { return error_; }
  // The number when it was kNumber.
  std::int64_t number() const { return number_; }

  // Serves until the server has executed everything that was sent before.
  void settle();

  // acquire() and outcome() of one that must be granted at once; an acquire that must be queued.
  OperationId hold(const Wish& wish = Wish());
  OperationId queue(const Wish& wish = Wish());

  // Called before each command leaves; each waits for the answer of the one before.
  void before_each_command(std::function<void()> hook) { hook_ = std::move(hook); }
  // Called after each command has left; where it says so, the links break when the server has
  // executed the command, before its reply is read.
  void lose_replies(std::function<bool()> chosen) { loses_reply_ = std::move(chosen); }

 private:
  friend void run_until(std::initializer_list<LiveSession*>, const std::function<bool()>&);
  static constexpr std::size_t kLinks = 2;

  void flush();
  void send_one_by_one(std::string_view bytes);
  void send_all(client::Channel channel, std::string_view bytes);
  // Serves the commands link until one more reply has come.
  void await_reply();
  // Passes to the core what has come, and returns it.
  std::string receive(client::Channel channel);
  void take_events();

  const driver::Address address_;
  std::shared_ptr<primitives::LeaseTable> table_;
  std::shared_ptr<primitives::LossInbox> losses_;
  primitives::Session session_;
  std::array<driver::Descriptor, kLinks> sockets_;
  std::unordered_map<OperationId, primitives::Completion> outcomes_;
  std::string error_;
  std::int64_t number_ = 0;
  std::function<void()> hook_;
  std::function<bool()> loses_reply_;
};

// Serves the sessions until `done` is true; throws when that takes too long.
void run_until(std::initializer_list<LiveSession*> sessions, const std::function<bool()>& done);

}  // namespace dsync::tests
