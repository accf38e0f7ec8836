// How the machine understands what the server says: the C++ side of the headers in lua/. What it
// says itself stands in commands.h.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "primitives/commands.h"
#include "primitives/machine.h"

namespace dsync::primitives {
namespace {

using State = Operation::State;
using Meaning = Question::Meaning;

// What old processes publish: to waiters of a condition or event, and to the parties of a barrier.
constexpr std::string_view kGoWord = "1";
constexpr std::string_view kReleaseWord = "release";

// Notifications are waited for much longer than locks, and all but accidents are told by messages.
constexpr base::Duration kPatience = std::chrono::seconds(1);

// Whatever a server says of the time, a clock of ours can be moved by it.
constexpr std::int64_t kLongestTtl = 24 * 3'600'000;       // ms
constexpr std::int64_t kLatestSecond = 1'000'000'000'000;  // since 1970
constexpr std::int64_t kMicrosecondsInSecond = 1'000'000;

// What a release or a call answers.
enum class Answer : std::int64_t { kNotHeld = -1, kDone = 1, kOverLimit = 3 };

// What a script answers to an operation of that kind instead of a grant or a place in a queue;
// nothing where that is an error, or no answer at all.
std::optional<Outcome> refusal(Kind kind, resp::ReplyView reply) {
  const auto code = reply.integer();
  if (code == 0 && !has_topic(kind)) return Outcome::kBusy;
  if (code == -1 && kind == Kind::kRelock) return Outcome::kNotHeld;
  if (code == -2 && kind == Kind::kBarrier) return Outcome::kBroken;
  if (code == -3 && kind == Kind::kBarrier) return Outcome::kDisagrees;
  return {};
}

// Reads the number that `text` starts with, and gives what is left.
std::string_view take_number(std::string_view text, std::int64_t& number) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return text.substr(static_cast<std::size_t>(result.ptr - text.data()));
}

// Why an operation failed that got this reply: an error, or what no script answers to it.
base::Error server_error(resp::ReplyView reply) {
  const bool says_why = reply.is_error() && !reply.text().empty();
  return {base::ErrorKind::kServer,
          says_why ? std::string(reply.text()) : "ERR unexpected reply of the server"};
}

// The moment that is as far from `from` as `to_us` of the server's clock is from `from_us`; it lies
// in the past. Precondition: from <= now, both times of the server >= 0.
base::Time moved(base::Time from, std::int64_t from_us, std::int64_t to_us, base::Time now) {
  const auto age = std::chrono::duration_cast<std::chrono::microseconds>(now - base::Time());
  const std::chrono::microseconds distance(to_us - from_us);
  return std::clamp(from + std::clamp(distance, -age, age), base::Time(), now);
}

}  // namespace

client::Cookie Machine::cookie(OperationId id, Verb verb) {
  return id << 2 | static_cast<client::Cookie>(verb);
}

// ---- commands ----

void Machine::send(OperationId id, Operation& operation, base::Time now) {
  if (operation.stays || !client_.ready() || must_listen_first(operation)) return;
  operation.unsent = !client_.has_room();
  operation.in_flight = !operation.unsent && send_in_state(id, operation, now);
}

bool Machine::must_listen_first(const Operation& operation) const {
  return operation.state == State::kWaiting && !operation.leaving &&
         has_topic(operation.claim->kind) && !topics_.is_heard(*operation.claim);
}

