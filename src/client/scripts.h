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

extern const Script kBarrierCount;
extern const Script kBarrierEnd;
extern const Script kBarrierLeave;
extern const Script kBarrierWait;
extern const Script kConditionLeave;
extern const Script kConditionNotify;
extern const Script kConditionWait;
extern const Script kEventSet;
extern const Script kEventWait;
extern const Script kKeyValueDelete;
extern const Script kLockAcquire;
extern const Script kLockRelease;
extern const Script kLockRenew;
extern const Script kSemaphoreAcquire;
extern const Script kSemaphoreAdd;
extern const Script kSemaphoreFree;
extern const Script kSemaphoreRelease;
extern const Script kSemaphoreRenew;

}  // namespace dsync::client
