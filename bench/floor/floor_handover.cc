// One of the processes that hand one lock round, each with several waiters that queue again at
// once.
//
//   floor_handover --port N --key K --session S --waiters N --hold SECONDS
//
// Talks to the benchmark as a Python worker does: prints "ready", waits for a line "go <start>
// <end>" (ns of CLOCK_MONOTONIC), and prints {"records": [[waiter, requested, granted, released,
// fence], …], "pending": [[waiter, requested], …]} in the same clock.
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <deque>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "connection.h"
#include "options.h"

namespace dsync::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = int64_t;

Nanoseconds Now() { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); }

struct Record {
  int waiter;
  Nanoseconds requested, granted, released;
  int64_t fence;
};

struct Waiter {
  Lock lock;
  std::string operation;
  Nanoseconds requested = 0;
};

// The number at `text` up to a space or the end; -1 when there is none.
int64_t ParseNumber(std::string_view text) {
  int64_t number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

class Contest {
 public:
  Contest(const Options& options)
      : commands_(options.Integer("--port")),
        inbox_(options.Integer("--port")),
        protocol_(commands_),
        session_(options.Text("--session")),
        hold_(static_cast<Nanoseconds>(options.Number("--hold") * 1e9)) {
    const int count = options.Integer("--waiters");
    for (int i = 0; i < count; ++i) {
      waiters_.push_back(Waiter{Lock(options.Text("--key"), session_, i), {}});
    }
    const std::string channel = "dsync:inbox:" + session_;
    const std::array<std::string_view, 2> subscribe{"SUBSCRIBE", channel};
    inbox_.Call(subscribe);
  }

  void Run(Nanoseconds start, Nanoseconds end) {
    for (Nanoseconds now = Now(); now < start; now = Now()) {
      Poll(start - now);
    }
    for (size_t i = 0; i < waiters_.size(); ++i) {
      Request(i);
    }
    commands_.Flush();
    for (Nanoseconds now = Now(); now < end; now = Now()) {
      Step(end - now);
    }
  }

  void Print() const;

 private:
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
    protocol_.Acquire(commands_, waiter.lock, waiter.operation);
    sent_.push_back(index);
  }

  void Granted(size_t index, int64_t fence) {
    if (holding_) {
      Fail("the lock was granted twice");
    }
    holding_ = Holding{index, Now(), fence};
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
    protocol_.Release(commands_, waiter.lock, waiter.operation);
    sent_.push_back(std::nullopt);
    // In the same write, so that this waiter is in the queue again before the next holder releases.
    Request(index);
    commands_.Flush();
  }

  // Waits until there is something to read, at most `wait`; returns which of the connections have
  // it.
  std::array<bool, 2> Poll(Nanoseconds wait) {
    std::array<pollfd, 2> fds{pollfd{commands_.fd(), POLLIN, 0}, pollfd{inbox_.fd(), POLLIN, 0}};
    const timespec timeout{wait / 1'000'000'000, wait % 1'000'000'000};
    if (ppoll(fds.data(), fds.size(), &timeout, nullptr) < 0 && errno != EINTR) {
      Fail("ppoll failed");
    }
    return {fds[0].revents != 0, fds[1].revents != 0};
  }

  void Step(Nanoseconds left) {
    Nanoseconds wait = left;
    if (holding_) {
      wait = std::min(wait, std::max<Nanoseconds>(0, holding_->granted + hold_ - Now()));
    }
    const auto [command_ready, inbox_ready] = Poll(wait);
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
      if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        Fail("no message");
      }
      // "<session>:<number> <fence> <server time in seconds> <and microseconds>"
      const redisReply& text = *reply->element[2];
      const std::string_view message(text.str, static_cast<size_t>(text.len));
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
  DsyncProtocol protocol_;
  std::string session_;
  Nanoseconds hold_;
  std::vector<Waiter> waiters_;
  std::deque<std::optional<size_t>> sent_;  // the waiter of each acquire, nothing for a release
  std::optional<Holding> holding_;
  std::vector<Record> records_;
  size_t rounds_ = 0;
};

void Contest::Print() const {
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

}  // namespace
}  // namespace dsync::bench

int main(int argc, char** argv) {
  using namespace dsync::bench;
  Contest contest(Options(argc, argv));
  std::cout << "ready" << std::endl;
  std::string word;
  Nanoseconds start = 0;
  Nanoseconds end = 0;
  if (!(std::cin >> word >> start >> end) || word != "go") {
    Fail("no go");
  }
  contest.Run(start, end);
  contest.Print();
}
