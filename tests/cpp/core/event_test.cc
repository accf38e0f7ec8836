// Who waits for an event, and what is asked of it.
#include <gtest/gtest.h>

#include "primitives/commands.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

const Wish kWish{.key = "event_e",
                 .token = "",
                 .lease = 0s,
                 .renewed = false,
                 .poll_delay = 5s,
                 .kind = primitives::Kind::kEvent};
const std::string kChannel = "event_e_channel";
// What event_wait answers while the event is not set.
const std::string kNotSet = reply({.server_us = 0, .added = 0});
const std::string kSet = bulk("1");

class EventTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  OperationId listen() {
    const auto id = acquire(kWish);
    serve_inbox();
    return id;
  }

  // A waiter that knows that the event is not set.
  OperationId wait() {
    const auto id = listen();
    take();
    answer(kNotSet);
    return id;
  }
};

// What is set between the check and the subscription would be missed.
TEST_F(EventTest, ListensBeforeItLooks) {
  acquire(kWish);
  EXPECT_EQ(take(), Texts{});
  serve_inbox();
  EXPECT_EQ(take(), Texts{"event_wait event_e"});
}

TEST_F(EventTest, WhoComesLaterLooksAtOnce) {
  listen();
  acquire(kWish);
  EXPECT_EQ(take(), (Texts{"event_wait event_e", "event_wait event_e"}));
  EXPECT_EQ(take_inbox(), Texts{});
}

TEST_F(EventTest, IsSetAlready) {
  listen();
  take();
  answer(kSet);
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(EventTest, IsSetForAllThatWait) {
  for (int i = 0; i < 3; ++i) wait();
  EXPECT_EQ(completed(), Texts{});
  push(published(kChannel, "1"));
  EXPECT_EQ(completed(), (Texts{"1 granted", "2 granted", "3 granted"}));
  EXPECT_FALSE(machine().wants_link(false));
  push(published(kChannel, "1"));
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(EventTest, WhatOneFindsIsTrueForAll) {
  wait();
  wait();
  tick();
  EXPECT_EQ(take(), Texts{"event_wait event_e"});
  answer(kSet);
  EXPECT_EQ(completed(), (Texts{"1 granted", "2 granted"}));
}

TEST_F(EventTest, IsSetBeforeTheFirstAnswer) {
  listen();
  push(published(kChannel, "1"));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  answer(kSet);
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(EventTest, EventsAreApart) {
  wait();
  acquire({.key = "event_f", .kind = primitives::Kind::kEvent});
  serve_inbox();
  push(published("event_f_channel", "1"));
  EXPECT_EQ(completed(), Texts{"2 granted"});
}

TEST_F(EventTest, OtherWordsAreNoNews) {
  wait();
  for (const std::string text : {"", "0", "11", "release", "s:1 1 0 0"}) {
    push(published(kChannel, text));
  }
  push(published("event_f_channel", "1"));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_EQ(take(), Texts{});
  EXPECT_TRUE(session_.client().ready());
}

TEST_F(EventTest, LooksAgainNowAndThen) {
  wait();
  wait();
  const auto waited = tick();
  EXPECT_GE(waited, 4s);
  EXPECT_LE(waited, 5s);
  // One for all.
  EXPECT_EQ(take(), Texts{"event_wait event_e"});
  answer(kNotSet);
  EXPECT_EQ(take(), Texts{});
  EXPECT_GE(tick(), 4s);
}

TEST_F(EventTest, NothingIsLeftOfWhoGoes) {
  const auto first = wait();
  const auto second = listen();
  machine().abandon(first, now_);
  machine().abandon(second, now_);
  EXPECT_EQ(take(), Texts{"event_wait event_e"});
  EXPECT_FALSE(machine().wants_link(false));
  take_inbox();
  tick();
  EXPECT_EQ(take_inbox(), Texts{"UNSUBSCRIBE event_e_channel"});
  answer(kSet);
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(EventTest, WhoGoesTakesNothingFromTheOthers) {
  const auto first = wait();
  wait();
  machine().abandon(first, now_);
  push(published(kChannel, "1"));
  EXPECT_EQ(completed(), Texts{"2 granted"});
}

TEST_F(EventTest, ADeadlineEndsTheWaiting) {
  auto wish = kWish;
  wish.timeout = 1s;
  acquire(wish);
  serve_inbox();
  answer(kNotSet);
  take();
  tick();
  EXPECT_EQ(completed(), Texts{"1 timed out"});
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(EventTest, ListensAndLooksAgainAfterALoss) {
  wait();
  wait();
  take_inbox();
  lose();
  EXPECT_TRUE(machine().wants_link(true));
  connect();
  // The messages of the time between are lost, so each looks, but only when it hears.
  EXPECT_EQ(take(), Texts{});
  serve_inbox();
  EXPECT_EQ(take(), (Texts{"event_wait event_e", "event_wait event_e"}));
  answer(kSet);
  EXPECT_EQ(completed(), (Texts{"1 granted", "2 granted"}));
}

TEST_F(EventTest, ARefusedSubscriptionFailsAllThatWaitForIt) {
  acquire(kWish);
  acquire(kWish);
  push(failure("NOPERM no channel"));
  EXPECT_EQ(completed(), (Texts{"1 failed: NOPERM no channel", "2 failed: NOPERM no channel"}));
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
  // And the next one tries again.
  take_inbox();
  acquire(kWish);
  EXPECT_EQ(take_inbox(), Texts{"SUBSCRIBE event_e_channel"});
}

TEST_F(EventTest, ARefusedQuestionFails) {
  listen();
  take();
  answer(failure("WRONGTYPE Operation"));
  EXPECT_EQ(completed(), Texts{"1 failed: WRONGTYPE Operation"});
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(EventTest, GivingUpFailsThoseThatWait) {
  wait();
  lose();
  machine().give_up({base::ErrorKind::kConnection, "away"});
  EXPECT_EQ(completed(), Texts{"1 failed: away"});
  EXPECT_FALSE(machine().wants_link(false));
  connect();
  EXPECT_EQ(take(), Texts{});
  EXPECT_EQ(take_inbox(), Texts{});
}

TEST_F(EventTest, IsAskedFor) {
  for (int i = 0; i < 5; ++i) machine().ask(primitives::is_set_question("event_e"), now_);
  EXPECT_EQ(take().at(0), "GET event_e");
  answer(bulk("1") + bulk("0") + nil() + bulk("yes") + bulk("1st"));
  EXPECT_EQ(completed(),
            (Texts{"1 number 1", "2 number 0", "3 number 0", "4 number 0", "5 number 0"}));
  machine().ask(primitives::is_set_question("event_e"), now_);
  answer(failure("WRONGTYPE Operation"));
  EXPECT_EQ(completed(), Texts{"6 failed: WRONGTYPE Operation"});
}

TEST_F(EventTest, IsSetAndCleared) {
  machine().ask(primitives::set_call("event_e", true), now_);
  machine().ask(primitives::set_call("event_e", false), now_);
  const auto commands = take_commands();
  EXPECT_EQ(keys_of(commands[0]), (Texts{"event_e", "{event_e}:dsync:done"}));
  EXPECT_EQ(arguments_of(commands[0]), (Texts{"s:1", "0", "1", kChannel}));
  EXPECT_EQ(arguments_of(commands[1]), (Texts{"s:2", "0", "0", kChannel}));
  answer(number(1) + number(1));
  EXPECT_EQ(completed(), (Texts{"1 done", "2 done"}));
}

}  // namespace
}  // namespace dsync::tests
