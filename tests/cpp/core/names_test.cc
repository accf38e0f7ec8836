#include "primitives/names.h"

#include <gtest/gtest.h>

#include <string>

namespace dsync::tests {
namespace {

std::string queue_of(std::string_view key) {
  std::string result;
  for (const auto part : primitives::beside(key, primitives::kQueueSuffix)) result += part;
  return result;
}

// What the server hashes of a key in a cluster.
std::string hashed_part(const std::string& key) {
  const auto open = key.find('{');
  if (open == std::string::npos) return key;
  const auto close = key.find('}', open + 1);
  if (close == std::string::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

TEST(NamesTest, PutTheMainKeyInATag) {
  EXPECT_EQ(queue_of("lock"), "{lock}:dsync:queue");
  EXPECT_EQ(queue_of("a lock"), "{a lock}:dsync:queue");
}

TEST(NamesTest, KeepATagOfTheMainKey) {
  EXPECT_EQ(queue_of("{a}lock"), "{a}lock:dsync:queue");
  EXPECT_EQ(queue_of("lock{a}"), "lock{a}:dsync:queue");
  EXPECT_EQ(queue_of("x{{a}}"), "x{{a}}:dsync:queue");
}

TEST(NamesTest, ABraceAloneIsNoTag) {
  EXPECT_EQ(queue_of("a{b"), "{a{b}:dsync:queue");
  EXPECT_EQ(queue_of("{"), "{{}:dsync:queue");
}

TEST(NamesTest, DifferByTheSuffix) {
  EXPECT_NE(primitives::kQueueSuffix, primitives::kFenceSuffix);
}

class SlotTest : public ::testing::TestWithParam<std::string> {};

TEST_P(SlotTest, IsThatOfTheMainKey) {
  EXPECT_EQ(hashed_part(queue_of(GetParam())), hashed_part(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Keys, SlotTest,
                         ::testing::Values("lock", "{a}lock", "lock{a}", "x{{a}}", "a{b", "{",
                                           "{a}{b}", "{a{b}c}"));

}  // namespace
}  // namespace dsync::tests
