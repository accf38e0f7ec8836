// Random histories: whatever happens, one operation holds at a time, somebody always comes next,
// the fencing tokens grow, and nothing is left behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/live_session.h"
#include "support/random.h"
#include "support/server_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::OperationId;
using primitives::Outcome;

class LockRandomTest : public ServerTest {
 protected:
  struct Operation {
    LiveSession* session;
    OperationId id;
    bool held = false;
  };

  LockRandomTest() {
    for (auto& session : sessions_) session->connect();
  }

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  LiveSession& any_session() { return *sessions_[below(sessions_.size())]; }

  void acquire() {
    auto& session = any_session();
    // Sometimes the lock objects are one, sometimes they are several.
    const auto token = "token" + std::to_string(below(3));
    operations_.push_back({&session, session.acquire({.token = token, .poll_delay = 10ms})});
  }

  void abandon() {
    if (operations_.empty()) return;
    const auto it = operations_.begin() + static_cast<std::ptrdiff_t>(below(operations_.size()));
    it->session->abandon(it->id);
    operations_.erase(it);
  }

  void release() {
    const auto it = std::ranges::find(operations_, true, &Operation::held);
    if (it == operations_.end()) return;
    it->session->release(it->id);
    releasing_.push_back(*it);
    operations_.erase(it);
  }

  void confirm() {
    const auto it = std::ranges::find(operations_, true, &Operation::held);
    if (it == operations_.end()) return;
    EXPECT_EQ(it->session->outcome(it->session->confirm(it->id, 30s)), Outcome::kHeld);
  }

  void reconnect() {
    auto& session = any_session();
    session.disconnect();
    session.connect();
  }

  // Notes what has been granted, and whether there is a holder where somebody wants to be one.
  bool settled() {
    for (auto& operation : operations_) {
      if (operation.held || !operation.session->completed(operation.id)) continue;
      EXPECT_EQ(operation.session->outcome(operation.id), Outcome::kGranted);
      operation.held = true;
      const auto fence = operation.session->machine().fence(operation.id);
      EXPECT_GT(fence, last_fence_);
      last_fence_ = fence;
    }
    const auto holders = std::ranges::count(operations_, true, &Operation::held);
    EXPECT_LE(holders, 1);
    return holders > 0 || operations_.empty();
  }

  void serve(const std::function<bool()>& done) {
    run_until({sessions_[0].get(), sessions_[1].get(), sessions_[2].get()}, done);
  }

  void expect_all_released() {
    for (const auto& [session, id, held] : releasing_) {
      serve([&, session = session, id = id] { return session->completed(id); });
      EXPECT_EQ(session->outcome(id), Outcome::kReleased);
    }
    for (auto& session : sessions_) session->settle();
    expect_nothing_left();
  }

  std::mt19937 random_ = seeded();
  std::array<std::unique_ptr<LiveSession>, 3> sessions_{
      std::make_unique<LiveSession>(server_.unix_address(), "a"),
      std::make_unique<LiveSession>(server_.unix_address(), "b"),
      std::make_unique<LiveSession>(server_.unix_address(), "c")};
  std::vector<Operation> operations_;  // those that somebody waits for
  std::vector<Operation> releasing_;
  std::int64_t last_fence_ = 0;
};

TEST_F(LockRandomTest, OneHoldsAndSomebodyComesNext) {
  for (int step = 0; step < 1500; ++step) {
    switch (below(10)) {
      case 0:
        reconnect();
        break;
      case 1:
        redis_({"SCRIPT", "FLUSH"});
        break;
      case 2:
        confirm();
        break;
      case 3:
        abandon();
        break;
      case 4:
      case 5:
      case 6:
        release();
        break;
      default:
        if (operations_.size() < 12) acquire();
    }
    // Not always, so that commands and messages of several steps cross.
    if (below(2) == 0) serve([&] { return settled(); });
    if (HasFailure()) break;
  }
  while (!operations_.empty()) {
    serve([&] { return settled(); });
    release();
  }
  expect_all_released();
}

}  // namespace
}  // namespace dsync::tests
