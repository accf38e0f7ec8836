// How a caller that is alone waits for a reply: with the list of its event loop, but without a turn
// of the loop.
#pragma once

#include "base/time.h"

namespace dsync::driver {

class ReplyWait {
 public:
  // Whether within `limit` the socket becomes readable, and nothing else that `epoll` watches.
  // Asks without a sleep at first, as long as replies usually come that soon: the processor's way
  // into sleep and back takes longer than a server nearby.
  bool only_readable(int epoll, int socket, base::Duration limit);

  base::Duration usual() const { return usual_; }

 private:
  void learn(base::Duration time);

  base::Duration usual_{};  // the time of the latest replies, smoothed
};

}  // namespace dsync::driver
