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
    const auto claim = hold({.lease = 500ms, .renew_after = 150ms});
    await_renewals(kKey, 10);
    EXPECT_GE(now() - begin, 1500ms);
    EXPECT_TRUE(lost_nothing());
    EXPECT_GT(claim->valid(), now());
    EXPECT_EQ(redis_({"GET", kKey}), "'token'");
    thread_.reset();
    redis_({"FLUSHALL"});
    table_->remove(*claim);
  }
}

TEST_F(RenewalThreadTest, IsNeverSaidToBeValidForTooLong) {
  start();
  const auto claim = take({.lease = 2s});
  const auto before = claim->valid();
  look_after(claim, 0s);
  while (claim->valid() == before) {
  }
  const auto left = std::chrono::milliseconds(ttl(kKey));
  // The server rounds.
  EXPECT_LE(claim->valid() - now(), left + 1ms);
}

TEST_F(RenewalThreadTest, MakesTheLeaseOfAHandOverFull) {
  start();
  const auto claim = take({.lease = 30s});
  shorten(kKey, 5s);
  look_after(claim, 0s);
  await_renewals();
  EXPECT_GT(ttl(kKey), 20'000);
}

TEST_F(RenewalThreadTest, KeepsMany) {
  start();
  std::vector<ClaimPtr> claims;
  // With names so long that no socket takes the commands in one piece.
  for (int i = 0; i < 250; ++i) {
    claims.push_back(take({.key = std::to_string(i) + std::string(4000, 'k'), .lease = 100s}));
  }
  for (const auto& claim : claims) look_after(claim, 0s);
  for (const auto& claim : claims) await_renewals(claim->key);
  for (const auto& claim : claims) EXPECT_GT(ttl(claim->key), 91'000) << claim->id;
  EXPECT_TRUE(lost_nothing());
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
  hold();
  await_renewals();
  EXPECT_TRUE(lost_nothing());
}

}  // namespace
}  // namespace dsync::tests
