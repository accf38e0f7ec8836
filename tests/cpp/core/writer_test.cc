#include "resp/writer.h"

#include <gtest/gtest.h>

#include <string>

#include "support/wire.h"

namespace dsync::tests {
namespace {

using namespace std::string_literals;

TEST(WriterTest, WritesWholeCommands) {
  std::string out = "before";
  resp::append_command(out, {"SET", "key", ""});
  EXPECT_EQ(out, "before*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n");
}

TEST(WriterTest, JoinsThePartsOfABulkString) {
  std::string out;
  resp::append_bulk(out, {"{", "key", "}:suffix"});
  EXPECT_EQ(out, "$12\r\n{key}:suffix\r\n");
  out.clear();
  resp::append_bulk(out, {"", "", ""});
  EXPECT_EQ(out, "$0\r\n\r\n");
}

TEST(WriterTest, ReadersGetBackWhatWasWritten) {
  const Command first{"EVAL", "return '\r\n'", "0"};
  const Command second{"\0\r\n\xff"s, "", std::string(1 << 19, 'x')};
  std::string out;
  resp::append_command(out, {first[0], first[1], first[2]});
  resp::append_command(out, {second[0], second[1], second[2]});
  EXPECT_EQ(commands_in(out), (std::vector{first, second}));
}

TEST(WriterTest, CountsArgumentsOfAnyNumber) {
  std::string out;
  resp::append_array(out, 0);
  resp::append_array(out, 12345678901234567890U);
  EXPECT_EQ(out, "*0\r\n*12345678901234567890\r\n");
}

}  // namespace
}  // namespace dsync::tests