bool Machine::send_in_state(OperationId id, Operation& operation, base::Time now) {
  switch (operation.state) {
    case State::kWaiting: {
      const auto former = operations_.find(operation.subject);
      operation.sent = now;
      operation.reference = std::min(operation.reference, now);
      send_wait({client_, cookie(id, Verb::kWait), now}, operation,
                former == operations_.end() ? "" : former->second.claim->operation);
      operation.heard = Operation::Heard::kNothing;
      operation.stale = false;
      return true;
    }
    case State::kReleasing: {
      operation.resent = std::exchange(operation.release_sent, true);
      operation.stale = false;
      const Route route{client_, cookie(id, Verb::kLeave), now};
      if (operation.only_notification) {
        send_condition_leave(route, *operation.claim, operation.knows);
        return true;
      }
      if (operation.claim->kind == Kind::kRelock && !operation.granted) {
        // Before the release, lest it be woken in between.
        send_condition_leave({client_, cookie(id, Verb::kForgo), now}, *operation.claim, false);
      }
      send_leave(route, operation);
      return true;
    }
    case State::kAsking:
      operation.sent = now;
      send_question({client_, cookie(id, Verb::kAsk), now}, *operation.question,
                    session_ + ':' + std::to_string(id), operation.resent);
      return true;
    case State::kHeld:
    case State::kTold:
    case State::kLost:
      return false;
  }
  return false;
}

// ---- replies ----

void Machine::on_reply(client::Cookie cookie, resp::ReplyView reply, base::Time now) {
  const auto it = operations_.find(cookie >> 2);
  if (it == operations_.end()) return;
  it->second.in_flight = false;
  switch (static_cast<Verb>(cookie & 3)) {
    case Verb::kWait:
      return on_wait_reply(it, reply, now);
    case Verb::kLeave:
      return on_leave_reply(it, reply, now);
    case Verb::kAsk:
      return on_answer(it, reply);
    case Verb::kForgo:
      return;
  }
}

void Machine::on_wait_reply(Operations::iterator it, resp::ReplyView reply, base::Time now) {
  auto& [id, operation] = *it;
  // Granted by a message, or withdrawn, while the question was on its way: the answer is old.
  if (operation.state != State::kWaiting) return;
  std::int64_t fence = 0;
  if (!reply.is_error()) take_number(reply.text(), fence);
  if (reply.size() == 5) {
    on_queued(it, reply, now);
  } else if (fence <= 0) {
    on_wait_ended(it, reply, now);
  } else if (operation.claim->kind == Kind::kEvent) {
    on_topic(topic_of(Kind::kEvent, operation.claim->key).channel, kGoWord, now);
  } else {
    grant(id, operation, fence, operation.sent, operation.claim->lease, now);
  }
}

void Machine::on_wait_ended(Operations::iterator it, resp::ReplyView reply, base::Time now) {
  auto& [id, operation] = *it;
  const auto refused = refusal(operation.claim->kind, reply);
  if (!refused) {
    complete(id, Outcome::kFailed, server_error(reply));
    end_former(operation, true);
    return withdraw(it, now);
  }
  if (*refused == Outcome::kBroken) return tell(id, Outcome::kBroken, now);
  complete(id, *refused);
  stop_waiting(id, operation, now);
  end_former(operation, false);
  operations_.erase(it);
}

void Machine::on_queued(Operations::iterator it, resp::ReplyView reply, base::Time now) {
  auto& [id, operation] = *it;
  const auto field = [&](std::size_t index) { return reply.at(index).integer().value_or(0); };
  end_former(operation, false);
  operation.reference = operation.sent;
  operation.server_us = std::max<std::int64_t>(field(3), 0);
  PollPlan::Place place{
      .delay = operation.poll_delay,
      .rank = field(1),
      .length = field(2),
      .ttl = std::chrono::milliseconds(std::clamp<std::int64_t>(field(0), -1, kLongestTtl))};
  const bool placed = place.rank > 0;
  auto& plan = this->plan(operation);
  if (&plan == &notification_plan_ && !placed) {
    place.delay = std::max(place.delay, kPatience);
    // There may be more of what was heard, but for others at the moment.
    if (field(0) >= 0) operation.heard = Operation::Heard::kGo;
    place.rank = 1;
  } else if (!placed) {
    // Nobody else can ask for it.
    place.rank = 1;
    return plan.queued(operation.claim->operation, id, place, now);
  }
  plan.remove(operation.claim->operation, id);
  plan.queued(operation.claim->key, id, place, now);
  const bool forgotten = field(4) == 1 && std::exchange(operation.queued, true);
  operation.queued = true;
  if (operation.stale) send(id, operation, now);
  if (forgotten) queue_again(id, operation, now);
}

