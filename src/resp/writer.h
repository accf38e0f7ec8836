// Commands as RESP2 bytes.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace dsync::resp {

// Appends the head of a command of `arguments` bulk strings, its name counted.
void append_array(std::string& out, std::size_t arguments);

// Appends one bulk string whose text is all `parts` in a row; they may hold any bytes.
void append_bulk(std::string& out, std::initializer_list<std::string_view> parts);

inline void append_bulk(std::string& out, std::string_view text) { append_bulk(out, {text}); }

// Appends a whole command.
void append_command(std::string& out, std::initializer_list<std::string_view> arguments);

}  // namespace dsync::resp
