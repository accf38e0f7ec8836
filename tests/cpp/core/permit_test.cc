// Permits of a semaphore: with a lease they are held, without one only told of.
#include <gtest/gtest.h>

#include "client/scripts.h"
#include "primitives/commands.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using primitives::Kind;

const Wish kPermit{.token = "", .kind = Kind::kPermit, .number = 3};
const Wish kBounded{.token = "", .kind = Kind::kPermit, .bounded = true, .number = 3};
const Wish kUnleased{
    .token = "", .lease = 0s, .renewed = false, .kind = Kind::kPermit, .number = 3};
const std::string kGrant = bulk("1");

class PermitTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  OperationId hold(const Wish& wish) {
    const auto id = acquire(wish);
    take();
    answer(kGrant);
    completed();
    return id;
  }
};

TEST_F(PermitTest, SaysWhatTheScriptWants) {
  acquire(kPermit);
  const Command expected{"EVAL",
                         std::string(client::kSemaphoreAcquire.source),
                         "3",
                         "key",
                         "{key}:dsync:queue",
                         "{key}:dsync:permits",
                         "s:1",
                         "30000",
                         "5000",
                         "3"};
  EXPECT_EQ(take_commands(), std::vector<Command>{expected});
}

TEST_F(PermitTest, SaysHowLongALeaseIs) {
  acquire({.renewed = false, .kind = Kind::kPermit, .number = 1});
  acquire({.queueing = false, .kind = Kind::kPermit, .number = 0});
  acquire(kUnleased);
  const auto commands = take_commands();
  EXPECT_EQ(arguments_of(commands[0]), (Texts{"s:1", "30000", "30000", "1"}));
  EXPECT_EQ(arguments_of(commands[1]), (Texts{"s:2", "30000", "-1", "0"}));
  EXPECT_EQ(arguments_of(commands[2]), (Texts{"s:3", "0", "0", "3"}));
}

TEST_F(PermitTest, LeavesAWindowWhileAFleetMigrates) {
  const auto id = acquire({.kind = Kind::kPermit, .number = 3, .window = 250ms});
  machine().abandon(id, now_);
  const auto commands = take_commands();
  EXPECT_EQ(keys_of(commands[0]),
            (Texts{"key", "{key}:dsync:queue", "{key}:dsync:permits", "{key}:dsync:window"}));
  EXPECT_EQ(arguments_of(commands[0]), (Texts{"s:1", "30000", "5000", "3", "250"}));
  EXPECT_EQ(keys_of(commands[1]), (Texts{"key", "{key}:dsync:queue", "{key}:dsync:permits",
                                         "key_max_value", "{key}:dsync:window"}));
  EXPECT_EQ(arguments_of(commands[1]), (Texts{"s:1", "5000", "3", "release", "250"}));
}

TEST_F(PermitTest, IsHeldByTheReply) {
  const auto id = acquire(kPermit);
  now_ += 2s;
  answer(kGrant);
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_TRUE(machine().holds(id));
  EXPECT_TRUE(looked_after());
  EXPECT_EQ(machine().valid_for(id, now_), 28s);
}

