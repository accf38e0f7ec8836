// Waiting for a reply with the list of an event loop.
#include "driver/reply_wait.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <thread>

#include "driver/socket.h"

namespace dsync::tests {
namespace {

using namespace std::chrono_literals;

// Two connected sockets, one of which the list watches.
class Pair {
 public:
  explicit Pair(int epoll) : epoll_(epoll) {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
    ours_ = driver::Descriptor(ends[0]);
    theirs_ = driver::Descriptor(ends[1]);
    watch(EPOLL_CTL_ADD, EPOLLIN);
  }

  void watch(int change, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = ours();
    EXPECT_EQ(epoll_ctl(epoll_, change, ours(), &event), 0);
  }

  int ours() const { return ours_.get(); }
  void answer() const { EXPECT_EQ(write(theirs_.get(), "x", 1), 1); }
  void end() { theirs_.reset(); }

 private:
  int epoll_;
  driver::Descriptor ours_;
  driver::Descriptor theirs_;
};

class ReplyWaitTest : public testing::Test {
 protected:
  using Readable = driver::ReplyWait::Readable;

  Readable readable(base::Duration limit = 10s) {
    return wait_.only_readable(epoll_.get(), {server_.ours(), inbox_.ours()}, limit);
  }
  bool answered(base::Duration limit = 10s) { return readable(limit) == Readable{true, false}; }

  driver::Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC)};
  Pair server_{epoll_.get()};
  Pair inbox_{epoll_.get()};
  Pair other_{epoll_.get()};
  driver::ReplyWait wait_;
};

TEST_F(ReplyWaitTest, TheReplyComes) {
  server_.answer();
  EXPECT_TRUE(answered());
  // It is read elsewhere, so it is there still.
  EXPECT_TRUE(answered());
}

TEST_F(ReplyWaitTest, TheReplyComesLater) {
  std::thread server([this] { server_.answer(); });
  EXPECT_TRUE(answered());
  server.join();
}

TEST_F(ReplyWaitTest, AMessageComes) {
  inbox_.answer();
  EXPECT_EQ(readable(), (Readable{false, true}));
}

TEST_F(ReplyWaitTest, BothCome) {
  server_.answer();
  inbox_.answer();
  EXPECT_EQ(readable(), (Readable{true, true}));
}

TEST_F(ReplyWaitTest, NothingComes) {
  EXPECT_EQ(readable(1ms), Readable{});
  EXPECT_EQ(readable(1us), Readable{});
  EXPECT_EQ(readable(-1ms), Readable{});
}

TEST_F(ReplyWaitTest, SomethingElseComes) {
  other_.answer();
  EXPECT_EQ(readable(), Readable{});
}

TEST_F(ReplyWaitTest, SomethingElseComesToo) {
  server_.answer();
  other_.answer();
  EXPECT_EQ(readable(), Readable{});
  inbox_.answer();
  EXPECT_EQ(readable(), Readable{});
}

TEST_F(ReplyWaitTest, WhatTheLoopWantsToWriteToIsForTheLoop) {
  server_.answer();
  server_.watch(EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  EXPECT_EQ(readable(), Readable{});
}

TEST_F(ReplyWaitTest, TheOtherSideEnds) {
  server_.end();
  EXPECT_TRUE(answered()) << "so that it is read, and found out";
}

TEST_F(ReplyWaitTest, TheLoopIsClosed) {
  epoll_.reset();
  EXPECT_EQ(readable(), Readable{});
}

TEST_F(ReplyWaitTest, RepliesThatTakeLongAreRemembered) {
  for (int i = 0; i < 50; ++i) EXPECT_EQ(readable(2ms), Readable{});
  EXPECT_GT(wait_.usual(), 250us);
  for (int i = 0; i < 100; ++i) {
    server_.answer();
    EXPECT_TRUE(answered());
  }
  EXPECT_LT(wait_.usual(), 250us);
}

}  // namespace
}  // namespace dsync::tests
