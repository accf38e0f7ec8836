// Who waits for a notification without the lock, and who notifies.
#include <gtest/gtest.h>

#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

const std::string kKey = "distributed_lock_c";
const std::string kChannel = "condition_c_channel";
const std::string kCompanion = "{distributed_lock_c}:dsync:listeners";
const Wish kWish{
    .key = kKey, .token = "", .lease = 0s, .renewed = false, .kind = primitives::Kind::kCondition};
const Texts kKeys{kKey, '{' + kKey + "}:dsync:queue", '{' + kKey + "}:dsync:fence",
                  '{' + kKey + "}:dsync:waiting", '{' + kKey + "}:dsync:told"};
const std::string kWoken = bulk("1");

class ConditionTest : public MachineTest {
 protected:
  void SetUp() override { connect(); }

  OperationId begin() {
    const auto id = acquire(kWish);
    serve_inbox();
    return id;
  }

  // A waiter that the server knows.
  OperationId wait() {
    const auto id = begin();
    take();
    answer(reply({.rank = 0}));
    return id;
  }

  void wake(OperationId id) { push(told("s open " + std::to_string(id))); }

  // What the one question says of the channel.
  std::string heard() {
    const auto commands = take_commands();
    EXPECT_EQ(commands.size(), 1U);
    return commands.empty() ? "nothing was asked" : arguments_of(commands[0]).at(7);
  }
};

TEST_F(ConditionTest, ListensBeforeItWaits) {
  acquire(kWish);
  EXPECT_EQ(take(), Texts{});
  EXPECT_EQ(take_inbox(), Texts{"SUBSCRIBE " + kChannel + ' ' + kCompanion});
}

TEST_F(ConditionTest, SaysWhatTheScriptWants) {
  begin();
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "condition_wait s:1");
  auto keys = kKeys;
  keys.insert(keys.end(), {kChannel + "_notify_counter", '{' + kKey + "}:dsync:reserved"});
  EXPECT_EQ(keys_of(command), keys);
  EXPECT_EQ(arguments_of(command),
            (Texts{"", "s:1", "0", "0", "600000", "", "wait", "", kChannel, kCompanion}));
}

TEST_F(ConditionTest, IsWokenByAMessage) {
  const auto id = wait();
  wait();
  wake(id);
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_FALSE(machine().holds(id));
  EXPECT_FALSE(looked_after());
  // Whoever waited for it says whether it is used.
  EXPECT_EQ(take(), Texts{});
  wake(id);
  EXPECT_EQ(completed(), Texts{});
}

TEST_F(ConditionTest, IsWokenByTheReply) {
  begin();
  answer(kWoken);
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(ConditionTest, ANotificationThatIsUsedIsConfirmed) {
  const auto id = wait();
  wake(id);
  machine().settle(id, true, now_);
  const auto command = take_commands().at(0);
  EXPECT_EQ(keys_of(command), kKeys);
  EXPECT_EQ(arguments_of(command), (Texts{"", "s:1", "0", "confirm"}));
  EXPECT_FALSE(machine().wants_link(true));
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"1 granted"});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(ConditionTest, ANotificationThatIsNotUsedIsPassedOn) {
  const auto settled = wait();
  const auto abandoned = wait();
  wake(settled);
  wake(abandoned);
  machine().settle(settled, false, now_);
  machine().abandon(abandoned, now_);
  const auto commands = take_commands();
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_EQ(arguments_of(commands[0]), (Texts{"", "s:1", "0", "leave"}));
  EXPECT_EQ(arguments_of(commands[1]), (Texts{"", "s:2", "0", "leave"}));
}

