#include "support/machine_fixture.h"

#include <algorithm>

#include "client/scripts.h"
#include "support/outcome.h"

namespace dsync::tests {
namespace {

using client::Channel;
using client::Script;

// Which argument of a script names the operation; -1: none does.
struct ScriptShape {
  const Script* script;
  int place;
};

constexpr ScriptShape kScripts[] = {
    {&client::kLockAcquire, 1},     {&client::kLockRelease, 1},
    {&client::kLockRenew, 1},       {&client::kSemaphoreAcquire, 0},
    {&client::kSemaphoreAdd, 0},    {&client::kSemaphoreRelease, 0},
    {&client::kSemaphoreRenew, 0},  {&client::kSemaphoreFree, -1},
    {&client::kConditionWait, 1},   {&client::kConditionLeave, 1},
    {&client::kConditionNotify, 0}, {&client::kBarrierWait, 0},
    {&client::kBarrierLeave, 0},    {&client::kBarrierEnd, 0},
    {&client::kBarrierCount, -1},   {&client::kEventSet, 0},
    {&client::kEventWait, -1},      {&client::kKeyValueDelete, 0},
};

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

std::string published(std::string_view channel, std::string_view text) {
  return array({bulk("message"), bulk(channel), bulk(text)});
}

std::string told(std::string_view text) { return published("dsync:inbox:s", text); }

std::string grant_message(std::string_view operation, std::int64_t fence, std::int64_t server_us) {
  return told(std::string(operation) + ' ' + std::to_string(fence) + ' ' +
              std::to_string(server_us / 1'000'000) + ' ' + std::to_string(server_us % 1'000'000));
}

Texts keys_of(const Command& command) {
  const auto first = command.begin() + 3;
  return {first, first + std::stoi(command.at(2))};
}

Texts arguments_of(const Command& command) {
  return {command.begin() + 3 + std::stoi(command.at(2)), command.end()};
}

std::string in_short(const Command& command) {
  if (command.at(0) == "EVAL" || command.at(0) == "EVALSHA") {
    for (const auto& [script, place] : kScripts) {
      if (command.at(1) != script->source && command.at(1) != script->sha1) continue;
      const auto name = std::string(script->name) + ' ';
      return name + (place < 0 ? keys_of(command).at(0)
                               : arguments_of(command).at(static_cast<std::size_t>(place)));
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
  auto& output = session_.client().output(Channel::kCommands);
  const auto result = commands_in(output);
  output.clear();
  return result;
}

Texts MachineTest::take_inbox() {
  auto& output = session_.client().output(Channel::kInbox);
  Texts result;
  for (const auto& command : commands_in(output)) result.push_back(in_short(command));
  output.clear();
  return result;
}

Texts MachineTest::take() {
  Texts result;
  for (const auto& command : take_commands()) result.push_back(in_short(command));
  return result;
}

void MachineTest::serve_inbox() {
  auto& output = session_.client().output(Channel::kInbox);
  std::string answers;
  for (const auto& command : commands_in(output)) {
    const bool begins = command.at(0) == "SUBSCRIBE";
    for (std::size_t i = 1; i < command.size(); ++i) {
      answers += array({bulk(begins ? "subscribe" : "unsubscribe"), bulk(command[i]), number(2)});
    }
  }
  output.clear();
  push(answers);
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
