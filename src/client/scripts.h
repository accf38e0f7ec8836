// The Lua scripts of lua/, embedded at build time (cmake/EmbedLua.cmake).
#pragma once

#include <string_view>

namespace dsync::client {

// A script and the name that the server knows it by. All views live as long as the program.
struct Script {
  std::string_view name;
  std::string_view sha1;  // 40 hexadecimal digits
  std::string_view source;
};

extern const Script kLockAcquire;
extern const Script kLockRelease;
extern const Script kLockRenew;

}  // namespace dsync::client
