// One reply of the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

struct redisReply;

namespace dsync::resp {

// A look at a reply that somebody else owns; valid as long as the owner's Reply.
class ReplyView {
 public:
  explicit ReplyView(const redisReply* raw) : raw_(raw) {}

  bool is_error() const;
  bool is_nil() const;
  bool is_array() const;
  std::optional<std::int64_t> integer() const;  // Nothing unless it is an integer.
  std::string_view text() const;                // Of a string, status or error; else empty.
  std::size_t size() const;                     // Elements of an array; else 0.
  ReplyView at(std::size_t index) const;        // Precondition: index < size().

 private:
  const redisReply* raw_;
};

// Owns a reply.
class Reply {
 public:
  Reply() = default;
  explicit Reply(redisReply* raw) : raw_(raw) {}
  ReplyView view() const { return ReplyView(raw_.get()); }

 private:
  struct Free {
    void operator()(redisReply* raw) const;
  };
  std::unique_ptr<redisReply, Free> raw_;
};

}  // namespace dsync::resp
