// A session named "s" whose server is played by the test, command by command.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "primitives/session.h"
#include "support/wire.h"
#include "support/wish.h"

namespace dsync::tests {

using Texts = std::vector<std::string>;

// What a script answers to an operation that waits.
struct Queued {
  std::int64_t ttl_ms = -1;
  std::int64_t rank = 1;
  std::int64_t length = 1;
  std::int64_t server_us = 1'000'000'000;
  std::int64_t added = 1;
};

std::string reply(const Queued& queued);

// What lock_acquire answers to an operation that it has granted; the other scripts answer
// bulk("1").
std::string granted(std::int64_t fence);

// What is published on a channel, as the inbox connection brings it.
std::string published(std::string_view channel, std::string_view text);

// A message to the session itself.
std::string told(std::string_view text);

// The message of a grant by hand-over, of an operation like "s:1".
std::string grant_message(std::string_view operation, std::int64_t fence, std::int64_t server_us);

// A command in short: "lock_acquire s:1", "barrier_count key" where no operation is named, or all
// its words.
std::string in_short(const Command& command);

// What a script call says: its keys and arguments.
Texts keys_of(const Command& command);
Texts arguments_of(const Command& command);

class MachineTest : public ::testing::Test {
 protected:
  using Outcome = primitives::Outcome;
  using OperationId = primitives::OperationId;

  MachineTest();

  // Makes both links and answers their greeting.
  void connect();
  void lose() { session_.disconnected("gone", now_); }
  void answer(const std::string& bytes);
  void push(const std::string& bytes);
  // Lets the time of the next deadline come; returns how long that took.
  base::Duration tick();

  // Every command written since the last call, in full and in short.
  std::vector<Command> take_commands();
  Texts take();
  // The same of the inbox connection.
  Texts take_inbox();
  // Confirms what was subscribed there since the last call.
  void serve_inbox();

  OperationId acquire(const Wish& wish);
  OperationId acquire() { return acquire(Wish()); }
  // An acquire whose grant the server answers at once.
  OperationId hold(const Wish& wish = Wish(), std::int64_t fence = 1'700'000'000'000'000);
  // An acquire that the server has queued.
  OperationId wait(const Wish& wish = Wish(), const Queued& queued = Queued());

  bool looked_after() { return table_->scan(now_).next != base::kNever; }

  // What has completed since the last call: "1 granted", "2 failed: OOM …".
  Texts completed();

  primitives::Machine& machine() { return session_.machine(); }

  base::Time now_{std::chrono::hours(1)};
  std::shared_ptr<primitives::LeaseTable> table_ = std::make_shared<primitives::LeaseTable>();
  std::shared_ptr<primitives::LossInbox> losses_ = std::make_shared<primitives::LossInbox>([] {});
  primitives::Session session_;
};

}  // namespace dsync::tests
