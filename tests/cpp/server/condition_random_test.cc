// Random histories of one condition: each notification wakes exactly those that waited longest, and
// goes to the next that waited then when one of them does not use it; nothing else wakes anybody.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "driver/clock.h"
#include "support/live_session.h"
#include "support/random.h"
#include "support/server_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using driver::now;
using primitives::OperationId;
using primitives::Outcome;

// A poll that comes in no test by itself.
const Wish kNotified{.lease = 0s, .poll_delay = 1h, .kind = primitives::Kind::kCondition};

class ConditionRandomTest : public ServerTest {
 protected:
  struct Waiter {
    LiveSession* session;
    OperationId id;
    bool with_lock;
  };

  ConditionRandomTest() {
    for (auto& session : sessions_) session->connect();
  }

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  LiveSession& any_session() { return *sessions_[below(sessions_.size())]; }

  void serve(const std::function<bool()>& done) {
    run_until({sessions_[0].get(), sessions_[1].get(), sessions_[2].get()}, done);
  }

  Outcome outcome(LiveSession& session, OperationId id) {
    serve([&] { return session.completed(id); });
    return session.outcome(id);
  }

  // The server knows everybody that waits, and that all others know that they were woken.
  void await_the_server() {
    const auto members = [&](const std::string& suffix) {
      return redis_.integer({"ZCARD", "{key}:dsync:" + suffix});
    };
    serve([&] { return members("waiting") == std::ssize(waiting_) && members("told") == 0; });
    for (const auto& waiter : waiting_) EXPECT_FALSE(waiter.session->completed(waiter.id));
  }

  void wait() {
    if (waiting_.size() >= 8) return;
    auto& session = any_session();
    const bool with_lock = below(2) == 0;
    const auto id = with_lock ? session.machine().relock(session.hold(), 1h, now())
                              : session.acquire(kNotified);
    waiting_.push_back({&session, id, with_lock});
  }

  void abandon() {
    if (waiting_.empty()) return;
    const auto it = waiting_.begin() + static_cast<std::ptrdiff_t>(below(waiting_.size()));
    it->session->abandon(it->id);
    waiting_.erase(it);
  }

  void disturb() {
    switch (below(6)) {
      case 0: {
        auto& session = any_session();
        session.disconnect();
        session.connect();
        break;
      }
      case 1:
        redis_({"SCRIPT", "FLUSH"});
        break;
      default:
        break;
    }
  }

  void notify() {
    auto& session = any_session();
    const auto lock = session.hold();
    const auto count = below(4);
    disturb();
    const auto call = session.machine().notify(lock, static_cast<std::int64_t>(count), now());
    disturb();
    EXPECT_EQ(outcome(session, call), Outcome::kDone);
    for (std::size_t i = 0; i < count; ++i) wake_the_oldest();
    disturb();
    session.release(lock);
    EXPECT_EQ(outcome(session, lock), Outcome::kReleased);
    for (std::size_t i = 0; i < woken_.size() && !HasFailure(); ++i) use(woken_[i]);
    woken_.clear();
  }

  void wake_the_oldest() {
    if (waiting_.empty()) return;
    woken_.push_back(waiting_.front());
    waiting_.erase(waiting_.begin());
  }

  void use(const Waiter waiter) {
    auto& [session, id, with_lock] = waiter;
    EXPECT_EQ(outcome(*session, id), Outcome::kGranted);
    const bool is_used = below(3) != 0;
    session->machine().settle(id, is_used, now());
    if (!is_used) {
      // One whose links break just when it would be woken is passed over.
      session->settle();
      wake_the_oldest();
    }
    disturb();
    if (!with_lock) return;
    session->release(id);
    EXPECT_EQ(outcome(*session, id), Outcome::kReleased);
  }

  std::mt19937 random_ = seeded();
  std::array<std::unique_ptr<LiveSession>, 3> sessions_{
      std::make_unique<LiveSession>(server_.unix_address(), "a"),
      std::make_unique<LiveSession>(server_.unix_address(), "b"),
      std::make_unique<LiveSession>(server_.unix_address(), "c")};
  std::vector<Waiter> waiting_;  // oldest first
  std::vector<Waiter> woken_;    // in the order of their notifications
};

TEST_F(ConditionRandomTest, EachNotificationIsForTheOldestThatWantsIt) {
  for (int step = 0; step < 600 && !HasFailure(); ++step) {
    switch (below(8)) {
      case 0:
        abandon();
        break;
      case 1:
      case 2:
        notify();
        break;
      case 3:
        disturb();
        break;
      default:
        wait();
    }
    await_the_server();
  }
  while (!waiting_.empty()) {
    abandon();
    await_the_server();
  }
  for (auto& session : sessions_) session->settle();
  expect_nothing_left();
}

}  // namespace
}  // namespace dsync::tests