TEST_F(PermitTest, IsHeldByAMessage) {
  const auto id = wait(kPermit);
  push(grant_message("s:1", 1, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_TRUE(looked_after());
  EXPECT_EQ(machine().valid_for(id, now_), 5s);
}

TEST_F(PermitTest, IsBusyWithoutQueueing) {
  acquire({.queueing = false, .kind = Kind::kPermit, .number = 3});
  take();
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 busy"});
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(PermitTest, SeveralAreHeldApart) {
  const auto first = hold(kPermit);
  const auto second = hold(kPermit);
  machine().release(second, now_);
  EXPECT_EQ(take(), Texts{"semaphore_release s:2"});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"2 released"});
  EXPECT_TRUE(machine().holds(first));
  EXPECT_TRUE(looked_after());
}

TEST_F(PermitTest, ReleaseSaysWhatTheScriptWants) {
  machine().release(hold(kPermit), now_);
  const auto first = take_commands().at(0);
  EXPECT_EQ(keys_of(first),
            (Texts{"key", "{key}:dsync:queue", "{key}:dsync:permits", "key_max_value"}));
  EXPECT_EQ(arguments_of(first), (Texts{"s:1", "5000", "3", "release"}));
}

TEST_F(PermitTest, OnlyARealReleaseIsBounded) {
  const auto released = hold(kBounded);
  const auto abandoned = hold(kBounded);
  const auto withdrawn = wait(kBounded);
  machine().release(released, now_);
  machine().abandon(abandoned, now_);
  machine().abandon(withdrawn, now_);
  Texts verbs;
  for (const auto& command : take_commands()) verbs.push_back(arguments_of(command).at(3));
  EXPECT_EQ(verbs, (Texts{"bounded", "release", "release"}));
}

TEST_F(PermitTest, ARefusedReleaseChangesNothing) {
  const auto id = hold(kBounded);
  machine().release(id, now_);
  EXPECT_FALSE(looked_after());
  answer(number(3));
  EXPECT_EQ(completed(), Texts{"1 over limit"});
  EXPECT_TRUE(machine().holds(id));
  // Nothing renewed it meanwhile, so that is due.
  EXPECT_EQ(table_->scan(now_).due.size(), 1U);
  take();
  machine().release(id, now_);
  EXPECT_EQ(take(), Texts{"semaphore_release s:1"});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"1 released"});
  EXPECT_FALSE(looked_after());
}

// The refused one has done nothing, so it is not what a later release finds done.
TEST_F(PermitTest, ARefusedReleaseIsNoFirstOfTwo) {
  const auto id = hold(kBounded);
  machine().release(id, now_);
  answer(number(3));
  machine().release(id, now_);
  answer(number(0));
  EXPECT_EQ(completed(), (Texts{"1 over limit", "1 not held"}));
}

TEST_F(PermitTest, AfterARefusedReleaseItIsGivenBackWithoutALimit) {
  const auto id = hold(kBounded);
  machine().release(id, now_);
  answer(number(3));
  take();
  machine().abandon(id, now_);
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(3), "release");
}

TEST_F(PermitTest, AReleaseThatWasSentTwiceIsDone) {
  machine().release(hold(kBounded), now_);
  lose();
  connect();
  EXPECT_EQ(take(), Texts{"semaphore_release s:1"});
  answer(number(0));
  EXPECT_EQ(completed(), Texts{"1 released"});
}

TEST_F(PermitTest, IsConfirmedByARenewal) {
  const auto id = hold(kPermit);
  machine().confirm(id, 40s, now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "semaphore_renew s:1");
  EXPECT_EQ(keys_of(command), (Texts{"key", "{key}:dsync:queue", "{key}:dsync:permits"}));
  EXPECT_EQ(arguments_of(command), (Texts{"s:1", "40000"}));
  answer(array({number(1)}));
  EXPECT_EQ(completed(), Texts{"2 held"});
  EXPECT_EQ(machine().valid_for(id, now_), 40s);
}

TEST_F(PermitTest, ForgottenPlacesAreTakenAgain) {
  for (int i = 0; i < 3; ++i) wait(kPermit, {.rank = i + 1, .length = i + 1});
  tick();
  EXPECT_EQ(take(), Texts{"semaphore_acquire s:1"});
  answer(reply({.rank = 1, .length = 1, .added = 1}));
  EXPECT_EQ(take(), (Texts{"semaphore_acquire s:2", "semaphore_acquire s:3"}));
}

class UnleasedPermitTest : public PermitTest {};

