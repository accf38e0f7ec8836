#include "fuzz/caller.h"

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "primitives/commands.h"
#include "primitives/names.h"
#include "support/wire.h"

namespace dsync::fuzz {
namespace {

using namespace std::chrono_literals;
using client::Channel;
using primitives::Kind;
using primitives::Outcome;

constexpr std::array<Kind, 5> kKinds{Kind::kLock, Kind::kPermit, Kind::kCondition, Kind::kBarrier,
                                     Kind::kEvent};
constexpr std::array<base::Duration, 4> kLeases{30s, 1ms, 24h, primitives::kNoExpiry};
constexpr std::array<base::Duration, 4> kTimeouts{base::Duration::max(), 0s, 100ms, 10s};
constexpr std::array<base::Duration, 3> kPollDelays{100ms, 0ms, 1h};
constexpr std::array<base::Duration, 2> kWindows{0ms, 250ms};
constexpr std::array<std::string_view, 2> kNames{"a", "{b}c"};

std::string key_of(Kind kind, std::string_view name) {
  const std::string_view prefix = kind == Kind::kBarrier  ? "distributed_barrier_count_"
                                  : kind == Kind::kEvent  ? "event_"
                                  : kind == Kind::kPermit ? "distributed_semaphore_"
                                                          : "distributed_lock_";
  return std::string(prefix).append(name);
}

// What only a server can make true; the others a session may conclude by itself.
bool is_news(Outcome outcome) {
  return outcome != Outcome::kTimedOut && outcome != Outcome::kNotHeld &&
         outcome != Outcome::kFailed;
}

}  // namespace

void Caller::begin(OperationId id, const Record& record) {
  check(id > last_id_, "no number is given twice");
  last_id_ = id;
  records_.emplace(id, record);
}

void Caller::acquire(Input& input) {
  const auto kind = input.pick(kKinds);
  const auto key = key_of(kind, input.pick(kNames));
  const auto lease = input.pick(kLeases);
  const bool is_held =
      kind == Kind::kLock || (kind == Kind::kPermit && lease != primitives::kNoExpiry);
  const auto traits = input.byte();
  const auto id = machine().acquire({.key = key,
                                     .token = "token",
                                     .lease = lease,
                                     .renewed = (traits & 1) == 0 && lease != primitives::kNoExpiry,
                                     .queueing = (traits & 2) == 0,
                                     .poll_delay = input.pick(kPollDelays),
                                     .deadline = base::after(now_, input.pick(kTimeouts)),
                                     .kind = kind,
                                     .bounded = (traits & 4) != 0,
                                     .number = 2,
                                     .window = input.pick(kWindows),
                                     .local = kind == Kind::kLock && (traits & 8) != 0},
                                    now_);
  begin(id, {Phase::kWaiting, kind, is_held, lease});
}

void Caller::ask(Input& input) {
  const auto name = input.pick(kNames);
  const auto lock = key_of(Kind::kLock, name);
  const auto semaphore = key_of(Kind::kPermit, name);
  const auto barrier = key_of(Kind::kBarrier, name);
  const auto event = key_of(Kind::kEvent, name);
  auto question = [&] {
    switch (input.choice(8)) {
      case 0:
        return primitives::locked_question(lock);
      case 1:
        return primitives::drop_call(lock);
      case 2:
        return primitives::free_slots_question(semaphore, 2);
      case 3:
        return primitives::add_call(semaphore, 2, true);
      case 4:
        return primitives::waiting_question(barrier);
      case 5:
        return primitives::end_call(barrier, "reset");
      case 6:
        return primitives::is_set_question(event);
      default:
        return primitives::set_call(event, true);
    }
  }();
  begin(machine().ask(std::move(question), now_), {Phase::kAsking, Kind::kLock});
}

void Caller::call(Input& input) {
  switch (input.choice(4)) {
    case 0:
      return acquire(input);
    case 1:
      return ask(input);
    default:
      if (records_.empty()) return acquire(input);
      return use(input, std::next(records_.begin(),
                                  static_cast<std::ptrdiff_t>(input.choice(records_.size()))));
  }
}

void Caller::use(Input& input, Records::iterator it) {
  auto& [id, record] = *it;
  const auto verb = input.byte();
  switch (record.phase) {
    case Phase::kHeld:
      return use_held(input, it);
    case Phase::kTold:
      machine().settle(id, (verb & 1) == 0, now_);
      return end(id);
    case Phase::kWaiting:
      if (record.kind == Kind::kRelock && (verb & 1) == 0) {
        const auto outcome = machine().rejoin(id, now_);
        check(outcome == Outcome::kBusy, "who waits to rejoin is told later");
        return;
      }
      [[fallthrough]];
    case Phase::kReleasing:
    case Phase::kAsking:
      machine().abandon(id, now_);
      return end(id);
    case Phase::kLentOut:
      return;
  }
}

void Caller::use_held(Input& input, Records::iterator it) {
  auto& [id, record] = *it;
  switch (input.choice(7)) {
    case 0:
      record.phase = Phase::kReleasing;
      if (machine().release(id, now_)) end(id);
      return;
    case 1:
      machine().abandon(id, now_);
      return end(id);
    case 2:
      machine().forget(id, now_);
      return end(id);
    case 3: {
      const auto lease = input.pick(kLeases);
      // What does not end is not made longer.
      if (record.lease != primitives::kNoExpiry) record.lease = std::max(record.lease, lease);
      return begin(machine().confirm(id, lease, now_), {Phase::kAsking, record.kind});
    }
    case 4:
      if (record.kind != Kind::kPermit) {
        begin(machine().notify(id, input.number(), now_), {Phase::kAsking, record.kind});
      }
      return;
    case 5:
      if (record.kind == Kind::kRelock) {
        machine().settle(id, (input.byte() & 1) == 0, now_);
        ++last_id_;  // The notification has a number of its own.
      }
      return;
    default:
      if (record.kind == Kind::kPermit || !machine().holds(id)) return;
      record.phase = Phase::kLentOut;
      begin(machine().relock(id, input.pick(kPollDelays), now_),
            {Phase::kWaiting, Kind::kRelock, true, record.lease, id});
  }
}

void Caller::end(OperationId id) {
  const auto it = records_.find(id);
  check(it != records_.end(), "nothing ends twice");
  const auto former = it->second.former;
  records_.erase(it);
  if (former != 0) records_.erase(former);
}

void Caller::be_granted(OperationId id) {
  auto& record = records_.at(id);
  check(record.kind == Kind::kEvent || asked_for_.contains("s:" + std::to_string(id)) ||
            has_inherited(id),
        "nobody is granted what was not asked for");
  if (record.former != 0) records_.erase(std::exchange(record.former, 0));
  if (record.is_held) {
    record.phase = Phase::kHeld;
    check(machine().holds(id), "what is granted is held");
    check(machine().fence(id) > 0, "what is held has a fencing token");
    check(record.lease == primitives::kNoExpiry || machine().valid_for(id, now_) <= record.lease,
          "a lease is not longer than what was asked for");
  } else if (record.kind == Kind::kBarrier || record.kind == Kind::kEvent) {
    end(id);
  } else {
    record.phase = Phase::kTold;
  }
}

void Caller::end_wait(OperationId id, Outcome outcome) {
  const auto& record = records_.at(id);
  switch (outcome) {
    case Outcome::kGranted:
      return be_granted(id);
    case Outcome::kBroken:
    case Outcome::kDisagrees:
      check(record.kind == Kind::kBarrier, "only barriers break");
      break;
    case Outcome::kNotHeld:
      check(record.kind == Kind::kRelock, "only a relock can find that it had no lock");
      break;
    case Outcome::kFailed: {
      const auto former = records_.find(record.former);
      // The question was refused at once, so the lock is as it was.
      if (former != records_.end() && machine().holds(former->first)) {
        former->second.phase = Phase::kHeld;
        records_.at(id).former = 0;
      }
      break;
    }
    default:
      check(outcome == Outcome::kBusy || outcome == Outcome::kTimedOut,
            "a wait ends as machine.h says");
  }
  end(id);
}

// Whether it has a lock that the server granted to another operation.
bool Caller::has_inherited(OperationId id) {
  return machine().holds(id) && !machine().claim(id).operation.ends_with(':' + std::to_string(id));
}

void Caller::complete(const primitives::Completion& completion, bool server_spoke) {
  const auto [id, outcome, error, number] = completion;
  const auto it = records_.find(id);
  check(it != records_.end(), "nothing is told of what has ended");
  check(server_spoke || !is_news(outcome) || has_inherited(id), "news come from the server");
  check(outcome != Outcome::kFailed || !error.text.empty(), "a failure says why");
  switch (it->second.phase) {
    case Phase::kWaiting:
      return end_wait(id, outcome);
    case Phase::kReleasing:
      if (outcome == Outcome::kOverLimit) {
        check(it->second.kind == Kind::kPermit, "only semaphores have a limit");
        it->second.phase = Phase::kHeld;
        return;
      }
      check(outcome == Outcome::kReleased || outcome == Outcome::kNotHeld ||
                outcome == Outcome::kFailed,
            "a release ends as machine.h says");
      return end(id);
    case Phase::kAsking:
      check(outcome != Outcome::kGranted && outcome != Outcome::kTimedOut,
            "a question is answered, and grants nothing");
      return end(id);
    case Phase::kHeld:
    case Phase::kTold:
    case Phase::kLentOut:
      check(false, "what is granted is told once");
  }
}

void Caller::hear(bool server_spoke) {
  for (const auto& completion : machine().take_completions()) complete(completion, server_spoke);
  for (const auto id : machine().take_losses()) {
    check(id != 0 && id <= last_id_, "only what was held can be lost");
    check(!machine().holds(id), "what is lost is not held");
  }
}

void Caller::leave() {
  machine().abandon_all(now_);
  records_.clear();
  machine().take_completions();
}

std::size_t Caller::see_output() {
  auto& output = session_.client().output(Channel::kCommands);
  const auto commands = tests::commands_in(output);
  for (const auto& command : commands) {
    for (const auto& word : command) {
      if (word.starts_with("s:")) asked_for_.insert(word);
    }
  }
  output.clear();
  return commands.size();
}

}  // namespace dsync::fuzz
