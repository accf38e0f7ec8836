#include "resp/reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "support/random.h"
#include "support/wire.h"

namespace dsync::tests {
namespace {

using namespace std::string_literals;

// One of each type, the awkward ones too, and what show() makes of them.
struct Conversation {
  std::string bytes;
  std::vector<std::string> replies;

  void add(const std::string& reply, std::string shown) {
    bytes += reply;
    replies.push_back(std::move(shown));
  }
};

Conversation conversation() {
  const auto big = std::string(70'000, 'b') + "\0\r\n"s + std::string(70'000, 'c');
  Conversation result;
  result.add(simple("OK"), "'OK'");
  result.add(simple(""), "''");
  result.add(failure("ERR no"), "(error) ERR no");
  result.add(number(0), "0");
  result.add(number(INT64_MAX), "9223372036854775807");
  result.add(number(INT64_MIN), "-9223372036854775808");
  result.add(bulk(""), "''");
  result.add(bulk("\r\n$1\r\n"), "'\r\n$1\r\n'");
  result.add(nil(), "nil");
  result.add("*-1\r\n", "nil");
  result.add(array({}), "[]");
  result.add(array({number(1), nil(), array({bulk("a"), array({simple("b")})})}),
             "[1, nil, ['a', ['b']]]");
  result.add(array({failure("ERR inner"), number(2)}), "[(error) ERR inner, 2]");
  result.add(bulk(big), '\'' + big + '\'');
  result.add(bulk("last"), "'last'");
  return result;
}

std::vector<std::string> drain(resp::Reader& reader) {
  std::vector<std::string> result;
  while (true) {
    auto next = reader.next();
    EXPECT_TRUE(next.ok());
    if (!next.ok() || !next.value()) return result;
    result.push_back(show(next.value()->view()));
  }
}

// Feeds `bytes` in pieces of the sizes that `size` tells.
std::vector<std::string> read_in_pieces(const std::string& bytes,
                                        const std::function<std::size_t()>& size) {
  resp::Reader reader;
  std::vector<std::string> result;
  for (std::size_t from = 0; from < bytes.size();) {
    const auto count = std::min(size(), bytes.size() - from);
    // An exact copy, so that AddressSanitizer sees a read beyond its end.
    const std::vector<char> piece(bytes.data() + from, bytes.data() + from + count);
    reader.feed(piece);
    for (auto& reply : drain(reader)) result.push_back(std::move(reply));
    from += count;
  }
  return result;
}

TEST(ReaderTest, ReadsEveryType) {
  const auto [bytes, replies] = conversation();
  resp::Reader reader;
  reader.feed(bytes);
  EXPECT_EQ(drain(reader), replies);
}

TEST(ReaderTest, TellsTypesApart) {
  resp::Reader reader;
  reader.feed(number(7) + simple("s") + failure("e") + nil() + array({number(1)}));
  const auto take = [&] { return std::move(*reader.next().value()); };
  const auto integer = take();
  EXPECT_EQ(integer.view().integer(), 7);
  EXPECT_EQ(integer.view().text(), "");
  EXPECT_EQ(integer.view().size(), 0U);
  const auto status = take();
  EXPECT_EQ(status.view().integer(), std::nullopt);
  EXPECT_FALSE(status.view().is_error());
  EXPECT_TRUE(take().view().is_error());
  const auto none = take();
  EXPECT_TRUE(none.view().is_nil());
  EXPECT_FALSE(none.view().is_array());
  const auto list = take();
  EXPECT_TRUE(list.view().is_array());
  EXPECT_EQ(list.view().size(), 1U);
  EXPECT_EQ(list.view().text(), "");
}

TEST(ReaderTest, ReadsByteByByte) {
  const auto [bytes, replies] = conversation();
  EXPECT_EQ(read_in_pieces(bytes, [] { return 1; }), replies);
}

TEST(ReaderTest, ReadsRandomPieces) {
  const auto [bytes, replies] = conversation();
  auto random = seeded();
  for (const std::size_t longest : {3, 17, 4096, 100'000}) {
    std::uniform_int_distribution<std::size_t> sizes(1, longest);
    EXPECT_EQ(read_in_pieces(bytes, [&] { return sizes(random); }), replies);
  }
}

TEST(ReaderTest, AnEmptyPieceIsNoNews) {
  resp::Reader reader;
  reader.feed({});
  EXPECT_FALSE(reader.next().value());
  reader.feed(bulk("half").substr(0, 5));
  reader.feed({});
  EXPECT_FALSE(reader.next().value());
  reader.feed(bulk("half").substr(5));
  EXPECT_EQ(drain(reader), std::vector<std::string>{"'half'"});
}

class GarbageTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GarbageTest, IsAnErrorForEver) {
  resp::Reader reader;
  reader.feed(simple("OK") + GetParam());
  EXPECT_EQ(show(reader.next().value()->view()), "'OK'");
  const auto failed = [&] {
    const auto next = reader.next();
    ASSERT_FALSE(next.ok());
    EXPECT_EQ(next.error().kind, base::ErrorKind::kProtocol);
    EXPECT_NE(next.error().text, "");
  };
  failed();
  failed();
  reader.feed(simple("OK"));
  failed();
}

INSTANTIATE_TEST_SUITE_P(Replies, GarbageTest,
                         ::testing::Values("HTTP/1.1 400 Bad Request\r\n", "\x16\x03\x01"s, "\0"s,
                                           "$nine\r\n123456789\r\n", "$-2\r\n", "*x\r\n",
                                           ":one\r\n", "*1\r\n!\r\n"));

// Whether the reader gives up on bytes that are no whole reply yet.
bool refuses(const std::string& bytes) {
  resp::Reader reader;
  reader.feed(bytes);
  return !reader.next().ok();
}

std::string times(std::size_t count, const std::string& text) {
  std::string result;
  while (count-- > 0) result += text;
  return result;
}

TEST(ReaderTest, LimitsTheLength) {
  const auto heading = "$" + std::to_string(resp::kLongestReply) + "\r\n";
  const std::string longest(resp::kLongestReply - heading.size() - 2, 'x');
  resp::Reader reader;
  reader.feed(bulk(longest));
  EXPECT_EQ(drain(reader), std::vector{'\'' + longest + '\''});
  EXPECT_TRUE(refuses(bulk(longest + 'x')));
  EXPECT_FALSE(refuses('+' + std::string(resp::kLongestReply - 1, 'x')));
  EXPECT_TRUE(refuses('+' + std::string(resp::kLongestReply, 'x')));
  EXPECT_TRUE(refuses("$4000000\r\n" + std::string(resp::kLongestReply, 'x')));
}

TEST(ReaderTest, LimitsTheLengthOfAllPartsTogether) {
  resp::Reader reader;
  reader.feed("*3\r\n" + bulk(std::string(resp::kLongestReply * 3 / 5, 'x')));
  EXPECT_FALSE(reader.next().value());
  reader.feed(bulk(std::string(resp::kLongestReply * 3 / 5, 'x')));
  EXPECT_EQ(reader.next().error().text, "a reply is too long");
  reader.feed(simple("OK"));
  EXPECT_FALSE(reader.next().ok());
}

TEST(ReaderTest, ManyRepliesMayBeLong) {
  resp::Reader reader;
  for (int i = 0; i < 4; ++i) {
    reader.feed(bulk(std::string(1'200'000, 'x')) + "$1200000\r\n" + std::string(600'000, 'x'));
    EXPECT_EQ(drain(reader).size(), 1U);
    reader.feed(std::string(600'000, 'x') + "\r\n");
    EXPECT_EQ(drain(reader).size(), 1U);
  }
}

TEST(ReaderTest, LimitsTheElements) {
  const auto most = "*" + std::to_string(resp::kMostElements) + "\r\n";
  resp::Reader reader;
  reader.feed(most + times(resp::kMostElements, number(1)));
  EXPECT_EQ(drain(reader).size(), 1U);
  EXPECT_TRUE(refuses("*" + std::to_string(resp::kMostElements + 1) + "\r\n"));
  // hiredis would reserve 16 GB.
  EXPECT_TRUE(refuses("*2147483647\r\n"));
  EXPECT_TRUE(refuses(most + "*1000000\r\n"));
}

TEST(ReaderTest, LimitsTheLevels) {
  resp::Reader reader;
  reader.feed(times(resp::kMostLevels, "*1\r\n") + number(1));
  EXPECT_EQ(drain(reader), std::vector<std::string>{"[[[[[[[1]]]]]]]"});
  EXPECT_TRUE(refuses(times(resp::kMostLevels + 1, "*1\r\n")));
}

TEST(ReaderTest, GarbageNeverBreaksMemory) {
  auto random = seeded();
  const auto [bytes, replies] = conversation();
  std::uniform_int_distribution<std::size_t> places(0, 400);
  std::uniform_int_distribution<int> characters(0, 255);
  for (int round = 0; round < 2000; ++round) {
    auto spoilt = bytes.substr(0, 400);
    for (int change = 0; change < 3; ++change) {
      spoilt[places(random) % spoilt.size()] = static_cast<char>(characters(random));
    }
    resp::Reader reader;
    reader.feed(spoilt);
    while (true) {
      auto next = reader.next();
      if (!next.ok() || !next.value()) break;
      EXPECT_NE(show(next.value()->view()), "");
    }
  }
}

}  // namespace
}  // namespace dsync::tests
