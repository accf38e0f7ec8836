// Takes and gives back free locks or semaphores as fast as one connection can.
//
//   floor_cycles --port N --scripts NAME --depth N --warmup SECONDS --seconds SECONDS
//
// NAME is lock, bare-lock, semaphore or bare-semaphore. `depth` of them are under way at once: 1 is
// strictly in sequence; with more, all commands that are due leave in one write, as those of tasks
// that run in one tick of an event loop do. Prints
// "begin" and "end" around the measured time, then its {"cycles", "seconds"}, and "total": the
// cycles with those of the warm-up.
#include <chrono>
#include <cstdint>
#include <deque>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "command.h"
#include "connection.h"
#include "options.h"

namespace dsync::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kSession = "0123456789abcdef";

template <typename Scripts>
class Cycler {
 public:
  Cycler(Connection& connection, int depth) : connection_(connection), scripts_(connection) {
    slots_.reserve(static_cast<size_t>(depth));
    for (int i = 0; i < depth; ++i) {
      slots_.push_back(Slot{Target("bench:" + std::to_string(i), kSession, i), {}});
      Acquire(slots_.back());
    }
  }

  // Lets at least `seconds` pass and returns the time that really passed.
  double Run(double seconds) {
    const auto start = Clock::now();
    std::chrono::duration<double> passed{};
    while (passed.count() < seconds) {
      connection_.Flush();
      connection_.Read();
      while (const Reply reply = connection_.Next()) {
        Answered(*reply);
      }
      passed = Clock::now() - start;
    }
    return passed.count();
  }

  // Acquires and releases count half: with many slots all the ones come, and then all the others.
  [[nodiscard]] double cycles() const { return static_cast<double>(steps_) / 2; }

 private:
  using Target = typename Scripts::Target;

  // What is always either being taken or being given back.
  struct Slot {
    Target target;
    std::string operation;
    bool releasing = false;
  };

  void Acquire(Slot& slot) {
    slot.operation = std::string(kSession) + ":" + std::to_string(++operations_);
    slot.releasing = false;
    scripts_.Acquire(connection_, slot.target, slot.operation);
    waiting_.push_back(&slot);
  }

  void Answered(const redisReply& reply) {
    Slot& slot = *waiting_.front();
    waiting_.pop_front();
    // A grant of dsync is digits, those of a fencing token say; all else is a number.
    if (reply.type != REDIS_REPLY_STRING && reply.integer <= 0) {
      Fail("what was free was not granted or not released");
    }
    ++steps_;
    if (slot.releasing) {
      Acquire(slot);
      return;
    }
    slot.releasing = true;
    scripts_.Release(connection_, slot.target, slot.operation);
    waiting_.push_back(&slot);
  }

  Connection& connection_;
  const Scripts scripts_;
  std::vector<Slot> slots_;
  std::deque<Slot*> waiting_;  // for a reply, in the order of the commands
  int64_t operations_ = 0;
  int64_t steps_ = 0;
};

template <typename Scripts>
void Measure(const Options& options) {
  Connection connection(options.Integer("--port"));
  Cycler<Scripts> cycler(connection, options.Integer("--depth"));
  cycler.Run(options.Number("--warmup"));
  const double before = cycler.cycles();
  std::cout << "begin" << std::endl;
  const double seconds = cycler.Run(options.Number("--seconds"));
  std::cout << "end\n"
            << std::fixed << "{\"cycles\": " << cycler.cycles() - before
            << ", \"seconds\": " << seconds << ", \"total\": " << cycler.cycles() << "}"
            << std::endl;
}

const std::map<std::string, void (*)(const Options&)> kMeasures = {
    {"lock", Measure<LockScripts>},
    {"bare-lock", Measure<BareLockScripts>},
    {"semaphore", Measure<SemaphoreScripts>},
    {"bare-semaphore", Measure<BareSemaphoreScripts>},
};

}  // namespace
}  // namespace dsync::bench

int main(int argc, char** argv) {
  using namespace dsync::bench;
  const Options options(argc, argv);
  const auto found = kMeasures.find(options.Text("--scripts"));
  if (found == kMeasures.end()) {
    Fail("--scripts names nothing that is known");
  }
  found->second(options);
}