// The server has lost the place of one operation, so perhaps the places of the others too.
void Machine::queue_again(OperationId id, const Operation& operation, base::Time now) {
  for (const auto other : plan(operation).waiters(operation.claim->key)) {
    auto& waiter = operations_.at(other);
    if (other == id || waiter.in_flight) continue;
    waiter.queued = false;
    send(other, waiter, now);
  }
}

void Machine::on_leave_reply(Operations::iterator it, resp::ReplyView reply, base::Time now) {
  auto& [id, operation] = *it;
  if (operation.stale) return send(id, operation, now);
  if (!operation.orphan) {
    const auto code = reply.integer();
    if (!code) {
      complete(id, Outcome::kFailed, server_error(reply));
    } else if (Answer{*code} == Answer::kOverLimit && operation.claim->kind == Kind::kPermit) {
      // As if it had never been tried.
      operation.state = State::kHeld;
      operation.released = operation.release_sent = false;
      leases_->add(operation.claim, losses_, base::Time());
      return complete(id, Outcome::kOverLimit);
    } else {
      // Sent twice, the first has done it, unless the lease was over by then.
      const bool done_before = operation.resent && now < operation.claim->valid();
      const bool done = Answer{*code} == Answer::kDone || done_before;
      complete(id, done ? Outcome::kReleased : Outcome::kNotHeld);
    }
  }
  operations_.erase(it);
}

void Machine::on_answer(Operations::iterator it, resp::ReplyView reply) {
  const auto operation = std::move(it->second);
  const auto id = it->first;
  operations_.erase(it);
  if (operation.orphan) return;
  const auto answer = (reply.size() == 1 ? reply.at(0) : reply).integer();
  switch (operation.question->meaning) {
    case Meaning::kHolds:
      if (answer) return on_confirmed(id, operation, *answer == 1);
      break;
    case Meaning::kLocked:
      if (answer) return complete(id, *answer == 0 ? Outcome::kFree : Outcome::kLocked);
      break;
    case Meaning::kCall:
      if (!answer) break;
      if (Answer{*answer} == Answer::kDone) return complete(id, Outcome::kDone);
      if (Answer{*answer} == Answer::kOverLimit) return complete(id, Outcome::kOverLimit);
      return on_confirmed(id, operation, false);
    case Meaning::kNumber: {
      if (reply.is_error()) break;
      std::int64_t number = answer.value_or(0);
      if (!answer && !take_number(reply.text(), number).empty()) number = 0;
      completions_.push_back({id, Outcome::kNumber, {}, number});
      return;
    }
  }
  complete(id, Outcome::kFailed, server_error(reply));
}

void Machine::on_confirmed(OperationId id, const Operation& operation, bool held) {
  if (!held || !holds(operation.subject)) {
    lose(operation.subject);
    return complete(id, Outcome::kNotHeld);
  }
  if (operation.wanted != base::Duration::zero()) {
    operation.claim->extend_to(base::after(operation.sent, operation.wanted));
  }
  complete(id, Outcome::kHeld);
}

void Machine::on_resend(client::Cookie cookie, base::Time now) {
  const auto it = operations_.find(cookie >> 2);
  if (it == operations_.end()) return;
  auto& [id, operation] = *it;
  const auto verb = static_cast<Verb>(cookie & 3);
  if (verb == Verb::kForgo) {
    // It goes again with the release, whose answer is the next.
    operation.stale = true;
    return;
  }
  const bool release = verb == Verb::kLeave;
  if (release) operation.release_sent = operation.resent;
  // An acquire of an operation that is being released by now is wanted no more.
  if (release == (operation.state == State::kReleasing)) send(id, operation, now);
}

