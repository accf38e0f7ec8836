// How the renewal thread starts and ends, and what other threads may do meanwhile.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "driver/clock.h"
#include "support/renewal_fixture.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

class RenewalThreadLifeTest : public RenewalThreadTest {};

TEST_F(RenewalThreadLifeTest, StartsWithTheFirstLease) {
  // ThreadSanitizer has a thread of its own, which starts with the first of ours.
  std::thread([] {}).join();
  const auto before = threads();
  start();
  EXPECT_EQ(threads(), before);
  hold();
  EXPECT_EQ(threads().size(), before.size() + 1);
  await_renewals();
  thread_.reset();
  EXPECT_EQ(threads(), before);
}

TEST_F(RenewalThreadLifeTest, LooksAfterLeasesThatWereThereBefore) {
  hold();
  start();
  await_renewals();
  EXPECT_TRUE(lost_nothing());
}

TEST_F(RenewalThreadLifeTest, TakesNoSignals) {
  const auto before = threads();
  start();
  hold();
  await_renewals();
  // What stops a process, and two of the C library, cannot be blocked.
  constexpr auto kUnblockable = 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1) | 3ULL << 31;
  int looked_at = 0;
  for (const auto& thread : threads()) {
    std::ifstream status("/proc/self/task/" + thread + "/status");
    for (std::string line; std::getline(status, line);) {
      if (before.contains(thread) || !line.starts_with("SigBlk:")) continue;
      EXPECT_EQ(std::stoull(line.substr(7), nullptr, 16) | kUnblockable, ~0ULL) << line;
      ++looked_at;
    }
  }
  EXPECT_GE(looked_at, 1);
}

TEST_F(RenewalThreadLifeTest, StartsAndStopsManyTimes) {
  start();
  const auto claim = hold();
  await_renewals();
  thread_.reset();
  shorten(kKey, 20s);
  const auto before = descriptors();
  for (int round = 0; round < 50; ++round) {
    start();
    look_after(claim, 0s);
    // Sometimes it has come to work, and sometimes it has hardly begun.
    if (round % 5 == 0) await_renewals();
    thread_.reset();
    shorten(kKey, 20s);
    table_->remove(*claim);
  }
  EXPECT_EQ(descriptors(), before);
  EXPECT_TRUE(lost_nothing());
}

TEST_F(RenewalThreadLifeTest, StopsWithoutALease) {
  start();
  thread_.reset();
  // Nobody is woken any more.
  hold();
}

TEST_F(RenewalThreadLifeTest, StopsWhileTheServerHangs) {
  start();
  hold();
  await_renewals();
  server_.freeze();
  thread_.reset();
}

TEST_F(RenewalThreadLifeTest, SessionsAddAndRemoveWhileItRenews) {
  start();
  const auto base = hold({.lease = 600ms, .renew_after = 0ms});
  std::atomic<bool> stop = false;
  const auto work = [&](const ClaimPtr& claim) {
    while (!stop) {
      look_after(claim, 0s);
      claim->extend_to(driver::now() + 30s);
      table_->remove(*claim);
      (void)claim->valid();
      (void)losses_->take();
    }
  };
  // One for each thread: what a claim says of itself never changes while it is looked after.
  const auto first = take({.key = "first"});
  const auto second = take({.key = "second"});
  std::thread one(work, first);
  std::thread other(work, second);
  await_renewals(kKey, 5);
  stop = true;
  one.join();
  other.join();
  EXPECT_GT(base->valid(), driver::now());
  EXPECT_TRUE(lost_nothing());
}

TEST_F(RenewalThreadLifeTest, SessionsEndWhileTheyLose) {
  start();
  hold();
  await_renewals();
  for (int round = 0; round < 100; ++round) {
    auto told = std::make_unique<int>();
    const auto inbox = std::make_shared<primitives::LossInbox>([&told] { ++*told; });
    // No server knows of it, so it is lost as soon as it is looked after.
    const auto claim = std::shared_ptr<primitives::Claim>(
        new primitives::Claim{1000, "unknown", "token", "s:1000", 30s, true});
    claim->extend_to(driver::now() + 30s);
    table_->add(claim, inbox, driver::now());
    // Sometimes it hears of the loss, and sometimes it does not.
    while (round % 2 == 0 && inbox->take().empty()) {
    }
    inbox->close();
    told.reset();
    table_->remove(*claim);
  }
}

TEST_F(RenewalThreadLifeTest, ItsLossesEndWithTheSession) {
  start();
  const auto claim = hold();
  await_renewals();
  losses_->close();
  loss_signal_.reset();
  redis_({"DEL", kKey});
  look_after(claim, 0s);
  while (losses_->take().empty()) {
  }
}

TEST_F(RenewalThreadLifeTest, AForkedChildLeavesTheConnectionAlone) {
  start();
  hold();
  await_renewals();
  const auto connection = connection_id();
  const auto child = fork();
  if (child == 0) {
    const auto before = descriptors();
    thread_->close_in_child();
    // Its socket, and what wakes it.
    _exit(descriptors() == before - 2 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(connection_id(), connection);
  hold({.key = "other"});
  await_renewals("other");
  EXPECT_EQ(connection_id(), connection);
}

}  // namespace
}  // namespace dsync::tests
