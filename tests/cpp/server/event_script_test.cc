// event_set and event_wait, as their headers describe them.
#include <gtest/gtest.h>

#include <string>

#include "support/script_fixture.h"

namespace dsync::tests {
namespace {

class EventScriptTest : public ScriptTest {
 protected:
  static constexpr const char* kDone = "{key}:dsync:done";
  static constexpr const char* kChannel = "channel";

  struct Set {
    std::string value = "1";
    std::string operation = "a:1";
    std::string again = "0";
  };

  std::string set(const Set& call) {
    return run(client::kEventSet, {kKey, kDone},
               {call.operation, call.again, call.value, kChannel});
  }
  std::string wait() { return run(client::kEventWait, {kKey}, {}); }

  Listener listener_{server_, {kChannel}};
};

TEST_F(EventScriptTest, IsNotSetAtFirst) {
  EXPECT_EQ(wait(), "[-1, 1, 1, 0, 0]");
  EXPECT_EQ(redis_.keys(), Texts{});
}

TEST_F(EventScriptTest, IsSetAndTold) {
  EXPECT_EQ(set({}), "1");
  EXPECT_EQ(redis_({"GET", kKey}), "'1'");
  EXPECT_EQ(listener_.messages(redis_), Texts{"1"});
  EXPECT_EQ(wait(), "'1'");
  expect_nothing_left({kKey});
  EXPECT_GT(ttl(kDone), 500'000);
}

TEST_F(EventScriptTest, IsToldEachTimeItIsSet) {
  set({});
  set({.operation = "a:2"});
  EXPECT_EQ(listener_.messages(redis_), (Texts{"1", "1"}));
}

TEST_F(EventScriptTest, IsClearedWithoutAWord) {
  set({});
  listener_.messages(redis_);
  EXPECT_EQ(set({.value = "0", .operation = "a:2"}), "1");
  EXPECT_EQ(redis_({"GET", kKey}), "'0'");
  EXPECT_EQ(wait(), "[-1, 1, 1, 0, 0]");
  EXPECT_EQ(listener_.messages(redis_), Texts{});
}

TEST_F(EventScriptTest, HappensOnce) {
  set({.operation = "a:1"});
  set({.value = "0", .operation = "b:1"});
  listener_.messages(redis_);
  // The answer was lost, and somebody has cleared it since.
  EXPECT_EQ(set({.operation = "a:1", .again = "1"}), "1");
  EXPECT_EQ(redis_({"GET", kKey}), "'0'");
  EXPECT_EQ(listener_.messages(redis_), Texts{});
}

TEST_F(EventScriptTest, HappensIfItHasNotYet) {
  set({.value = "0", .operation = "a:9"});
  EXPECT_EQ(set({.operation = "a:10", .again = "1"}), "1");
  EXPECT_EQ(wait(), "'1'");
  EXPECT_EQ(listener_.messages(redis_), Texts{"1"});
}

TEST_F(EventScriptTest, OldProcessesSetItToo) {
  redis_({"SET", kKey, "1"});
  EXPECT_EQ(wait(), "'1'");
  for (const auto* other : {"0", "", "yes", "11"}) {
    redis_({"SET", kKey, other});
    EXPECT_EQ(wait(), "[-1, 1, 1, 0, 0]") << other;
  }
}

TEST_F(EventScriptTest, TheEventIsAList) {
  make_list(kKey);
  const auto before = state();
  expect_wrong_type(wait(), before);
}

TEST_F(EventScriptTest, WithoutMemoryNothingIsSet) {
  fill_memory();
  EXPECT_EQ(set({}).find("(error) OOM"), 0U);
  EXPECT_EQ(redis_.keys(), Texts{});
  EXPECT_EQ(listener_.messages(redis_), Texts{});
}

}  // namespace
}  // namespace dsync::tests
