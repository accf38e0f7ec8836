#include "mutation.h"

#include <algorithm>
#include <stdexcept>

namespace dsync::simulation {
namespace {

const std::vector<Mutation>& all() {
  static const std::vector<Mutation> list{
      {"free-anyway",
       Subject::kLock,
       "a release does not compare the holder",
       {{"lock_release", "if values[1] == token and latest then", "if latest then"},
        {"lock_release", "if holder == operation and first", "if first"},
        {"lock_release", "if holds(latest, operation) then", "if true then"}}},
      {"believe-publish",
       Subject::kLock,
       "a hand-over does not look whether anybody received the message",
       {{"lock_release", "message) > 0 then", "message) >= 0 then"}}},
      {"pass-by",
       Subject::kLock,
       "an acquire does not look at the queue",
       {{"lock_acquire", "queued = redis.call('EXISTS', queue) == 1", "queued = false"}}},
      {"same-fence",
       Subject::kLock,
       "the fencing token does not grow within a second",
       {{"", "local digits = clock[1] .. string.sub('00000' .. clock[2], -6)",
         "local digits = clock[1] .. '000000'"},
        {"", "if last and last + LOCAL_TURNS >= tonumber(digits) then", "if false then"}}},
      {"keep-place",
       Subject::kLock,
       "a withdrawal leaves the lock with the operation that it was granted to meanwhile",
       {{"lock_release", "if opens or not hand_over(lock, queue, fence, latest, nil) then",
         "if false then"}}},
      {"renew-nothing",
       Subject::kLock,
       "a renewal tells that the lock is held, and does not make its lease longer",
       {{"lock_renew", "redis.call('PEXPIRE', lock, lease)", ""}}},
      {"renew-others",
       Subject::kLock,
       "a renewal does not look at the operation",
       {{"lock_renew", "if redis.pcall('GET', lock) == token then", "if true then"},
        {"lock_renew", "if holds(redis.pcall('GET', fence), operation) then", "if true then"}}},
      {"queue-twice",
       Subject::kLock,
       "an acquire that is sent again queues behind the others",
       {{"lock_acquire", "redis.pcall('ZADD', queue, 'NX', now, member)",
         "redis.pcall('ZADD', queue, now, member)"}}},
      {"free-twice",
       Subject::kSemaphore,
       "a release hands the slot over, and frees it as well",
       {{"semaphore_release", "if not hand_slot(clock) then", "hand_slot(clock)\ndo"}}},
      {"add-twice",
       Subject::kSemaphore,
       "a call that is sent again happens again",
       {{"", "return again == '1' and", "return false and"}}},
      {"leave-quietly",
       Subject::kCondition,
       "a woken waiter that is cancelled passes nothing on",
       {{"condition_leave", "pass_on(place, clock[1] * 1000000 + clock[2])", ""},
        {"condition_wait", "pass_on(place, began)", "redis.call('ZREM', told, place)"}}},
      {"notify-twice",
       Subject::kCondition,
       "a call that is sent again happens again",
       {{"condition_notify", "return again == '1' and", "return false and"}}},
      {"wake-latest",
       Subject::kCondition,
       "a notification wakes those that came last",
       {{"condition_notify", "'LIMIT', 0, most)",
         "'LIMIT', 0, BATCH)\nmembers = { members[#members] }"}}},
      {"serve-the-dead",
       Subject::kCondition,
       "a lock that nobody alive waits for stays taken",
       {{"condition_wait",
         "if not hand_over(lock, queue, fence, redis.call('GET', fence), nil) then\n"
         "redis.call('DEL', lock)",
         "if not hand_over(lock, queue, fence, redis.call('GET', fence), nil) then"}}},
      {"count-the-dead",
       Subject::kBarrier,
       "a barrier opens without a look at who lives",
       {{"barrier_wait", "forget_the_dead()\ntotal = arrivals()", ""}}},
      {"count-twice",
       Subject::kBarrier,
       "an arrival that is sent again counts again",
       {{"barrier_wait", "if redis.call('ZSCORE', parties, operation) then", "if false then"}}},
      {"set-twice",
       Subject::kEvent,
       "a call that is sent again happens again",
       {{"event_set", "return again == '1' and", "return false and"}}},
  };
  return list;
}

}  // namespace

std::span<const Mutation> mutations() { return all(); }

const Mutation* find_mutation(std::string_view name) {
  const auto it = std::ranges::find(all(), name, &Mutation::name);
  return it == all().end() ? nullptr : &*it;
}

std::string mutated(const client::Script& script, const Mutation* mutation) {
  std::string result(script.source);
  if (mutation == nullptr) return result;
  for (const auto& [name, from, to] : mutation->replacements) {
    if (!name.empty() && name != script.name) continue;
    const auto at = result.find(from);
    if (at != std::string::npos) {
      result.replace(at, from.size(), to);
    } else if (!name.empty()) {
      throw std::runtime_error(std::string(name) + " has not the text \"" + std::string(from) +
                               "\" that " + std::string(mutation->name) + " replaces");
    }
  }
  return result;
}

}  // namespace dsync::simulation
