// All primitives end to end when the server forgets the scripts, or a reply is lost: each outcome
// is the same, everything happens once, and nothing is left behind.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "driver/clock.h"
#include "primitives/commands.h"
#include "support/live_session.h"
#include "support/server_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using driver::now;
using primitives::Kind;
using primitives::OperationId;
using primitives::Outcome;

// A poll that comes in no test by itself: whatever happens then happens without it.
const Wish kLock{.poll_delay = 1h};
const Wish kPermit{.poll_delay = 1h, .kind = Kind::kPermit, .number = 1};
const Wish kBounded{.poll_delay = 1h, .kind = Kind::kPermit, .bounded = true, .number = 1};
const Wish kUnleased{.lease = 0s, .poll_delay = 1h, .kind = Kind::kPermit, .number = 1};
const Wish kNotified{.lease = 0s, .poll_delay = 1h, .kind = Kind::kCondition};
const Wish kParty{.lease = 0s, .poll_delay = 1h, .kind = Kind::kBarrier, .number = 2};
const Wish kEvent{.lease = 0s, .poll_delay = 1h, .kind = Kind::kEvent};

class PrimitivesTest : public ServerTest {
 protected:
  PrimitivesTest() {
    a_.connect();
    b_.connect();
  }

  // Serves both sessions, and connects them again when they are not.
  void serve(const std::function<bool()>& done) {
    run_until({&a_, &b_}, [&] {
      for (auto* session : {&a_, &b_}) {
        if (!session->connected()) session->connect();
      }
      return done();
    });
  }

  Outcome outcome(LiveSession& session, OperationId id) {
    serve([&] { return session.completed(id); });
    return session.outcome(id);
  }

  OperationId granted(LiveSession& session, const Wish& wish) {
    const auto id = session.acquire(wish);
    EXPECT_EQ(outcome(session, id), Outcome::kGranted);
    return id;
  }

  Outcome ask(LiveSession& session, primitives::Question question) {
    return outcome(session, session.machine().ask(std::move(question), now()));
  }

  std::int64_t number(LiveSession& session, primitives::Question question) {
    EXPECT_EQ(ask(session, std::move(question)), Outcome::kNumber);
    return session.number();
  }

  Outcome release(LiveSession& session, OperationId id) {
    session.release(id);
    return outcome(session, id);
  }

  void await_members(const std::string& suffix, std::int64_t count) {
    serve([&] { return redis_.integer({"ZCARD", "{key}:dsync:" + suffix}) == count; });
  }

  void semaphore();
  void condition();
  void barrier();
  void event();

  LiveSession a_{server_.unix_address(), "a"};
  LiveSession b_{server_.unix_address(), "b"};
};

void PrimitivesTest::semaphore() {
  const auto first = granted(a_, kPermit);
  EXPECT_EQ(outcome(a_, a_.confirm(first, 40s)), Outcome::kHeld);
  const auto second = b_.acquire(kPermit);
  await_members("queue", 1);
  EXPECT_EQ(number(a_, primitives::free_slots_question(kKey, 1)), 0);
  a_.release(first);
  EXPECT_EQ(outcome(b_, second), Outcome::kGranted);
  EXPECT_EQ(outcome(a_, first), Outcome::kReleased);
  const auto withdrawn = a_.acquire(kPermit);
  await_members("queue", 1);
  a_.abandon(withdrawn);
  await_members("queue", 0);
  EXPECT_EQ(release(b_, second), Outcome::kReleased);
  EXPECT_EQ(ask(a_, primitives::add_call(kKey, 1, true)), Outcome::kOverLimit);
  a_.machine().settle(granted(a_, kUnleased), true, now());
  EXPECT_EQ(number(b_, primitives::free_slots_question(kKey, 1)), 0);
  EXPECT_EQ(ask(a_, primitives::add_call(kKey, 1, false)), Outcome::kDone);
  EXPECT_EQ(release(b_, granted(b_, kBounded)), Outcome::kReleased);
  await_members("permits", 0);
  EXPECT_EQ(redis_({"GET", kKey}), "'1'");
  expect_nothing_left({kKey, "key_max_value"});
}

