// How a caller that is alone waits for what the server says: with the list of its event loop, but
// without a turn of the loop.
#pragma once

#include <array>

#include "base/time.h"

namespace dsync::driver {

class ReplyWait {
 public:
  using Sockets = std::array<int, 2>;
  using Readable = std::array<bool, 2>;

  // Which of the sockets become readable within `limit`; none of them if anything else does that
  // `epoll` watches. Asks without a sleep at first, as long as that usually comes so soon: the
  // processor's way into sleep and back takes longer than a server nearby.
  Readable only_readable(int epoll, Sockets sockets, base::Duration limit);

  base::Duration usual() const { return usual_; }

 private:
  void learn(base::Duration time);

  base::Duration usual_{};  // the latest times, smoothed
};

}  // namespace dsync::driver
