// What goes between the sockets, the core, and the tasks that wait.
#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "bindings/session.h"
#include "driver/clock.h"
#include "driver/socket.h"

namespace dsync::bindings {

using client::Channel;
using driver::now;
using primitives::Outcome;

namespace {

// So many bytes are not kept until all tasks have gone on: the server works on them meanwhile.
constexpr std::size_t kMuch = 16384;

Channel to_channel(std::size_t number) {
  if (number > static_cast<std::size_t>(Channel::kInbox)) throw py::index_error("no such channel");
  return static_cast<Channel>(number);
}

}  // namespace

// ---- links ----

void Session::connected(std::size_t channel, const client::Login& login) {
  core_->client().set_login(login);
  core_->client().connected(to_channel(channel), now());
}

void Session::disconnected(const std::string& reason) {
  core_->disconnected(reason, now());
  put_events();
}

void Session::received(std::size_t channel, std::size_t size) {
  received(to_channel(channel), buffers_.at(channel).first(size));
}

bool Session::receive(std::size_t channel, int fd) {
  const auto bytes = driver::receive_some(fd, buffers_.at(channel).bytes);
  if (bytes) {
    received(to_channel(channel), *bytes);
    return true;
  }
  if (errno == 0) return false;
  PyErr_SetFromErrno(PyExc_OSError);
  throw py::error_already_set();
}

py::object Session::outcome(std::uint64_t operation, py::handle own) {
  newest_.emplace(loop_);
  pending_.insert_or_assign(operation, *newest_);
  if (is_alone() && sockets_) exchange(operation, *sockets_, idleness_.left(own));
  auto result = newest_->object();
  newest_.reset();
  return result;
}

// Sends what there is to send, and takes what comes over both links, until the operation has its
// outcome, or something else has happened or has come that the loop watches. No caller may own
// anything of Python on the stack: see wait_readable().
void Session::exchange(std::uint64_t operation, Sockets sockets, base::Duration limit) {
  if (limit <= base::Duration::zero()) return;
  const auto end = base::after(now(), limit);
  while (core_->client().healthy() && !has_news() && pending_.contains(operation)) {
    if (!send_all(sockets) || !receive_all(sockets, end)) break;
  }
  tell_deadline();
}

// Whether everything was sent. What is broken stays so, and whoever uses the link next is told.
bool Session::send_all(Sockets sockets) {
  for (const auto channel : {Channel::kCommands, Channel::kInbox}) {
    auto& output = core_->client().output(channel);
    if (output.empty()) continue;
    if (!driver::send_some(sockets[static_cast<std::size_t>(channel)], output)) return false;
    if (!output.empty()) return false;
  }
  return true;
}

// Whether anything came, and there may come more.
bool Session::receive_all(Sockets sockets, base::Time end) {
  const auto limit = std::min(end, core_->deadline()) - now();
  // However much comes, the loop gets its turn.
  if (limit <= base::Duration::zero()) return false;
  const auto readable = wait_readable(sockets, limit);
  for (const auto channel : {Channel::kCommands, Channel::kInbox}) {
    const auto index = static_cast<std::size_t>(channel);
    if (!readable[index]) continue;
    const auto bytes = driver::receive_some(sockets[index], buffers_[index].bytes);
    if (!bytes || bytes->empty()) return false;
    core_->received(channel, *bytes, now());
  }
  // What the caller has waited for comes before what is to be sent because of it.
  const bool goes_on = !core_->machine().has_completions() && send_all(sockets);
  put_events();
  return goes_on && readable != driver::ReplyWait::Readable{};
}

driver::ReplyWait::Readable Session::wait_readable(Sockets sockets, base::Duration limit) {
  auto& wait = core_->client().awaits_answers() ? reply_wait_ : message_wait_;
  // No py::gil_scoped_release: an interpreter that ends lets no daemon thread have the GIL again,
  // but ends it just there. Its stack is unwound without the GIL, and no destructor may throw.
  auto* const thread = PyEval_SaveThread();
  const auto readable = wait.only_readable(idleness_.epoll(), sockets, limit);
  PyEval_RestoreThread(thread);
  return readable;
}

bool Session::send(std::size_t channel, int fd) {
  auto& output = core_->client().output(to_channel(channel));
  if (!output.empty() && !driver::send_some(fd, output)) {
    PyErr_SetFromErrno(PyExc_OSError);
    throw py::error_already_set();
  }
  return output.empty();
}

void Session::received(Channel channel, std::span<const char> bytes) {
  core_->received(channel, bytes, now());
  put_events();
  tell_deadline();
}

// What has come may bring a deadline of its own: when to ask again.
void Session::tell_deadline() {
  if (core_->deadline() < announced_) put(0, static_cast<int>(LinkEvent::kOutput));
}

py::object Session::take_output(std::size_t channel) {
  return take_bytes(core_->client().output(to_channel(channel)));
}

ReceiveBuffer* Session::buffer(std::size_t channel) { return &buffers_.at(channel); }

// ---- what is told ----

void Session::put(std::uint64_t operation, std::int64_t number, const base::Error* error) {
  py::object details = py::none();
  if (error != nullptr) {
    details = py::make_tuple(static_cast<int>(error->kind), to_str(error->text));
  }
  events_.attr("append")(py::make_tuple(operation, number, details));
}

void Session::put_outcome(const primitives::Completion& completion) {
  const bool answer = completion.outcome == Outcome::kNumber;
  const auto number = answer ? completion.number : static_cast<std::int64_t>(completion.outcome);
  const auto found = pending_.extract(completion.id);
  if (!found) return put(completion.id, number);
  auto& pending = found.mapped();
  if (completion.outcome == Outcome::kFailed) {
    const auto& error = completion.error;
    pending.fail(failure_, static_cast<int>(error.kind), to_str(error.text));
  } else {
    pending.set(number);
  }
  if (pending.is_awaited()) ready_.push_back(std::move(pending));
}

void Session::put_events() {
  for (const auto& completion : core_->machine().take_completions()) put_outcome(completion);
  // After the grants, since what was granted may be lost by the time that it is told.
  for (const auto id : core_->machine().take_losses()) {
    put(id, static_cast<int>(Outcome::kLost));
  }
  const auto news = core_->take_link_news();
  if (news.lost) put(0, static_cast<int>(LinkEvent::kLost), &*news.lost);
  if (news.ready) put(0, static_cast<int>(LinkEvent::kReady));
  if (news.healthy) put(0, static_cast<int>(LinkEvent::kHealthy));
  if (!core_->client().output(Channel::kCommands).empty()) {
    put(0, static_cast<int>(LinkEvent::kOutput));
  }
}

int Session::resume(bool at_once) {
  while (true) {
    if (py::len(events_) > 0) return static_cast<int>(Work::kAdvance);
    if (has_much_to_send()) return static_cast<int>(Work::kSend);
    if (ready_.empty()) return static_cast<int>(Work::kNone);
    auto pending = std::move(ready_.front());
    ready_.pop_front();
    at_once ? pending.resume() : pending.resume_soon();
  }
}

bool Session::has_much_to_send() {
  const auto size = core_->client().output(Channel::kCommands).size();
  asked_to_send_ = std::min(asked_to_send_, size);
  if (size - asked_to_send_ < kMuch) return false;
  asked_to_send_ = size;
  return true;
}

void Session::fail_all(int kind, const py::str& text) {
  // In the order in which they began.
  std::map<std::uint64_t, Pending> failing;
  for (auto& [id, pending] : std::exchange(pending_, {})) failing.emplace(id, std::move(pending));
  for (auto& [id, pending] : failing) {
    core_->machine().abandon(id, now());
    pending.fail(failure_, kind, text);
    if (pending.is_awaited()) ready_.push_back(std::move(pending));
  }
}

}  // namespace dsync::bindings
