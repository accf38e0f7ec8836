// One of the processes whose parties meet at a barrier, round after round.
//
//   floor_barrier --port N --key K --session S --here N --parties N
//
// `here` of all the parties are in this process. Those whose round is over confirm it and arrive
// anew in one write, as tasks that run in one tick of an event loop do. Prints when the first of
// them knew of the end of each round.
#include <algorithm>
#include <deque>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "connection.h"
#include "meeting_commands.h"
#include "options.h"
#include "worker.h"

namespace dsync::bench {
namespace {

class Meeting {
 public:
  explicit Meeting(const Options& options)
      : commands_(options.Integer("--port")),
        inbox_(options.Integer("--port")),
        scripts_(commands_),
        session_(options.Text("--session")),
        barrier_(options.Text("--key"), options.Integer("--parties")),
        operations_(static_cast<size_t>(options.Integer("--here"))) {
    OpenInbox(inbox_, session_);
  }

  void Run(Span span) {
    WaitReadable({-1, -1}, span.start);
    for (size_t i = 0; i < operations_.size(); ++i) {
      over_.push_back(i);
    }
    ArriveAgain();
    while (Now() < span.end) {
      const auto [replied, told] = WaitReadable({commands_.fd(), inbox_.fd()}, span.end);
      if (told) {
        ReadInbox();
      }
      if (replied) {
        ReadReplies();
      }
      ArriveAgain();
    }
    PrintStamps(stamps_);
  }

 private:
  // What one party waits by. The number alone tells which party it is.
  struct Operation {
    size_t number = 0;
    std::string name;
  };

  void ArriveAgain() {
    for (const size_t index : over_) {
      auto& [number, name] = operations_[index];
      number += number == 0 ? operations_.size() + index : operations_.size();
      name = session_ + ":" + std::to_string(number);
      scripts_.Wait(commands_, barrier_, name);
      sent_.push_back(number);
    }
    over_.clear();
    commands_.Flush();
  }

  void Over(size_t number) {
    const size_t index = number % operations_.size();
    if (operations_[index].number != number) {
      Fail("a round ended twice");
    }
    if (index == 0) {
      stamps_.push_back(Now());
    }
    scripts_.Confirm(commands_, barrier_, operations_[index].name);
    sent_.push_back(0);
    over_.push_back(index);
  }

  void ReadInbox() {
    inbox_.Read();
    while (const Reply reply = inbox_.Next()) {
      // "<session> open <number> …"
      std::string_view message = MessageOf(*reply);
      const std::string_view head = " open";
      message.remove_prefix(session_.size());
      if (!message.starts_with(head)) {
        Fail("the round was broken");
      }
      message.remove_prefix(head.size());
      while (!message.empty()) {
        message.remove_prefix(1);
        Over(static_cast<size_t>(ParseNumber(message)));
        message.remove_prefix(std::min(message.find(' '), message.size()));
      }
    }
  }

  void ReadReplies() {
    commands_.Read();
    while (const Reply reply = commands_.Next()) {
      const size_t number = sent_.front();
      sent_.pop_front();
      // '1' tells the last to arrive that the round is over; an array tells to wait.
      if (number != 0 && reply->type == REDIS_REPLY_STRING) {
        Over(number);
      } else if (number != 0 && reply->type != REDIS_REPLY_ARRAY) {
        Fail("a party was not counted");
      }
    }
  }

  Connection commands_, inbox_;
  BarrierScripts scripts_;
  std::string session_;
  Barrier barrier_;
  std::vector<Operation> operations_;  // the latest of each party
  std::vector<size_t> over_;           // parties whose round is over
  std::deque<size_t> sent_;            // the number of each arrival, 0 for a confirmation
  std::vector<Nanoseconds> stamps_;
};

}  // namespace
}  // namespace dsync::bench

int main(int argc, char** argv) {
  using namespace dsync::bench;
  Meeting meeting(Options(argc, argv));
  meeting.Run(WaitForGo());
}
