// One of the processes that hand locks round, or semaphores of one slot, each with several waiters
// that queue again at once.
//
//   floor_handover --scripts lock|semaphore --port N --key K --keys N --session S --waiters N
//       --hold SECONDS
//
// Waiter number i wants lock number i % keys. With more than one lock nobody can hold: SECONDS is
// 0. The fence of a semaphore is 0. Prints {"records": [[waiter, requested, granted, released,
// fence], …], "pending": [[waiter, requested], …]}.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "command.h"
#include "connection.h"
#include "options.h"
#include "worker.h"

namespace dsync::bench {
namespace {

struct Record {
  int waiter;
  Nanoseconds requested, granted, released;
  int64_t fence;
};

template <typename Scripts>
class Contest {
 public:
  Contest(const Options& options)
      : commands_(options.Integer("--port")),
        inbox_(options.Integer("--port")),
        scripts_(commands_),
        session_(options.Text("--session")),
        hold_(static_cast<Nanoseconds>(options.Number("--hold") * 1e9)) {
    const std::string prefix = options.Text("--key") + ":";
    const int count = options.Integer("--waiters");
    const int keys = options.Integer("--keys");
    for (int i = 0; i < count; ++i) {
      waiters_.push_back(Waiter{Target(prefix + std::to_string(i % keys), session_, i), {}});
      if constexpr (!kIsFenced) waiters_.back().target.value.assign(1, '1');
    }
    OpenInbox(inbox_, session_);
  }

  void Run(Span span) {
    while (Now() < span.start) {
      WaitReadable({-1, -1}, span.start);
    }
    for (size_t i = 0; i < waiters_.size(); ++i) {
      Request(i);
    }
    commands_.Flush();
    while (Now() < span.end) {
      Step(span.end);
    }
  }

  void Print() const;

 private:
  using Target = typename Scripts::Target;
  static constexpr bool kIsFenced = std::is_same_v<Scripts, LockScripts>;

  struct Waiter {
    Target target;
    std::string operation;
    Nanoseconds requested = 0;
  };

  struct Holding {
    size_t waiter;
    Nanoseconds granted;
    int64_t fence;
  };

  void Request(size_t index) {
    Waiter& waiter = waiters_[index];
    // The number alone tells which waiter a grant is for.
    const size_t number = ++rounds_ * waiters_.size() + index;
    waiter.operation = session_ + ":" + std::to_string(number);
    waiter.requested = Now();
    scripts_.Acquire(commands_, waiter.target, waiter.operation);
    sent_.push_back(index);
  }

  void Granted(size_t index, int64_t fence) {
    if (holding_) {
      Fail("the lock was granted twice");
    }
    holding_ = Holding{index, Now(), kIsFenced ? fence : 0};
    if (hold_ == 0) {
      Release();
    }
  }

  void Release() {
    const auto [index, granted, fence] = *holding_;
    holding_.reset();
    Waiter& waiter = waiters_[index];
    const Nanoseconds released = Now();
    records_.push_back({static_cast<int>(index), waiter.requested, granted, released, fence});
    scripts_.Release(commands_, waiter.target, waiter.operation);
    sent_.push_back(std::nullopt);
    // In the same write, so that this waiter is in the queue again before the next holder releases.
    Request(index);
    commands_.Flush();
  }

  void Step(Nanoseconds until) {
    if (holding_) {
      until = std::min(until, holding_->granted + hold_);
    }
    const auto [command_ready, inbox_ready] = WaitReadable({commands_.fd(), inbox_.fd()}, until);
    if (inbox_ready) {
      ReadInbox();
    }
    if (command_ready) {
      ReadReplies();
    }
    if (holding_ && Now() >= holding_->granted + hold_) {
      Release();
    }
  }

  void ReadInbox() {
    inbox_.Read();
    while (const Reply reply = inbox_.Next()) {
      // "<session>:<number> <fence> <server time in seconds> <and microseconds>"
      const std::string_view message = MessageOf(*reply);
      const size_t space = message.find(' ');
      const int64_t number = ParseNumber(message.substr(session_.size() + 1));
      if (space == std::string_view::npos || number < 0) {
        Fail("no grant");
      }
      Granted(static_cast<size_t>(number) % waiters_.size(),
              ParseNumber(message.substr(space + 1)));
    }
  }

  void ReadReplies() {
    commands_.Read();
    while (const Reply reply = commands_.Next()) {
      const std::optional<size_t> acquired = sent_.front();
      sent_.pop_front();
      // An array tells the place in the queue; the digits of a fencing token are a grant, since the
      // lock was free.
      if (acquired && reply->type == REDIS_REPLY_STRING) {
        Granted(*acquired, ParseNumber({reply->str, static_cast<size_t>(reply->len)}));
      } else if (!acquired && reply->integer != 1) {
        Fail("a holder could not release");
      }
    }
  }

  Connection commands_, inbox_;
  Scripts scripts_;
  std::string session_;
  Nanoseconds hold_;
  std::vector<Waiter> waiters_;
  std::deque<std::optional<size_t>> sent_;  // the waiter of each acquire, nothing for a release
  std::optional<Holding> holding_;
  std::vector<Record> records_;
  size_t rounds_ = 0;
};

template <typename Scripts>
void Contest<Scripts>::Print() const {
  std::cout << "{\"records\": [";
  const char* separator = "";
  for (const Record& record : records_) {
    std::cout << separator << '[' << record.waiter << ',' << record.requested << ','
              << record.granted << ',' << record.released << ',' << record.fence << ']';
    separator = ",";
  }
  std::cout << "], \"pending\": [";
  separator = "";
  for (size_t i = 0; i < waiters_.size(); ++i) {
    if (!holding_ || holding_->waiter != i) {
      std::cout << separator << '[' << i << ',' << waiters_[i].requested << ']';
      separator = ",";
    }
  }
  std::cout << "]}" << std::endl;
}

template <typename Scripts>
void Take(const Options& options) {
  Contest<Scripts> contest(options);
  contest.Run(WaitForGo());
  contest.Print();
}

}  // namespace
}  // namespace dsync::bench

int main(int argc, char** argv) {
  using namespace dsync::bench;
  const Options options(argc, argv);
  options.Text("--scripts") == "semaphore" ? Take<SemaphoreScripts>(options)
                                           : Take<LockScripts>(options);
}
