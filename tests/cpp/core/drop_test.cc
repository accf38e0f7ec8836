// Freeing a lock that anyone may hold: a call that happens once.
#include <gtest/gtest.h>

#include "primitives/commands.h"
#include "support/machine_fixture.h"

namespace dsync::tests {
namespace {

class DropTest : public MachineTest {
 protected:
  void SetUp() override {
    connect();
    machine().ask(primitives::drop_call("lock"), now_);
  }
};

TEST_F(DropTest, IsSentAtOnce) {
  const auto command = take_commands().at(0);
  EXPECT_EQ(in_short(command), "key_value_delete s:1");
  EXPECT_EQ(keys_of(command),
            (Texts{"lock", "{lock}:dsync:queue", "{lock}:dsync:fence", "{lock}:dsync:done"}));
  EXPECT_EQ(arguments_of(command), (Texts{"s:1", "0"}));
  EXPECT_EQ(completed(), Texts{});
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"1 done"});
  EXPECT_EQ(take(), Texts{});
}

TEST_F(DropTest, IsSentAgainAsTheSameCall) {
  take();
  lose();
  EXPECT_EQ(completed(), Texts{});
  connect();
  EXPECT_EQ(arguments_of(take_commands().at(0)), (Texts{"s:1", "1"}));
  answer(number(1));
  EXPECT_EQ(completed(), Texts{"1 done"});
  // Whatever happens now, it has happened.
  lose();
  connect();
  EXPECT_EQ(take(), Texts{});
}

TEST_F(DropTest, ThatTheServerRefuses) {
  answer(failure("NOPERM no permission"));
  EXPECT_EQ(completed(), Texts{"1 failed: NOPERM no permission"});
  lose();
  connect();
  EXPECT_EQ(take(), Texts{});
}

TEST_F(DropTest, GivingUpFailsIt) {
  take();
  lose();
  machine().give_up({base::ErrorKind::kConnection, "away"});
  EXPECT_EQ(completed(), Texts{"1 failed: away"});
  connect();
  EXPECT_EQ(take(), Texts{});
}

}  // namespace
}  // namespace dsync::tests
