#include <algorithm>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/targets.h"
#include "resp/reader.h"
#include "support/wire.h"

namespace dsync::fuzz {
namespace {

// hiredis is not instrumented, so libFuzzer sees no way through it. What comes out tells it whether
// an input is new: a type at a depth, or an error.
#ifdef __clang__
__attribute__((section("__libfuzzer_extra_counters"))) std::uint8_t counters[256];
void tell_apart(std::size_t what) { counters[what % std::size(counters)] = 1; }
#else
void tell_apart(std::size_t) {}
#endif

enum class Type : std::size_t { kNil, kError, kInteger, kText, kEmptyText, kArray, kEmptyArray };

Type type_of(resp::ReplyView reply) {
  if (reply.is_nil()) return Type::kNil;
  if (reply.is_error()) return Type::kError;
  if (reply.integer()) return Type::kInteger;
  if (reply.is_array()) return reply.size() > 0 ? Type::kArray : Type::kEmptyArray;
  return reply.text().empty() ? Type::kEmptyText : Type::kText;
}

void look_at(resp::ReplyView reply, std::size_t depth = 0) {
  check(depth <= resp::kMostLevels, "no reply is deeper than the limit");
  check(reply.size() <= resp::kMostElements, "no array is longer than the limit");
  check(reply.text().size() <= resp::kLongestReply, "no text is longer than the limit");
  tell_apart(8 * depth + static_cast<std::size_t>(type_of(reply)));
  for (std::size_t i = 0; i < reply.size(); ++i) look_at(reply.at(i), depth + 1);
}

// What was read: each reply, and at last the error, if there is one.
struct Story {
  std::vector<std::string> replies;
  bool failed = false;

  bool operator==(const Story&) const = default;
};

void drain(resp::Reader& reader, Story& story) {
  while (true) {
    auto next = reader.next();
    if (!next.ok()) {
      check(!next.error().text.empty(), "an error says something");
      check(!reader.next().ok(), "an error is for ever");
      // Without the byte that it is about.
      tell_apart(128 + std::hash<std::string>{}(next.error().text.substr(0, 20)) % 128);
      story.failed = true;
      return;
    }
    check(!story.failed, "nothing comes after an error");
    if (!next.value()) return;
    look_at(next.value()->view());
    story.replies.push_back(tests::show(next.value()->view()));
  }
}

}  // namespace

// The first byte is the size of the pieces.
void fuzz_reader(Bytes input) {
  if (input.empty()) return;
  const std::size_t size = input[0] == 0 ? 1 : input[0];
  const std::vector<char> bytes(input.begin() + 1, input.end());

  Story whole;
  resp::Reader at_once;
  at_once.feed(bytes);
  drain(at_once, whole);

  Story pieces;
  resp::Reader one_by_one;
  for (std::size_t from = 0; from < bytes.size(); from += size) {
    // An exact copy, so that AddressSanitizer sees a read beyond its end.
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(from);
    const auto count = std::min(size, bytes.size() - from);
    const std::vector<char> piece(first, first + static_cast<std::ptrdiff_t>(count));
    one_by_one.feed(piece);
    drain(one_by_one, pieces);
  }
  check(whole == pieces, "how the bytes are cut changes nothing");
}

}  // namespace dsync::fuzz
