// The renewal thread keeps what is held, and tells what is lost.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "driver/clock.h"
#include "support/renewal_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;
using driver::now;

TEST_F(RenewalThreadTest, KeepsAShortLease) {
  for (const auto& address : {server_.unix_address(), server_.tcp_address()}) {
    start(address);
    const auto begin = now();
    const auto claim = hold({.lease = 500ms, .renew_after = 160ms});
    await_renewals(kKey, 10);
    EXPECT_GE(now() - begin, 1500ms);
    EXPECT_TRUE(lost_nothing());
    EXPECT_GT(claim->valid(), now());
    EXPECT_EQ(redis_({"GET", kKey}), "'token'");
    thread_.reset();
    redis_({"FLUSHALL"});
  }
}

TEST_F(RenewalThreadTest, IsNeverSaidToBeValidForTooLong) {
  start();
  const auto claim = hold({.lease = 2s, .renew_after = 0ms});
  redis_({"PEXPIRE", kKey, "1000"});
  await_renewals(kKey, 2);
  while (claim->valid() < now() + 1s) {
  }
  const auto left = std::chrono::milliseconds(ttl(kKey));
  EXPECT_LE(claim->valid() - now(), left + 1ms);
}

TEST_F(RenewalThreadTest, MakesTheLeaseOfAHandOverFull) {
  start();
  const auto claim = take({.lease = 30s});
  redis_({"PEXPIRE", kKey, "5000"});
  await_renewals();
  look_after(claim, 0s);
  await_renewals();
  EXPECT_GT(ttl(kKey), 20'000);
}

TEST_F(RenewalThreadTest, KeepsMany) {
  start();
  std::vector<ClaimPtr> claims;
  for (int i = 0; i < 250; ++i) {
    claims.push_back(hold({.key = "key" + std::to_string(i), .lease = 100s}));
  }
  for (const auto& claim : claims) redis_({"PEXPIRE", claim->key, "99000"});
  // Each is renewed once more, after the last of the commands above.
  redis_({"SET", "last", "x", "PX", "100000"});
  redis_({"PEXPIRE", "last", "99000"});
  await_renewals("last");
  table_->retry(true);
  look_after(take({.key = "one more"}), 0s);
  await_renewals("one more");
  EXPECT_TRUE(lost_nothing());
  for (const auto& claim : claims) EXPECT_GT(ttl(claim->key), 99'000) << claim->key;
}

TEST_F(RenewalThreadTest, TellsTheLossOfAKey) {
  start();
  const auto claim = hold();
  await_renewals();
  redis_({"DEL", kKey});
  look_after(claim, 0s);
  EXPECT_EQ(await_loss(), claim->id);
  EXPECT_LE(claim->valid(), base::Time());
}

TEST_F(RenewalThreadTest, TellsThatAnotherHolds) {
  start();
  const auto claim = hold();
  await_renewals();
  redis_({"SET", kKey, "other"});
  look_after(claim, 0s);
  EXPECT_EQ(await_loss(), claim->id);
  EXPECT_EQ(redis_({"GET", kKey}), "'other'");
}

TEST_F(RenewalThreadTest, TellsTheLossWhenTheServerDied) {
  start();
  const auto claim = hold({.lease = 500ms});
  await_renewals();
  const auto valid = claim->valid();
  server_.kill();
  EXPECT_EQ(await_loss(), claim->id);
  EXPECT_GE(now(), valid);
  EXPECT_LE(claim->valid(), base::Time());
}

TEST_F(RenewalThreadTest, TellsTheLossWhenTheServerHangs) {
  start();
  const auto claim = hold({.lease = 500ms});
  await_renewals();
  const auto valid = claim->valid();
  server_.freeze();
  EXPECT_EQ(await_loss(), claim->id);
  EXPECT_GE(now(), valid);
}

TEST_F(RenewalThreadTest, TellsTheLossWhenItNeverReachesTheServer) {
  start({"", 0, "/nowhere"});
  const auto claim = hold({.lease = 300ms});
  EXPECT_EQ(await_loss(), claim->id);
}

TEST_F(RenewalThreadTest, TellsTheLossAfterARestart) {
  start();
  const auto claim = hold();
  await_renewals();
  server_.kill();
  server_.start();
  look_after(claim, 0s);
  EXPECT_EQ(await_loss(), claim->id);
}

TEST_F(RenewalThreadTest, ConnectsAgain) {
  start();
  hold();
  await_renewals();
  const auto first = connection_id();
  ASSERT_TRUE(first);
  redis_({"CLIENT", "KILL", "ID", *first});
  // A lease that is due is all it takes.
  hold({.key = "other"});
  await_renewals("other");
  EXPECT_NE(connection_id(), first);
  // It asks for everything again, since a server that went away may have forgotten.
  await_renewals();
  EXPECT_TRUE(lost_nothing());
}

TEST_F(RenewalThreadTest, ConnectsWhereItIsToldTo) {
  start({"", 0, "/nowhere"});
  hold();
  thread_->set_server(server_.tcp_address(), {});
  await_renewals();
}

TEST_F(RenewalThreadTest, LogsIn) {
  redis_({"ACL", "SETUSER", "renewer", "on", ">secret", "~*", "&*", "+@all"});
  start(server_.unix_address(), {"renewer", "secret", 0, ""});
  hold();
  await_renewals();
  EXPECT_NE(redis_({"CLIENT", "LIST"}).find("user=renewer"), std::string::npos);
}

TEST_F(RenewalThreadTest, ARefusedLoginLosesTheLock) {
  start(server_.unix_address(), {"nobody", "wrong", 0, ""});
  const auto claim = hold({.lease = 300ms});
  EXPECT_EQ(await_loss(), claim->id);
}

TEST_F(RenewalThreadTest, UsesTheDatabaseOfTheLogin) {
  start(server_.unix_address(), {std::nullopt, std::nullopt, 3, ""});
  redis_({"SELECT", "3"});
  const auto claim = hold({.lease = 2s});
  while (claim->valid() < now() + 1990ms && lost_nothing()) {
    look_after(claim, 0s);
  }
  EXPECT_GT(claim->valid(), now() + 1s);
}

}  // namespace
}  // namespace dsync::tests
