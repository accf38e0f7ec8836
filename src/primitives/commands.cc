#include "primitives/commands.h"

#include "primitives/names.h"

namespace dsync::primitives {

void write_beside(client::Client::Call& call, std::string_view main,
                  std::string_view braced_suffix) {
  const auto parts = beside(main, braced_suffix);
  call.parts({parts[0], parts[1], parts[2]});
}

void send_wait(const Route& route, const Operation& operation, std::string_view former) {
  switch (operation.claim->kind) {
    case Kind::kLock:
      return send_lock_acquire(route, operation);
    case Kind::kPermit:
      return send_semaphore_acquire(route, operation);
    case Kind::kCondition:
    case Kind::kRelock:
      return send_condition_wait(route, operation, former);
    case Kind::kBarrier:
      return send_barrier_wait(route, operation);
    case Kind::kEvent:
      route.client.run(client::kEventWait, 1, 0, route.cookie, route.now) << operation.claim->key;
      return;
  }
}

void send_leave(const Route& route, const Operation& operation) {
  switch (operation.claim->kind) {
    case Kind::kLock:
    case Kind::kRelock:
      return send_lock_release(route, operation);
    case Kind::kPermit:
      return send_semaphore_release(route, operation);
    case Kind::kCondition:
      return send_condition_leave(route, *operation.claim, operation.knows);
    case Kind::kBarrier:
      return send_barrier_leave(route, operation);
    case Kind::kEvent:
      return;
  }
}

void send_question(const Route& route, const Question& question, std::string_view operation,
                   bool again) {
  if (question.script == nullptr) {
    return route.client.command({question.keys[0], question.keys[1]}, route.cookie, route.now);
  }
  const std::size_t marks = question.is_call ? 2 : 0;
  auto call = route.client.run(*question.script, question.keys.size(),
                               marks + question.arguments.size(), route.cookie, route.now);
  for (const auto& key : question.keys) call << key;
  if (question.is_call) call << operation << (again ? 1 : 0);
  for (const auto& argument : question.arguments) call << argument;
}

}  // namespace dsync::primitives
