#include "driver/reply_wait.h"

#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <span>

#include "driver/clock.h"

namespace dsync::driver {
namespace {

// Longer than a round trip within a machine or a rack takes.
constexpr base::Duration kLongestSpin = std::chrono::microseconds(150);
constexpr int kSmoothing = 8;

}  // namespace

ReplyWait::Readable ReplyWait::only_readable(int epoll, Sockets sockets, base::Duration limit) {
  const auto start = now();
  const auto spin = usual_ <= kLongestSpin ? kLongestSpin : base::Duration();
  std::array<epoll_event, std::tuple_size_v<Sockets> + 1> ready{};
  int count = 0;
  auto passed = base::Duration();
  while (true) {
    count = epoll_wait(epoll, ready.data(), ready.size(), 0);
    passed = now() - start;
    if (count != 0 || passed >= std::min(spin, limit)) break;
    sched_yield();  // only time that nobody else has a use for
  }
  const auto left = std::chrono::floor<std::chrono::milliseconds>(limit - passed);
  if (count == 0 && left.count() > 0) {
    count = epoll_wait(epoll, ready.data(), ready.size(), static_cast<int>(left.count()));
    passed = now() - start;
  }
  const auto events = std::span(ready).first(static_cast<std::size_t>(std::max(count, 0)));
  Readable readable{};
  for (const auto& event : events) {
    const auto found = std::ranges::find(sockets, event.data.fd);
    // What the loop waits to write to is its own matter.
    if (found == sockets.end() || (event.events & EPOLLOUT) != 0) return {};
    readable[static_cast<std::size_t>(found - sockets.begin())] = true;
  }
  if (count > 0) {
    learn(passed);
  } else if (count == 0 && passed >= kLongestSpin) {
    learn(std::max(passed, 2 * kLongestSpin));  // it takes longer still
  }
  return readable;
}

void ReplyWait::learn(base::Duration time) { usual_ += (time - usual_) / kSmoothing; }

}  // namespace dsync::driver
