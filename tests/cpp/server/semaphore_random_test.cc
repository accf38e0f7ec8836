// Random histories of one semaphore: whatever happens, there are never more holders than slots,
// nobody waits while a slot is free, and in the end all slots are free again.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "driver/clock.h"
#include "primitives/commands.h"
#include "support/live_session.h"
#include "support/random.h"
#include "support/server_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::OperationId;
using primitives::Outcome;

constexpr std::size_t kValue = 3;
const std::string kPermits = "{key}:dsync:permits";

class SemaphoreRandomTest : public ServerTest {
 protected:
  struct Operation {
    LiveSession* session;
    OperationId id;
    bool held = false;
  };
  using Operations = std::vector<Operation>;

  SemaphoreRandomTest() {
    for (auto& session : sessions_) session = new_session();
  }

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  std::unique_ptr<LiveSession> new_session() {
    const auto name = "session" + std::to_string(++last_name_);
    auto session = std::make_unique<LiveSession>(server_.unix_address(), name);
    session->connect();
    names_[session.get()] = name;
    return session;
  }

  LiveSession& any_session() { return *sessions_[below(sessions_.size())]; }

  void acquire() {
    if (operations_.size() >= 12) return;
    auto& session = any_session();
    Wish wish{.poll_delay = 10ms, .kind = primitives::Kind::kPermit, .number = kValue};
    wish.lease = leased_ ? 30s : 0s;
    wish.queueing = below(5) != 0;
    operations_.push_back({&session, session.acquire(wish)});
  }

  Operations::iterator any(bool held) {
    std::vector<Operations::iterator> fitting;
    for (auto it = operations_.begin(); it != operations_.end(); ++it) {
      if (it->held == held) fitting.push_back(it);
    }
    return fitting.empty() ? operations_.end() : fitting[below(fitting.size())];
  }

  void abandon() {
    // A permit without lease that is confirmed is the machine's no more.
    const auto it = any(leased_ && below(2) == 0);
    if (it == operations_.end()) return;
    it->session->abandon(it->id);
    operations_.erase(it);
  }

  void release() {
    const auto it = any(true);
    if (it == operations_.end()) return;
    auto [session, id, held] = *it;
    operations_.erase(it);
    if (leased_) {
      session->release(id);
    } else {
      id = session->machine().ask(primitives::add_call(kKey, kValue, false), driver::now());
    }
    releasing_.push_back({session, id});
  }

  void confirm() {
    const auto it = any(true);
    if (!leased_ || it == operations_.end()) return;
    EXPECT_EQ(it->session->outcome(it->session->confirm(it->id, 30s)), Outcome::kHeld);
  }

  void reconnect() {
    auto& session = any_session();
    session.disconnect();
    session.connect();
  }

  // What the session has comes back with the end of its leases.
  void crash() {
    if (!leased_) return;
    auto& session = sessions_[below(sessions_.size())];
    const auto is_its = [&](const Operation& operation) {
      return operation.session == session.get();
    };
    std::erase_if(operations_, is_its);
    std::erase_if(releasing_, is_its);
    session->vanish();
    dead_.insert(names_[session.get()]);
    session = new_session();
  }

  void end_leases_of_the_dead() {
    const auto permits = redis_.ask({"ZRANGE", kPermits, "0", "-1"});
    for (std::size_t i = 0; i < permits.view().size(); ++i) {
      const std::string permit(permits.view().at(i).text());
      if (dead_.contains(permit.substr(0, permit.find(':')))) {
        redis_({"ZADD", kPermits, "XX", "1", permit});
      }
    }
  }

  void take_as_old() {
    old_held_ += redis_.integer(
        {"EVAL",
         "local free = tonumber(redis.call('GET', KEYS[1]) or ARGV[1]) if free <= 0 then return 0 "
         "end redis.call('SET', KEYS[1], free - 1) return 1",
         "1", kKey, std::to_string(kValue)});
  }

