// One connection as the core sees it: bytes in, replies out, bytes to send.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "client/handshake.h"
#include "resp/reader.h"

namespace dsync::client {

// A passive record of the state of one connection; Client changes it.
struct Link {
  enum class State { kDown, kGreeting, kReady };

  State state = State::kDown;
  std::optional<resp::Reader> reader;
  std::optional<Handshake> handshake;
  std::string output;                  // bytes that the driver has not taken yet
  base::Time heard = base::kNever;     // when the last bytes came, or the connection was made
  base::Time awaiting = base::kNever;  // since when a reply is missing; kNever when none is
  bool suspect = false;                // a deadline has passed once; see Client::late()
  bool full = false;                   // the output was long, and is not all taken yet

  // Starts with a new connection: nothing of the one before is left.
  void open(Handshake greeting, base::Time now) {
    state = State::kGreeting;
    reader.emplace();
    output = greeting.take_bytes();
    handshake.emplace(std::move(greeting));
    heard = awaiting = now;
  }

  void close() { *this = Link(); }
};

}  // namespace dsync::client
