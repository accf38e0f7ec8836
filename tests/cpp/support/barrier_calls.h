// The scripts of the barrier, called as their headers say.
#pragma once

#include <string>

#include "support/script_fixture.h"

namespace dsync::tests {

class BarrierScriptTest : public ScriptTest {
 protected:
  static constexpr const char* kParties = "{key}:dsync:parties";
  static constexpr const char* kEnded = "{key}:dsync:ended";
  static constexpr const char* kTold = "{key}:dsync:told";
  static constexpr const char* kDone = "{key}:dsync:done";
  static constexpr const char* kGuard = "guard";
  static constexpr const char* kChannel = "channel";

  struct Wait {
    std::string operation = "a:1";
    std::string parties = "3";
    std::string heard{};
  };
  struct End {
    std::string word = "reset";
    std::string operation = "e:1";
    std::string again = "0";
  };

  std::string wait(const Wait& call) {
    return run(client::kBarrierWait, {kKey, kParties, kEnded, kTold, kGuard},
               {call.operation, call.parties, kChannel, call.heard});
  }
  std::string wait_as(const std::string& operation) { return wait({.operation = operation}); }
  std::string leave(const std::string& operation) {
    return run(client::kBarrierLeave, {kKey, kParties, kEnded, kTold}, {operation});
  }
  std::string end(const End& call) {
    return run(client::kBarrierEnd, {kKey, kParties, kEnded, kTold, kDone},
               {call.operation, call.again, kChannel, call.word});
  }
  std::string waiting() { return run(client::kBarrierCount, {kKey, kParties, kEnded, kTold}, {}); }

  // The arrivals as every process of the fleet sees them.
  std::string count() { return redis_({"GET", kKey}); }

  // What old processes do.
  void arrive_as_old() { redis_({"INCR", kKey}); }
  void end_as_old() { redis_({"SET", kKey, "0"}); }

  // The outcomes that were not confirmed yet.
  std::int64_t unconfirmed() { return redis_.integer({"HLEN", kTold}); }
};

}  // namespace dsync::tests
