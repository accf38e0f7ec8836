// What one schedule is like: drawn from its seed before anything happens.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "network.h"
#include "random.h"
#include "subject.h"

namespace dsync::simulation {

enum class Fault {
  kCut,           // a connection breaks
  kSilentCut,     // of a semaphore, but nobody is told
  kReplyLost,     // a connection breaks after its commands were executed
  kFlushScripts,  // SCRIPT FLUSH
  kStop,          // a process is stopped for a while, perhaps past its lease
  kBlock,         // an event loop is blocked for a while
  kCrash,         // a process vanishes, and another takes its place
  kFlushAll,      // FLUSHALL
  kDelete,        // DEL of any key
  kRestart,       // the server comes back empty after a while
  kLoading,       // the server refuses everything for a while
  kCount
};

struct Plan {
  Subject subject;
  std::size_t nodes;
  std::size_t tasks;       // of each node
  int rounds;              // of each task
  base::Duration horizon;  // when the faults are over, and everybody finishes what they do
  base::Duration lease;    // zero: none
  bool renewed;
  std::int64_t value = 0;  // of a semaphore; the parties of a barrier
  bool bounded = false;    // of a semaphore
  base::Duration poll_delay;
  bool local = false;  // of a lock: changes hands within a process
  Weather weather;
  std::vector<Fault> faults;
};

Plan plan_of(Random& random, const std::vector<Subject>& subjects);

}  // namespace dsync::simulation
