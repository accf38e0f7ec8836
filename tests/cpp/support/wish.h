// An acquire as most tests want it; they change what they are about.
#pragma once

#include <string>

#include "base/time.h"
#include "primitives/machine.h"

namespace dsync::tests {

struct Wish {
  std::string key = "key";
  std::string token = "token";
  base::Duration lease = std::chrono::seconds(30);
  bool renewed = true;
  bool queueing = true;
  base::Duration poll_delay = std::chrono::milliseconds(100);
  base::Duration timeout = base::Duration::max();
  primitives::Kind kind = primitives::Kind::kLock;
  bool bounded = false;
  std::int64_t number = 0;
  base::Duration window{};
  bool local = false;
};

// The views of the request live as long as the wish.
inline primitives::Machine::Request request_of(const Wish& wish, base::Time now) {
  return {.key = wish.key,
          .token = wish.token,
          .lease = wish.lease,
          .renewed = wish.renewed,
          .queueing = wish.queueing,
          .poll_delay = wish.poll_delay,
          .deadline = base::after(now, wish.timeout),
          .kind = wish.kind,
          .bounded = wish.bounded,
          .number = wish.number,
          .window = wish.window,
          .local = wish.local};
}

}  // namespace dsync::tests
