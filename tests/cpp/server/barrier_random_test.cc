// Random histories of one barrier: as many as there are parties open it, a break ends the round of
// all that wait, and whoever went does not count; no round hears of another.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "driver/clock.h"
#include "primitives/commands.h"
#include "support/live_session.h"
#include "support/random.h"
#include "support/server_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using driver::now;
using primitives::OperationId;
using primitives::Outcome;

constexpr std::size_t kParties = 4;
// A poll that comes in no test by itself.
const Wish kParty{
    .lease = 0s, .poll_delay = 1h, .kind = primitives::Kind::kBarrier, .number = kParties};

class BarrierRandomTest : public ServerTest {
 protected:
  struct Party {
    LiveSession* session;
    OperationId id;
  };

  BarrierRandomTest() {
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

  // The server knows who waits, and that all others know how their rounds ended.
  void await_the_server() {
    const auto count = std::to_string(waiting_.size());
    serve([&] {
      return redis_({"GET", kKey}) == '\'' + count + '\'' &&
             redis_.integer({"EXISTS", "{key}:dsync:told"}) == 0;
    });
    for (const auto& [session, id] : waiting_) EXPECT_FALSE(session->completed(id));
  }

  void expect_end(Outcome expected) {
    for (const auto& [session, id] : std::exchange(waiting_, {})) {
      EXPECT_EQ(outcome(*session, id), expected);
      disturb();
    }
  }

  void arrive() {
    auto& session = any_session();
    waiting_.push_back({&session, session.acquire(kParty)});
    disturb();
    if (waiting_.size() == kParties) expect_end(Outcome::kGranted);
  }

  void abandon() {
    if (waiting_.empty()) return;
    const auto it = waiting_.begin() + static_cast<std::ptrdiff_t>(below(waiting_.size()));
    it->session->abandon(it->id);
    waiting_.erase(it);
    disturb();
  }

  void end(const char* word, Outcome expected) {
    auto& session = any_session();
    const auto call = session.machine().ask(primitives::end_call(kKey, word), now());
    disturb();
    EXPECT_EQ(outcome(session, call), Outcome::kDone);
    expect_end(expected);
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

  std::mt19937 random_ = seeded();
  std::array<std::unique_ptr<LiveSession>, 3> sessions_{
      std::make_unique<LiveSession>(server_.unix_address(), "a"),
      std::make_unique<LiveSession>(server_.unix_address(), "b"),
      std::make_unique<LiveSession>(server_.unix_address(), "c")};
  std::vector<Party> waiting_;
};

TEST_F(BarrierRandomTest, EachRoundIsForItsParties) {
  redis_({"SET", kKey, "0"});
  for (int step = 0; step < 1000 && !HasFailure(); ++step) {
    switch (below(12)) {
      case 0:
        end("reset", Outcome::kBroken);
        break;
      case 1:
        end("abort", Outcome::kBroken);
        break;
      case 2:
        end("release", Outcome::kGranted);
        break;
      case 3:
      case 4:
        abandon();
        break;
      default:
        arrive();
    }
    await_the_server();
  }
  end("reset", Outcome::kBroken);
  await_the_server();
  expect_nothing_left({kKey});
}

}  // namespace
}  // namespace dsync::tests
