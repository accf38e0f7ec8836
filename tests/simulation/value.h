// What a command of the modelled server answers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dsync::simulation {

struct Value {
  enum class Kind { kNil, kInteger, kBulk, kStatus, kError, kArray };

  Kind kind = Kind::kNil;
  std::int64_t integer = 0;
  std::string text{};
  std::vector<Value> items{};

  static Value nil() { return {}; }
  static Value number(std::int64_t value) { return {.kind = Kind::kInteger, .integer = value}; }
  static Value bulk(std::string_view text) {
    return {.kind = Kind::kBulk, .text = std::string(text)};
  }
  static Value status(std::string_view text) {
    return {.kind = Kind::kStatus, .text = std::string(text)};
  }
  static Value error(std::string_view text) {
    return {.kind = Kind::kError, .text = std::string(text)};
  }
  static Value array(std::vector<Value> items) {
    return {.kind = Kind::kArray, .items = std::move(items)};
  }

  bool operator==(const Value&) const = default;
};

// Appends it as RESP2 bytes.
void append_resp(std::string& out, const Value& value);

// For traces: 1, 'text', nil, (error) ERR text, [1, 'text'].
std::string show(const Value& value);

}  // namespace dsync::simulation
