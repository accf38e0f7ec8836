// What a Client tells the layer above.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "resp/reply.h"

namespace dsync::client {

// Chosen by the caller of Client::run, and handed back with the reply.
using Cookie = std::uint64_t;

struct Event {
  enum class Kind {
    kReply,       // cookie, reply: the answer to a command, which may be an error reply
    kResend,      // cookie: the server did not execute this command; send it again if it is still
                  // wanted
    kMessage,     // channel, text: what was published
    kSubscribed,  // channel: its messages come from now on, or, with an error, do not
    kReady,       // commands can be sent; none of those sent before will be answered
    kRoom,        // has_room() again
    kHealthy,     // the server serves: it answered a command, or there was none to answer
    kLost,        // error: the links are down; the driver closes both and opens new ones
  };
  Kind kind;
  Cookie cookie = 0;
  resp::Reply reply{};
  std::string channel{};
  std::string text{};
  base::Error error{};
};

}  // namespace dsync::client
