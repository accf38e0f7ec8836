#include "support/lock_fixture.h"

#include <algorithm>

#include "client/scripts.h"
#include "support/outcome.h"

namespace dsync::tests {
namespace {

using client::Channel;
using client::Script;

// Both links of a session share a connection in no test, so what each says is looked at apart.
void drop_output(primitives::Session& session) {
  session.client().output(Channel::kCommands).clear();
  session.client().output(Channel::kInbox).clear();
}

}  // namespace

std::string reply(const Queued& queued) {
  return array({number(queued.ttl_ms), number(queued.rank), number(queued.length),
                number(queued.server_us), number(queued.added)});
}

std::string granted(std::int64_t fence) {
  auto digits = std::to_string(fence);
  digits.insert(0, 16 - std::min<std::size_t>(16, digits.size()), '0');
  return bulk(digits);
}

std::string grant_message(std::string_view operation, std::int64_t fence, std::int64_t server_us) {
  const auto text = std::string(operation) + ' ' + std::to_string(fence) + ' ' +
                    std::to_string(server_us / 1'000'000) + ' ' +
                    std::to_string(server_us % 1'000'000);
  return array({bulk("message"), bulk("dsync:inbox:s"), bulk(text)});
}

std::string in_short(const Command& command) {
  if (command.at(0) == "EVAL" || command.at(0) == "EVALSHA") {
    for (const auto* script : {&client::kLockAcquire, &client::kLockRelease, &client::kLockRenew}) {
      if (command.at(1) != script->source && command.at(1) != script->sha1) continue;
      // The operation is the second argument of each.
      const auto keys = std::stoul(command.at(2));
      return std::string(script->name) + ' ' + command.at(3 + keys + 1);
    }
  }
  std::string result;
  for (const auto& word : command) result += (result.empty() ? "" : " ") + word;
  return result;
}

MachineTest::MachineTest()
    : session_({"s", 1, std::chrono::seconds(5), std::chrono::seconds(15)}, table_, losses_) {}

void MachineTest::connect() {
  session_.client().connected(Channel::kCommands, now_);
  session_.client().connected(Channel::kInbox, now_);
  drop_output(session_);
  push(array({bulk("subscribe"), bulk("dsync:inbox:s"), number(1)}));
  answer(simple("PONG"));
  ASSERT_TRUE(session_.client().ready());
}

void MachineTest::answer(const std::string& bytes) {
  session_.received(Channel::kCommands, bytes, now_);
}

void MachineTest::push(const std::string& bytes) {
  session_.received(Channel::kInbox, bytes, now_);
}

base::Duration MachineTest::tick() {
  const auto before = now_;
  now_ = std::max(now_, session_.deadline());
  session_.tick(now_);
  return now_ - before;
}

std::vector<Command> MachineTest::take_commands() {
  const auto result = commands_in(session_.client().output(Channel::kCommands));
  drop_output(session_);
  return result;
}

Texts MachineTest::take() {
  Texts result;
  for (const auto& command : take_commands()) result.push_back(in_short(command));
  return result;
}

primitives::OperationId MachineTest::acquire(const Wish& wish) {
  return machine().acquire(request_of(wish, now_), now_);
}

primitives::OperationId MachineTest::hold(const Wish& wish, std::int64_t fence) {
  const auto id = acquire(wish);
  take();
  answer(granted(fence));
  completed();
  return id;
}

primitives::OperationId MachineTest::wait(const Wish& wish, const Queued& queued) {
  const auto id = acquire(wish);
  take();
  answer(reply(queued));
  return id;
}

Texts MachineTest::completed() {
  Texts result;
  for (const auto& [id, outcome, error, number] : machine().take_completions()) {
    auto& text = result.emplace_back(std::to_string(id));
    text.append(" ").append(primitives::name_of(outcome));
    if (!error.text.empty()) text.append(": ").append(error.text);
    if (outcome == Outcome::kNumber) text.append(" ").append(std::to_string(number));
  }
  return result;
}

}  // namespace dsync::tests