// ---- messages ----

void Machine::on_message(std::string_view message, base::Time now) {
  if (!message.starts_with(session_)) return;
  message.remove_prefix(session_.size());
  if (message.starts_with(':')) on_grant_message(message, now);
  if (message.starts_with(' ')) on_round_message(message.substr(1), now);
}

// Whether the server may have news for the operation: it waits, and the server knows.
bool Machine::may_be_told(OperationId id) const {
  const auto it = operations_.find(id);
  return it != operations_.end() && it->second.state == State::kWaiting &&
         it->second.sent != base::kNever;
}

void Machine::on_grant_message(std::string_view message, base::Time now) {
  // ":<id> <fencing token> <seconds> <microseconds>", the time being the server's
  std::array<std::int64_t, 4> fields{};
  for (auto& field : fields) {
    if (message.empty()) return;
    message = take_number(message.substr(1), field);
  }
  const auto [number, fence, seconds, microseconds] = fields;
  const auto id = static_cast<OperationId>(number);
  // Of an operation that was withdrawn: the withdrawal that follows gives it back.
  if (fence <= 0 || !may_be_told(id)) return;
  auto& operation = operations_.at(id);
  auto granted = operation.reference;
  if (operation.server_us != 0) {
    const auto second = std::clamp<std::int64_t>(seconds, 0, kLatestSecond);
    const auto within = std::clamp<std::int64_t>(microseconds, 0, kMicrosecondsInSecond - 1);
    granted = moved(granted, operation.server_us, second * kMicrosecondsInSecond + within, now);
  }
  grant(id, operation, fence, granted, operation.claim->first_lease(), now);
}

void Machine::on_round_message(std::string_view message, base::Time now) {
  // "<outcome> <id> …"
  const auto outcome = message.starts_with("open ") ? Outcome::kGranted : Outcome::kBroken;
  message.remove_prefix(std::min(message.find(' '), message.size()));
  while (!message.empty()) {
    std::int64_t number = 0;
    message = take_number(message.substr(1), number);
    const auto id = static_cast<OperationId>(number);
    if (!may_be_told(id)) continue;
    const auto kind = operations_.at(id).claim->kind;
    if (kind == Kind::kBarrier || (kind == Kind::kCondition && outcome == Outcome::kGranted)) {
      tell(id, outcome, now);
    }
  }
}

void Machine::on_topic(std::string_view channel, std::string_view message, base::Time now) {
  const auto waiters = topics_.waiters(channel);
  if (waiters.empty()) return;
  if (operations_.at(waiters.front()).claim->kind == Kind::kEvent) {
    if (message != kGoWord) return;
    for (const auto id : waiters) tell(id, Outcome::kGranted, now);
    return;
  }
  const bool go = message == kGoWord || message == kReleaseWord;
  hear(channel, go ? Operation::Heard::kGo : Operation::Heard::kOther, now);
}

// One question is enough: what is heard concerns all.
void Machine::hear(std::string_view channel, Operation::Heard heard, base::Time now) {
  const auto waiters = topics_.waiters(channel);
  if (waiters.empty()) return;
  auto& oldest = operations_.at(waiters.front());
  oldest.heard = heard;
  if (oldest.in_flight) {
    oldest.stale = true;
  } else {
    send(waiters.front(), oldest, now);
  }
}

void Machine::on_subscribed(std::string_view channel, const base::Error& error, base::Time now) {
  const bool refused = !error.text.empty();
  refused ? topics_.on_refused(channel) : topics_.on_subscribed(channel);
  for (const auto id : topics_.waiters(channel)) {
    const auto it = operations_.find(id);
    if (refused) {
      complete(id, Outcome::kFailed, error);
      end_former(it->second, true);
      withdraw(it, now);
    } else if (!it->second.queued && !it->second.in_flight) {
      send(id, it->second, now);
    }
  }
}

}  // namespace dsync::primitives
