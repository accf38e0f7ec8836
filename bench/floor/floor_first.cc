// Connects anew and takes a free lock: what the first lock of an event loop costs at least.
//
//   floor_first --port N --count N
//
// Two connections, whose greetings are one round trip; the lock is another one. Prints {"stamps":
// [ns that one took, …]}.
#include <array>
#include <string_view>
#include <vector>

#include "command.h"
#include "connection.h"
#include "options.h"
#include "worker.h"

namespace dsync::bench {
namespace {

constexpr std::string_view kSession = "0123456789abcdef";
constexpr std::string_view kOperation = "0123456789abcdef:1";

void Await(Connection& connection) {
  connection.Flush();
  while (!connection.Next()) {
    connection.Read();
  }
}

Nanoseconds MeasureOne(int port, const LockScripts& scripts, const Lock& lock) {
  const Nanoseconds start = Now();
  Connection commands(port), inbox(port);
  const std::array<std::string_view, 1> greeting{"PING"};
  commands.Append(greeting);
  commands.Flush();
  OpenInbox(inbox, kSession);
  Await(commands);
  scripts.Acquire(commands, lock, kOperation);
  Await(commands);
  const Nanoseconds passed = Now() - start;
  scripts.Release(commands, lock, kOperation);
  Await(commands);
  return passed;
}

}  // namespace
}  // namespace dsync::bench

int main(int argc, char** argv) {
  using namespace dsync::bench;
  const Options options(argc, argv);
  const int port = options.Integer("--port");
  Connection connection(port);
  const LockScripts scripts(connection);
  const Lock lock("bench:first", kSession, 0);
  std::vector<Nanoseconds> times;
  for (int i = 0; i < options.Integer("--count"); ++i) {
    times.push_back(MeasureOne(port, scripts, lock));
  }
  PrintStamps(times);
}