TEST_F(UnleasedPermitTest, IsToldAndConfirmed) {
  const auto id = acquire(kUnleased);
  take();
  answer(kGrant);
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_FALSE(machine().holds(id));
  EXPECT_FALSE(looked_after());
  EXPECT_EQ(take(), Texts{});
  machine().settle(id, true, now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(arguments_of(command), (Texts{"s:1", "0", "3", "confirm"}));
  EXPECT_FALSE(machine().wants_link(true));
  answer(number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(UnleasedPermitTest, IsToldByAMessage) {
  wait(kUnleased);
  push(grant_message("s:1", 1, 1'000'000'000));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_FALSE(looked_after());
  EXPECT_EQ(machine().deadline(), base::kNever);
}

TEST_F(UnleasedPermitTest, ThatNobodyWantsIsGivenBack) {
  machine().settle(hold(kUnleased), false, now_);
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(3), "release");
  machine().abandon(hold(kUnleased), now_);
  EXPECT_EQ(arguments_of(take_commands().back()).at(3), "release");
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(UnleasedPermitTest, RestsUntilItIsConfirmed) {
  const auto id = hold(kUnleased);
  EXPECT_FALSE(machine().wants_link(false));
  lose();
  connect();
  EXPECT_EQ(take(), Texts{});
  machine().settle(id, true, now_);
  lose();
  EXPECT_TRUE(machine().wants_link(false));
  connect();
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(3), "confirm");
}

TEST_F(UnleasedPermitTest, IsNotLostAndNotRenewed) {
  const auto id = hold(kUnleased);
  machine().confirm(id, 0s, now_);
  EXPECT_EQ(completed(), Texts{"2 not held"});
  EXPECT_EQ(machine().take_losses(), std::vector<OperationId>{});
  EXPECT_EQ(take(), Texts{});
}

class SlotsTest : public PermitTest {
 protected:
  OperationId add(bool bounded = false) {
    return machine().ask(primitives::add_call("key", 3, bounded), now_);
  }
};

TEST_F(SlotsTest, AddingSaysWhatTheScriptWants) {
  add();
  add(true);
  const auto commands = take_commands();
  EXPECT_EQ(keys_of(commands[0]), (Texts{"key", "{key}:dsync:queue", "{key}:dsync:permits",
                                         "{key}:dsync:done", "key_max_value"}));
  EXPECT_EQ(arguments_of(commands[0]), (Texts{"s:1", "0", "3", "release"}));
  EXPECT_EQ(keys_of(commands[1]), keys_of(commands[0]));
  EXPECT_EQ(arguments_of(commands[1]), (Texts{"s:2", "0", "3", "bounded"}));
  answer(number(1) + number(3));
  EXPECT_EQ(completed(), (Texts{"1 done", "2 over limit"}));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(SlotsTest, ACallSaysWhetherItMayHaveBeenExecuted) {
  add();
  take();
  lose();
  // This one was never sent.
  add();
  connect();
  const auto commands = take_commands();
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_EQ(arguments_of(commands[0]), (Texts{"s:1", "1", "3", "release"}));
  EXPECT_EQ(arguments_of(commands[1]), (Texts{"s:2", "0", "3", "release"}));
  lose();
  connect();
  EXPECT_EQ(arguments_of(take_commands().at(1)).at(1), "1");
}

TEST_F(SlotsTest, ACallWhoseScriptWasForgottenWasNotExecuted) {
  add();
  take();
  answer(failure("NOSCRIPT No matching script."));
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(1), "0");
  lose();
  connect();
  take();
  answer(failure("NOSCRIPT No matching script."));
  // That of the link before may have been.
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(1), "1");
}

TEST_F(SlotsTest, ACallThatTheServerRefuses) {
  for (const auto& strange : {failure("OOM no memory"), nil(), bulk("1"), array({})}) {
    const auto id = std::to_string(add());
    answer(strange);
    const auto outcome = completed();
    ASSERT_EQ(outcome.size(), 1U);
    EXPECT_EQ(outcome[0].find(id + " failed"), 0U) << outcome[0];
  }
}

TEST_F(SlotsTest, ACallThatNobodyWaitsForIsAnsweredToNobody) {
  const auto id = add();
  machine().abandon(id, now_);
  answer(number(3));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(SlotsTest, AreCounted) {
  machine().ask(primitives::free_slots_question("key", 3), now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "semaphore_free key");
  EXPECT_EQ(keys_of(command), (Texts{"key", "{key}:dsync:queue", "{key}:dsync:permits"}));
  EXPECT_EQ(arguments_of(command), Texts{"3"});
  answer(number(2));
  EXPECT_EQ(completed(), Texts{"1 number 2"});
}

TEST_F(SlotsTest, MayBeFewerThanNone) {
  machine().ask(primitives::free_slots_question("key", 0), now_);
  answer(number(-1));
  EXPECT_EQ(completed(), Texts{"1 number -1"});
}

TEST_F(SlotsTest, ThatTheServerCannotCount) {
  machine().ask(primitives::free_slots_question("key", 3), now_);
  answer(failure("WRONGTYPE Operation"));
  EXPECT_EQ(completed(), Texts{"1 failed: WRONGTYPE Operation"});
}

}  // namespace
}  // namespace dsync::tests
