#include "client/errors.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace dsync::tests {
namespace {

using client::classify;
using client::ErrorClass;
using client::unwrap;

class ErrorTest : public ::testing::TestWithParam<std::pair<std::string, ErrorClass>> {};

TEST_P(ErrorTest, IsOfItsClass) {
  EXPECT_EQ(classify(GetParam().first), GetParam().second) << GetParam().first;
}

INSTANTIATE_TEST_SUITE_P(
    Plain, ErrorTest,
    ::testing::Values(
        std::pair("NOSCRIPT No matching script. Please use EVAL.", ErrorClass::kNoScript),
        std::pair("LOADING Redis is loading the dataset in memory", ErrorClass::kRetry),
        std::pair("READONLY You can't write against a read only replica.", ErrorClass::kRetry),
        std::pair("MASTERDOWN Link with MASTER is down", ErrorClass::kRetry),
        std::pair("CLUSTERDOWN The cluster is down", ErrorClass::kRetry),
        std::pair("TRYAGAIN Multiple keys request during rehashing of slot", ErrorClass::kRetry),
        std::pair("BUSY Redis is busy running a script.", ErrorClass::kRetry),
        std::pair("NOAUTH Authentication required.", ErrorClass::kAuthentication),
        std::pair("WRONGPASS invalid username-password pair", ErrorClass::kAuthentication),
        std::pair("ERR invalid password", ErrorClass::kAuthentication),
        std::pair("ERR AUTH <password> called without any password", ErrorClass::kAuthentication),
        std::pair("NOPERM this user has no permissions", ErrorClass::kFinal),
        std::pair("OOM command not allowed when used memory > 'maxmemory'.", ErrorClass::kFinal),
        std::pair("WRONGTYPE Operation against a key", ErrorClass::kFinal),
        std::pair("ERR unknown command", ErrorClass::kFinal), std::pair("", ErrorClass::kFinal),
        std::pair("BUSY", ErrorClass::kRetry)));

// A code counts as a whole word at the start only.
INSTANTIATE_TEST_SUITE_P(Lookalikes, ErrorTest,
                         ::testing::Values(std::pair("BUSYKEY Target key name already exists.",
                                                     ErrorClass::kFinal),
                                           std::pair("BUSYGROUP exists", ErrorClass::kFinal),
                                           std::pair("ERR LOADING", ErrorClass::kFinal),
                                           std::pair("loading", ErrorClass::kFinal)));

// As servers before 7 report what a command of a script says.
std::string wrapped(const std::string& error) {
  return "ERR Error running script (call to f_7c4e): @user_script:12: " + error;
}

INSTANTIATE_TEST_SUITE_P(
    Wrapped, ErrorTest,
    ::testing::Values(
        std::pair(wrapped("-READONLY You can't write"), ErrorClass::kRetry),
        std::pair(wrapped("-OOM command not allowed"), ErrorClass::kFinal),
        std::pair(wrapped("@user_script: 12: -READONLY You can't write"), ErrorClass::kRetry),
        std::pair(wrapped("user_script:3: attempt to index a nil value"), ErrorClass::kFinal)));

TEST(UnwrapTest, GivesWhatTheCommandSaid) {
  EXPECT_EQ(unwrap(wrapped("-OOM command not allowed")), "OOM command not allowed");
  EXPECT_EQ(unwrap("OOM command not allowed"), "OOM command not allowed");
  // A script that fails by itself has no code inside.
  const auto own = wrapped("user_script:3: attempt to index a nil value");
  EXPECT_EQ(unwrap(own), own);
  // Only what a script wraps is taken off.
  EXPECT_EQ(unwrap("ERR wrong: -BUSY"), "ERR wrong: -BUSY");
}

}  // namespace
}  // namespace dsync::tests
