// Reading from and writing to a socket that does not block.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>

#include "driver/socket.h"

namespace dsync::tests {
namespace {

using driver::Descriptor;
using driver::receive_some;
using driver::send_some;

class Transfer : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    ours_ = Descriptor(ends[0]);
    theirs_ = Descriptor(ends[1]);
  }

  // Everything that has arrived at the other end.
  std::string arrived() {
    std::string result;
    while (const auto bytes = receive_some(theirs_.get(), buffer_)) {
      if (bytes->empty()) break;
      result.append(bytes->data(), bytes->size());
    }
    return result;
  }

  Descriptor ours_;
  Descriptor theirs_;
  std::array<char, 4096> buffer_;
};

TEST_F(Transfer, SendsAndForgetsWhatTheSocketTakes) {
  std::string output = "PING";
  EXPECT_TRUE(send_some(ours_.get(), output));
  EXPECT_EQ(output, "");
  EXPECT_EQ(arrived(), "PING");
}

TEST_F(Transfer, KeepsWhatTheSocketHasNoRoomFor) {
  const std::string all(std::size_t{16} << 20, 'x');
  std::string output = all;
  std::string got;
  ASSERT_TRUE(send_some(ours_.get(), output));
  ASSERT_GT(output.size(), 0);
  ASSERT_LT(output.size(), all.size());
  while (!output.empty()) {
    got += arrived();
    ASSERT_TRUE(send_some(ours_.get(), output));
  }
  got += arrived();
  EXPECT_TRUE(got == all);
}

TEST_F(Transfer, ASocketWithoutRoomIsNotBroken) {
  std::string output(std::size_t{16} << 20, 'x');
  ASSERT_TRUE(send_some(ours_.get(), output));
  const auto left = output.size();
  EXPECT_TRUE(send_some(ours_.get(), output));
  EXPECT_EQ(output.size(), left);
}

TEST_F(Transfer, ReadsNothingWhereNothingHasArrived) {
  const auto bytes = receive_some(ours_.get(), buffer_);
  ASSERT_TRUE(bytes);
  EXPECT_TRUE(bytes->empty());
}

TEST_F(Transfer, ReadsNoMoreThanTheBufferHolds) {
  std::string output(buffer_.size() + 1, 'x');
  ASSERT_TRUE(send_some(ours_.get(), output));
  EXPECT_EQ(receive_some(theirs_.get(), buffer_)->size(), buffer_.size());
  EXPECT_EQ(receive_some(theirs_.get(), buffer_)->size(), 1);
}

TEST_F(Transfer, TellsTheEndFromAnError) {
  theirs_.reset();
  EXPECT_FALSE(receive_some(ours_.get(), buffer_));
  EXPECT_EQ(errno, 0);
  std::string output = "PING";
  EXPECT_FALSE(send_some(ours_.get(), output));
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(output, "PING");
  EXPECT_FALSE(receive_some(-1, buffer_));
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace dsync::tests
