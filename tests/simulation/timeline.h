// Virtual time, and what is to happen when. Time moves only from one event to the next, and by what
// the server's commands take.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/time.h"

namespace dsync::simulation {

class Timeline {
 public:
  using Action = std::function<void()>;

  // Since the beginning of the schedule; true time, that no clock of it shows.
  base::Duration now() const { return now_; }
  void spend(base::Duration time) { now_ += time; }

  void at(base::Duration time, Action action) {
    events_.push_back({time, ++last_, std::move(action)});
    std::ranges::push_heap(events_, Later());
  }
  void after(base::Duration delay, Action action) { at(now_ + delay, std::move(action)); }

  bool empty() const { return events_.empty(); }

  // Lets the next event happen. What is due at the same time happens in the order of at().
  void step() {
    std::ranges::pop_heap(events_, Later());
    auto event = std::move(events_.back());
    events_.pop_back();
    now_ = std::max(now_, event.time);
    event.action();
  }

  base::Duration next() const { return events_.front().time; }

 private:
  struct Event {
    base::Duration time;
    std::uint64_t number;
    Action action;
  };
  struct Later {
    bool operator()(const Event& left, const Event& right) const {
      return std::pair(left.time, left.number) > std::pair(right.time, right.number);
    }
  };

  base::Duration now_{};
  std::uint64_t last_ = 0;
  std::vector<Event> events_;
};

}  // namespace dsync::simulation