void PrimitivesTest::condition() {
  const auto former = granted(b_, kLock);
  auto relock = b_.machine().relock(former, 1h, now());
  await_members("waiting", 1);
  const auto first = b_.acquire(kNotified);
  await_members("waiting", 2);
  const auto second = b_.acquire(kNotified);
  await_members("waiting", 3);
  const auto withdrawn = a_.acquire(kNotified);
  await_members("waiting", 4);
  a_.abandon(withdrawn);
  await_members("waiting", 3);
  const auto holder = granted(a_, kLock);
  EXPECT_EQ(outcome(a_, a_.machine().notify(holder, 2, now())), Outcome::kDone);
  EXPECT_EQ(outcome(b_, first), Outcome::kGranted);
  EXPECT_FALSE(b_.completed(second));
  b_.machine().settle(first, false, now());
  EXPECT_EQ(outcome(b_, second), Outcome::kGranted);
  b_.machine().settle(second, true, now());
  EXPECT_FALSE(b_.completed(relock));
  EXPECT_EQ(release(a_, holder), Outcome::kReleased);
  EXPECT_EQ(outcome(b_, relock), Outcome::kGranted);
  b_.machine().settle(relock, true, now());
  await_members("told", 0);
  relock = b_.machine().relock(relock, 1h, now());
  await_members("waiting", 1);
  // A rejoin that meets a lost reply may be done before it is asked for.
  const auto rejoined = b_.machine().rejoin(relock, now());
  EXPECT_EQ(rejoined, Outcome::kBusy);
  EXPECT_EQ(outcome(b_, relock), Outcome::kGranted);
  b_.machine().settle(relock, false, now());
  EXPECT_EQ(release(b_, relock), Outcome::kReleased);
  EXPECT_EQ(redis_({"EXISTS", kKey}), "0");
  expect_nothing_left();
}

void PrimitivesTest::barrier() {
  for (int round = 0; round < 3; ++round) {
    const auto first = a_.acquire(kParty);
    const auto second = b_.acquire(kParty);
    EXPECT_EQ(outcome(a_, first), Outcome::kGranted);
    EXPECT_EQ(outcome(b_, second), Outcome::kGranted);
  }
  const auto broken = a_.acquire(kParty);
  await_members("parties", 1);
  EXPECT_EQ(ask(b_, primitives::end_call(kKey, "reset")), Outcome::kDone);
  EXPECT_EQ(outcome(a_, broken), Outcome::kBroken);
  const auto alone = a_.acquire(kParty);
  await_members("parties", 1);
  EXPECT_EQ(number(a_, primitives::waiting_question(kKey)), 1);
  auto other = kParty;
  other.number = 3;
  EXPECT_EQ(outcome(b_, b_.acquire(other)), Outcome::kDisagrees);
  a_.abandon(alone);
  serve([&] { return redis_({"GET", kKey}) == "'0'"; });
  serve([&] { return redis_.integer({"EXISTS", "{key}:dsync:told"}) == 0; });
  expect_nothing_left({kKey});
}

void PrimitivesTest::event() {
  const auto set = [&](LiveSession& session, bool value) {
    EXPECT_EQ(ask(session, primitives::set_call(kKey, value)), Outcome::kDone);
    EXPECT_EQ(number(session, primitives::is_set_question(kKey)), value ? 1 : 0);
  };
  set(a_, false);
  const auto first = a_.acquire(kEvent);
  const auto second = b_.acquire(kEvent);
  const auto withdrawn = b_.acquire(kEvent);
  b_.abandon(withdrawn);
  set(b_, true);
  EXPECT_EQ(outcome(a_, first), Outcome::kGranted);
  EXPECT_EQ(outcome(b_, second), Outcome::kGranted);
  granted(a_, kEvent);
  set(a_, false);
  expect_nothing_left({kKey});
}

class PrimitivesLossTest : public PrimitivesTest,
                           public ::testing::WithParamInterface<std::string> {
 protected:
  void play() {
    if (GetParam() == "semaphore") return semaphore();
    if (GetParam() == "condition") return condition();
    if (GetParam() == "barrier") return barrier();
    event();
  }

  // Plays once for each command, until none is left; `happens` says whether it is the turn of this
  // one.
  void play_for_each_command(const std::function<void(std::function<bool()>)>& prepare) {
    bool reached = true;
    int place = 0;
    for (; reached && !HasFailure(); ++place) {
      SCOPED_TRACE(place);
      reached = false;
      int left = place;
      prepare([&] { return left-- == 0 && (reached = true); });
      play();
    }
    EXPECT_GT(place, 10);
  }
};

TEST_P(PrimitivesLossTest, NothingHappens) {
  play();
  play();
}

TEST_P(PrimitivesLossTest, ScriptsAreFlushedBeforeEveryCommand) {
  const auto flush = [&] { redis_({"SCRIPT", "FLUSH"}); };
  a_.before_each_command(flush);
  b_.before_each_command(flush);
  play();
}

TEST_P(PrimitivesLossTest, ScriptsAreFlushedBetweenAnyTwoCommands) {
  play();
  play_for_each_command([&](const std::function<bool()>& is_turn) {
    const auto flush = [&, is_turn] {
      if (is_turn()) redis_({"SCRIPT", "FLUSH"});
    };
    a_.before_each_command(flush);
    b_.before_each_command(flush);
  });
}

TEST_P(PrimitivesLossTest, TheReplyOfAnyCommandIsLost) {
  play_for_each_command([&](const std::function<bool()>& is_turn) {
    a_.lose_replies(is_turn);
    b_.lose_replies(is_turn);
  });
}

INSTANTIATE_TEST_SUITE_P(All, PrimitivesLossTest,
                         ::testing::Values("semaphore", "condition", "barrier", "event"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace dsync::tests