  void give_as_old() {
    if (old_held_ == 0) return;
    --old_held_;
    redis_({"INCR", kKey});
  }

  // Notes what was granted, or refused to those that do not queue.
  void take_outcomes() {
    for (auto it = operations_.begin(); it != operations_.end();) {
      if (it->held || !it->session->completed(it->id)) {
        ++it;
        continue;
      }
      if (it->session->outcome(it->id) == Outcome::kBusy) {
        it = operations_.erase(it);
        continue;
      }
      it->held = true;
      if (!leased_) it->session->machine().settle(it->id, true, driver::now());
      ++it;
    }
  }

  // Whether all slots are used that are wanted.
  bool settled() {
    take_outcomes();
    end_leases_of_the_dead();
    const auto holders = std::ranges::count(operations_, true, &Operation::held) + old_held_;
    EXPECT_LE(holders, static_cast<std::int64_t>(kValue));
    expect_each_slot_once();
    return holders == kValue || holders == std::ssize(operations_) + old_held_;
  }

  // At every moment the counter holds the slots that nobody has.
  void expect_each_slot_once() {
    if (!leased_) return;
    const auto used_by_old =
        redis_.integer({"EVAL",
                        "local free = redis.call('GET', KEYS[1]) if not free then return 0 end "
                        "return ARGV[1] - free - redis.call('ZCARD', KEYS[2])",
                        "2", kKey, kPermits, std::to_string(kValue)});
    EXPECT_EQ(used_by_old, old_held_);
  }

  void serve(const std::function<bool()>& done) {
    run_until({sessions_[0].get(), sessions_[1].get(), sessions_[2].get(), sessions_[3].get()},
              done);
  }

  void step() {
    const std::vector<std::function<void()>> actions{
        [&] { reconnect(); },   [&] { redis_({"SCRIPT", "FLUSH"}); },
        [&] { confirm(); },     [&] { abandon(); },
        [&] { crash(); },       [&] { take_as_old(); },
        [&] { give_as_old(); }, [&] { release(); },
        [&] { release(); },     [&] { release(); },
        [&] { acquire(); },     [&] { acquire(); },
        [&] { acquire(); },     [&] { acquire(); }};
    actions[below(actions.size())]();
    // Not always, so that commands and messages of several steps cross.
    if (below(2) == 0) serve([&] { return settled(); });
  }

  void finish() {
    while (!operations_.empty() || old_held_ > 0) {
      serve([&] { return settled(); });
      give_as_old();
      release();
    }
    for (const auto& [session, id, held] : releasing_) {
      serve([&, session = session, id = id] { return session->completed(id); });
      EXPECT_EQ(session->outcome(id), leased_ ? Outcome::kReleased : Outcome::kDone);
    }
    for (auto& session : sessions_) session->settle();
    // A question takes back what is over.
    end_leases_of_the_dead();
    auto& session = any_session();
    const auto question = primitives::free_slots_question(kKey, kValue);
    EXPECT_EQ(session.outcome(session.machine().ask(question, driver::now())), Outcome::kNumber);
  }

  void run(bool leased) {
    leased_ = leased;
    for (int i = 0; i < 1500 && !HasFailure(); ++i) step();
    finish();
    EXPECT_EQ(redis_({"GET", kKey}), '\'' + std::to_string(kValue) + '\'');
    expect_nothing_left({kKey});
  }

  std::mt19937 random_ = seeded();
  bool leased_ = true;
  int last_name_ = 0;
  std::map<LiveSession*, std::string> names_;
  std::set<std::string> dead_;
  std::array<std::unique_ptr<LiveSession>, 4> sessions_;
  Operations operations_;  // those that somebody waits for
  Operations releasing_;
  std::int64_t old_held_ = 0;
};

TEST_F(SemaphoreRandomTest, OfPermitsWithALease) { run(true); }

TEST_F(SemaphoreRandomTest, OfPermitsWithoutALease) { run(false); }

}  // namespace
}  // namespace dsync::tests
