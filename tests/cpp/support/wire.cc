#include "support/wire.h"

#include <span>
#include <stdexcept>

#include "resp/reader.h"

namespace dsync::tests {

std::string simple(std::string_view text) { return '+' + std::string(text) + "\r\n"; }

std::string failure(std::string_view text) { return '-' + std::string(text) + "\r\n"; }

std::string number(std::int64_t value) { return ':' + std::to_string(value) + "\r\n"; }

std::string bulk(std::string_view text) {
  return '$' + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::string nil() { return "$-1\r\n"; }

std::string array(std::initializer_list<std::string> elements) {
  std::string result = '*' + std::to_string(elements.size()) + "\r\n";
  for (const auto& element : elements) result += element;
  return result;
}

std::vector<Command> commands_in(std::string_view bytes) {
  resp::Reader reader;
  reader.feed(bytes);
  std::vector<Command> result;
  // One at a time, so that what is left over is seen: a reader waits for more without a word.
  for (std::size_t size = 0; size < bytes.size();) {
    auto next = reader.next();
    if (!next.ok() || !next.value()) throw std::runtime_error("no whole command");
    const auto view = next.value()->view();
    auto& command = result.emplace_back();
    size += ('*' + std::to_string(view.size()) + "\r\n").size();
    for (std::size_t i = 0; i < view.size(); ++i) {
      command.emplace_back(view.at(i).text());
      size += bulk(command.back()).size();
    }
  }
  return result;
}

std::string show(resp::ReplyView reply) {
  if (reply.is_nil()) return "nil";
  if (reply.is_error()) return "(error) " + std::string(reply.text());
  if (const auto integer = reply.integer()) return std::to_string(*integer);
  if (!reply.is_array()) return '\'' + std::string(reply.text()) + '\'';
  std::string result = "[";
  for (std::size_t i = 0; i < reply.size(); ++i) {
    if (i > 0) result += ", ";
    result += show(reply.at(i));
  }
  return result + ']';
}

}  // namespace dsync::tests
