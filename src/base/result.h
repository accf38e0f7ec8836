// Expected failures as values.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace dsync::base {

enum class ErrorKind {
  kProtocol,        // bytes that no Redis server sends
  kConnection,      // no usable link to the server
  kAuthentication,  // the server refused the credentials
  kServer,          // the server answered a command with an error
};

struct Error {
  ErrorKind kind;
  std::string text;  // for people; of kServer the server's own text, code first
};

// A value or the error that stands in its place.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: a value is a result
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: and so is an error

  bool ok() const { return std::holds_alternative<T>(state_); }
  T& value() { return std::get<T>(state_); }                      // Precondition: ok().
  const Error& error() const { return std::get<Error>(state_); }  // Precondition: !ok().

 private:
  std::variant<T, Error> state_;
};

}  // namespace dsync::base
