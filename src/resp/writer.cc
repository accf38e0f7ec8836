#include "resp/writer.h"

#include <charconv>

namespace dsync::resp {
namespace {

void append_head(std::string& out, char type, std::size_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.push_back(type);
  out.append(digits, end);
  out.append("\r\n");
}

}  // namespace

void append_array(std::string& out, std::size_t arguments) { append_head(out, '*', arguments); }

void append_bulk(std::string& out, std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  append_head(out, '$', size);
  for (const auto part : parts) out.append(part);
  out.append("\r\n");
}

void append_command(std::string& out, std::initializer_list<std::string_view> arguments) {
  append_array(out, arguments.size());
  for (const auto argument : arguments) append_bulk(out, argument);
}

}  // namespace dsync::resp
