// One of two processes: one waits for notifications of a condition, the other gives them.
//
//   floor_condition --port N --key K --session S --role waiter|notifier --lock yes|no
//                   --hold SECONDS --words FD
//
// With `--lock yes` the waiter comes with the lock, gives it back to wait, and wakes by getting it
// again. It says through FD, a pipe, when it is about to wait. The notifier then takes the lock,
// holds it for a while, notifies and releases. Prints when each waiting ended, or when each
// notification began.
#include <unistd.h>

#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "connection.h"
#include "meeting_commands.h"
#include "options.h"
#include "worker.h"

namespace dsync::bench {
namespace {

// A notification that came too early is given again.
constexpr Nanoseconds kPatience = 200'000'000;

// What both have in common: a lock, and an inbox for grants and wake-ups.
class Party {
 public:
  explicit Party(const Options& options)
      : commands_(options.Integer("--port")),
        inbox_(options.Integer("--port")),
        lock_scripts_(commands_),
        scripts_(commands_),
        session_(options.Text("--session")),
        condition_(options.Text("--key"), session_),
        words_(options.Integer("--words")) {
    OpenInbox(inbox_, session_);
  }

 protected:
  std::string NextOperation() { return session_ + ":" + std::to_string(++operations_); }

  // The reply to the oldest command that has none; there must be one on its way.
  Reply NextReply() {
    commands_.Flush();
    while (true) {
      if (Reply reply = commands_.Next()) {
        return reply;
      }
      commands_.Read();
    }
  }

  // Waits until the inbox says that `operation` has the lock, or is woken without it; false when
  // `until` came first.
  bool IsTold(std::string_view operation, Nanoseconds until) {
    const std::string granted = std::string(operation) + ' ';
    const std::string woken = session_ + " open " + granted.substr(session_.size() + 1);
    while (true) {
      while (const Reply reply = inbox_.Next()) {
        const auto message = std::string(MessageOf(*reply)) + ' ';
        if (message.starts_with(granted) || message == woken) {
          return true;
        }
      }
      if (!WaitReadable({inbox_.fd(), -1}, until)[0]) {
        return false;
      }
      inbox_.Read();
    }
  }

  // Takes the lock; nothing when `until` came first.
  std::optional<std::string> Acquire(Nanoseconds until) {
    const std::string operation = NextOperation();
    lock_scripts_.Acquire(commands_, condition_.lock, operation);
    // The digits of a fencing token are a grant.
    if (NextReply()->type == REDIS_REPLY_STRING || IsTold(operation, until)) {
      return operation;
    }
    return std::nullopt;
  }

  Connection commands_, inbox_;
  LockScripts lock_scripts_;
  ConditionScripts scripts_;
  std::string session_;
  Condition condition_;
  int words_;
  std::vector<Nanoseconds> stamps_;

 private:
  int64_t operations_ = 0;
};

class Waiter : public Party {
 public:
  explicit Waiter(const Options& options)
      : Party(options), with_lock_(options.Text("--lock") == "yes") {}

  void Run(Nanoseconds end) {
    std::string former = with_lock_ ? Acquire(end).value_or("") : "";
    while (Now() < end) {
      const std::string operation = NextOperation();
      Say();
      scripts_.Wait(commands_, condition_, operation, former);
      if (NextReply()->type != REDIS_REPLY_ARRAY) {
        Fail("no place among the waiters");
      }
      if (!IsTold(operation, end)) {
        break;
      }
      stamps_.push_back(Now());
      scripts_.Confirm(commands_, condition_, operation, with_lock_);
      NextReply();
      if (with_lock_) {
        former = operation;
      }
    }
    PrintStamps(stamps_);
  }

 private:
  void Say() {
    if (write(words_, ".", 1) != 1) {
      Fail("the notifier does not listen");
    }
  }

  bool with_lock_;
};

class Notifier : public Party {
 public:
  explicit Notifier(const Options& options)
      : Party(options), hold_(static_cast<Nanoseconds>(options.Number("--hold") * 1e9)) {}

  void Run(Nanoseconds end) {
    while (Now() < end) {
      Listen();
      const auto holder = Acquire(end);
      if (!holder) {
        break;
      }
      WaitReadable({-1, -1}, Now() + hold_);
      stamps_.push_back(Now());
      scripts_.Notify(commands_, condition_, NextOperation(), *holder);
      Expect("notify");
      lock_scripts_.Release(commands_, condition_.lock, *holder);
      Expect("release");
    }
    PrintStamps(stamps_);
  }

 private:
  void Listen() {
    char word = 0;
    if (WaitReadable({words_, -1}, Now() + kPatience)[0] && read(words_, &word, 1) != 1) {
      Fail("the waiter has gone");
    }
  }

  void Expect(std::string_view what) {
    if (NextReply()->integer != 1) {
      Fail("a holder could not " + std::string(what));
    }
  }

  Nanoseconds hold_;
};

template <typename Role>
void Run(const Options& options) {
  Role role(options);
  const Span span = WaitForGo();
  WaitReadable({-1, -1}, span.start);
  role.Run(span.end);
}

}  // namespace
}  // namespace dsync::bench

int main(int argc, char** argv) {
  using namespace dsync::bench;
  const Options options(argc, argv);
  options.Text("--role") == "waiter" ? Run<Waiter>(options) : Run<Notifier>(options);
}