TEST_F(ConditionTest, WhoGoesLeavesNothing) {
  const auto waiting = wait();
  const auto asking = begin();
  take();
  machine().abandon(waiting, now_);
  machine().abandon(asking, now_);
  EXPECT_EQ(take(), (Texts{"condition_leave s:1", "condition_leave s:2"}));
  wake(waiting);
  answer(kWoken + number(2) + number(1));
  EXPECT_EQ(completed(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
  EXPECT_EQ(take_inbox(), Texts{"UNSUBSCRIBE " + kChannel + ' ' + kCompanion});
}

TEST_F(ConditionTest, WhoNeverWaitedNeedsNotLeave) {
  machine().abandon(acquire(kWish), now_);
  EXPECT_EQ(take_inbox().size(), 2U);
  EXPECT_EQ(take(), Texts{});
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(ConditionTest, ADeadlineEndsTheWaiting) {
  auto wish = kWish;
  wish.timeout = 100ms;
  acquire(wish);
  serve_inbox();
  answer(reply({.rank = 0}));
  take();
  tick();
  EXPECT_EQ(completed(), Texts{"1 timed out"});
  EXPECT_EQ(take(), Texts{"condition_leave s:1"});
}

TEST_F(ConditionTest, TheOldestAsksNowAndThen) {
  wait();
  wait();
  const auto waited = tick();
  EXPECT_GE(waited, 500ms);
  EXPECT_LE(waited, 2s);
  EXPECT_EQ(heard(), "");
  answer(reply({.rank = 0, .added = 0}));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(ConditionTest, AsksWhenAnOldProcessHasNotified) {
  wait();
  wait();
  push(published(kChannel, "1"));
  EXPECT_EQ(heard(), "1");
  answer(reply({.rank = 0, .added = 0}));
  tick();
  EXPECT_EQ(heard(), "");
}

TEST_F(ConditionTest, AsksAgainForWhatIsKeptForOthers) {
  wait();
  push(published(kChannel, "1"));
  take();
  answer(reply({.ttl_ms = 300, .rank = 0, .added = 0}));
  const auto waited = tick();
  EXPECT_GE(waited, 300ms);
  EXPECT_LE(waited, 310ms);
  EXPECT_EQ(heard(), "1");
}

TEST_F(ConditionTest, ANotificationWhileItAsksIsAskedAboutAgain) {
  begin();
  push(published(kChannel, "1"));
  EXPECT_EQ(heard(), "");
  answer(reply({.rank = 0}));
  EXPECT_EQ(heard(), "1");
}

// That of the oldest comes after the channel is heard, and says it then.
TEST_F(ConditionTest, ANotificationBeforeTheFirstQuestionIsNotLost) {
  acquire(kWish);
  push(array({bulk("subscribe"), bulk(kChannel), number(2)}));
  push(published(kChannel, "1"));
  EXPECT_EQ(take(), Texts{});
  push(array({bulk("subscribe"), bulk(kCompanion), number(3)}));
  EXPECT_EQ(heard(), "1");
}

// One that goes before it could ask leaves that to the next.
TEST_F(ConditionTest, ANotificationThatWasNotAskedAboutIsLeftToTheNext) {
  const auto first = wait();
  wait();
  tick();
  take();
  push(published(kChannel, "1"));
  machine().abandon(first, now_);
  const auto commands = take_commands();
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_EQ(in_short(commands[0]), "condition_leave s:1");
  EXPECT_EQ(in_short(commands[1]), "condition_wait s:2");
  EXPECT_EQ(arguments_of(commands[1]).at(7), "1");
}

TEST_F(ConditionTest, NobodyAsksAboutTheCompanion) {
  wait();
  push(published(kCompanion, "1"));
  EXPECT_EQ(take(), Texts{});
}

TEST_F(ConditionTest, ForgottenPlacesAreTakenAgain) {
  for (int i = 0; i < 3; ++i) wait();
  tick();
  take();
  answer(reply({.rank = 0, .added = 1}));
  EXPECT_EQ(take(), (Texts{"condition_wait s:2", "condition_wait s:3"}));
}

TEST_F(ConditionTest, WaitsAgainAfterALoss) {
  const auto id = wait();
  wait();
  wait();
  wake(id);
  completed();
  lose();
  connect();
  EXPECT_EQ(take(), Texts{});
  serve_inbox();
  // The first one knows already.
  EXPECT_EQ(take(), (Texts{"condition_wait s:2", "condition_wait s:3"}));
  answer(kWoken + reply({.rank = 0, .added = 0}));
  EXPECT_EQ(completed(), Texts{"2 granted"});
  EXPECT_EQ(take(), Texts{});
}

TEST_F(ConditionTest, AConfirmationIsSentAgainAfterALoss) {
  const auto id = wait();
  wake(id);
  machine().settle(id, true, now_);
  take();
  lose();
  connect();
  EXPECT_EQ(arguments_of(take_commands().at(0)).at(3), "confirm");
  answer(number(0));
  EXPECT_FALSE(machine().wants_link(false));
}

TEST_F(ConditionTest, ARefusedSubscriptionFails) {
  acquire(kWish);
  push(failure("NOPERM no channel"));
  EXPECT_EQ(completed(), Texts{"1 failed: NOPERM no channel"});
  EXPECT_EQ(take(), Texts{});
}

TEST_F(ConditionTest, ARefusedQuestionFailsAndCleansUp) {
  begin();
  take();
  answer(failure("OOM no memory"));
  EXPECT_EQ(completed(), Texts{"1 failed: OOM no memory"});
  EXPECT_EQ(take(), Texts{"condition_leave s:1"});
}

class NotifyTest : public MachineTest {
 protected:
  void SetUp() override {
    connect();
    holder_ = hold({.key = kKey});
  }

  OperationId holder_ = 0;
};

TEST_F(NotifyTest, SaysWhatTheScriptWants) {
  machine().notify(holder_, 2, now_);
  machine().notify(holder_, -1, now_);
  const auto commands = take_commands();
  EXPECT_EQ(in_short(commands[0]), "condition_notify s:2");
  auto keys = kKeys;
  keys.insert(keys.end(), {kChannel + "_notify_counter", '{' + kKey + "}:dsync:reserved",
                           '{' + kKey + "}:dsync:done"});
  EXPECT_EQ(keys_of(commands[0]), keys);
  EXPECT_EQ(arguments_of(commands[0]),
            (Texts{"s:2", "0", "token", "s:1", "2", kChannel, kCompanion}));
  EXPECT_EQ(arguments_of(commands[1]),
            (Texts{"s:3", "0", "token", "s:1", "-1", kChannel, kCompanion}));
  answer(number(1) + number(1));
  EXPECT_EQ(completed(), (Texts{"2 done", "3 done"}));
  EXPECT_TRUE(machine().holds(holder_));
}

TEST_F(NotifyTest, SaysThatAFleetMigrates) {
  const auto holder = hold({.key = "distributed_lock_d", .window = 250ms});
  machine().notify(holder, 1, now_);
  EXPECT_EQ(arguments_of(take_commands().at(0)).size(), 8U);
}

TEST_F(NotifyTest, FindsThatTheLockWasLost) {
  machine().notify(holder_, 1, now_);
  answer(number(-1));
  EXPECT_EQ(completed(), Texts{"2 not held"});
  EXPECT_EQ(machine().take_losses(), std::vector<OperationId>{holder_});
  EXPECT_FALSE(machine().holds(holder_));
  EXPECT_FALSE(looked_after());
}

TEST_F(NotifyTest, IsSentAgainAsTheSameCall) {
  machine().notify(holder_, 1, now_);
  take();
  lose();
  connect();
  const auto arguments = arguments_of(take_commands().at(0));
  EXPECT_EQ(Texts(arguments.begin(), arguments.begin() + 2), (Texts{"s:2", "1"}));
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"2 done"});
}

TEST_F(NotifyTest, ThatTheServerRefuses) {
  machine().notify(holder_, 1, now_);
  answer(failure("OOM no memory"));
  EXPECT_EQ(completed(), Texts{"2 failed: OOM no memory"});
  EXPECT_TRUE(machine().holds(holder_));
}

}  // namespace
}  // namespace dsync::tests
