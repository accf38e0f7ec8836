#include "support/live_session.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "driver/clock.h"
#include "primitives/commands.h"
#include "resp/reader.h"
#include "support/wire.h"

namespace dsync::tests {

using client::Channel;
using driver::now;

namespace {

using namespace std::chrono_literals;

constexpr base::Duration kPatience = 20s;

int milliseconds_until(base::Time time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void wait_for(const driver::Descriptor& socket, short event) {
  pollfd descriptor{socket.get(), event, 0};
  if (poll(&descriptor, 1, milliseconds_until(now() + kPatience)) != 1) {
    throw std::runtime_error("the server is silent");
  }
}

}  // namespace

LiveSession::LiveSession(driver::Address address, std::string name,
                         std::shared_ptr<primitives::LeaseTable> table)
    : address_(std::move(address)),
      table_(table ? std::move(table) : std::make_shared<primitives::LeaseTable>()),
      losses_(std::make_shared<primitives::LossInbox>([] {})),
      session_({std::move(name), 1, 10s, 15s}, table_, losses_) {}

void LiveSession::connect() {
  for (const auto channel : {Channel::kCommands, Channel::kInbox}) {
    auto& socket = sockets_[static_cast<std::size_t>(channel)];
    socket.reset();
    socket = driver::start_connect(address_);
    if (!socket) throw std::runtime_error("there is no server");
    wait_for(socket, POLLOUT);
    if (driver::connect_failed(socket)) throw std::runtime_error("there is no server");
    session_.client().connected(channel, now());
  }
  run_until({this}, [this] { return connected(); });
}

void LiveSession::vanish() {
  for (auto& socket : sockets_) socket.reset();
}

void LiveSession::disconnect() {
  vanish();
  session_.disconnected("closed by the test", now());
  // What follows is about the links of the next connect().
  session_.take_link_news();
}

LiveSession::OperationId LiveSession::acquire(const Wish& wish) {
  const auto time = now();
  const auto id = machine().acquire(request_of(wish, time), time);
  flush();
  return id;
}

void LiveSession::release(OperationId id) {
  machine().release(id, now());
  flush();
}

void LiveSession::abandon(OperationId id) {
  machine().abandon(id, now());
  flush();
}

LiveSession::OperationId LiveSession::confirm(OperationId id, base::Duration lease) {
  const auto question = machine().confirm(id, lease, now());
  flush();
  return question;
}

LiveSession::Outcome LiveSession::outcome(OperationId id) {
  run_until({this}, [this, id] { return completed(id); });
  auto node = outcomes_.extract(id);
  error_ = std::move(node.mapped().error.text);
  number_ = node.mapped().number;
  return node.mapped().outcome;
}

void LiveSession::settle() {
  const auto id = machine().ask(primitives::locked_question("unused"), now());
  flush();
  outcome(id);
}

LiveSession::OperationId LiveSession::hold(const Wish& wish) {
  const auto id = acquire(wish);
  if (outcome(id) != Outcome::kGranted) throw std::runtime_error("it was not granted: " + error_);
  return id;
}

LiveSession::OperationId LiveSession::queue(const Wish& wish) {
  const auto id = acquire(wish);
  settle();
  if (completed(id)) throw std::runtime_error("it was not queued");
  return id;
}

void LiveSession::flush() {
  for (const auto channel : {Channel::kCommands, Channel::kInbox}) {
    auto& output = session_.client().output(channel);
    // What is sent one by one is answered meanwhile, and an answer may ask for more.
    while (!output.empty()) {
      const auto bytes = std::exchange(output, {});
      if ((hook_ || loses_reply_) && channel == Channel::kCommands && connected()) {
        send_one_by_one(bytes);
      } else {
        send_all(channel, bytes);
      }
    }
  }
}

void LiveSession::send_one_by_one(std::string_view bytes) {
  for (const auto& command : commands_in(bytes)) {
    if (hook_) hook_();
    std::string one = '*' + std::to_string(command.size()) + "\r\n";
    for (const auto& word : command) one += bulk(word);
    send_all(Channel::kCommands, one);
    if (loses_reply_ && loses_reply_()) {
      wait_for(sockets_[0], POLLIN);
      return disconnect();
    }
    await_reply();
  }
}

void LiveSession::await_reply() {
  resp::Reader reader;
  while (connected()) {
    wait_for(sockets_[0], POLLIN);
    reader.feed(receive(Channel::kCommands));
    auto next = reader.next();
    if (!next.ok()) throw std::runtime_error(next.error().text);
    if (next.value()) return;
  }
}

void LiveSession::send_all(Channel channel, std::string_view bytes) {
  const auto& socket = sockets_[static_cast<std::size_t>(channel)];
  while (socket && !bytes.empty()) {
    wait_for(socket, POLLOUT);
    const auto size = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) return;  // The loss is found by the next receive().
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

std::string LiveSession::receive(Channel channel) {
  std::array<char, 16384> buffer;
  const auto& socket = sockets_[static_cast<std::size_t>(channel)];
  const auto size = recv(socket.get(), buffer.data(), buffer.size(), 0);
  if (size > 0) {
    const std::string bytes(buffer.data(), static_cast<std::size_t>(size));
    session_.received(channel, bytes, now());
    return bytes;
  }
  disconnect();
  return {};
}

void LiveSession::take_events() {
  for (auto& completion : machine().take_completions()) {
    const auto id = completion.id;
    outcomes_.insert_or_assign(id, std::move(completion));
  }
  if (session_.take_link_news().lost) vanish();
}

void run_until(std::initializer_list<LiveSession*> sessions, const std::function<bool()>& done) {
  const auto end = now() + kPatience;
  while (true) {
    for (auto* session : sessions) {
      session->flush();
      session->take_events();
    }
    if (done()) return;
    if (now() >= end) throw std::runtime_error("the event did not come");
    std::vector<pollfd> descriptors;
    auto next = end;
    for (auto* session : sessions) {
      // What done() has begun leaves at once.
      session->flush();
      next = std::min(next, session->session_.deadline());
      for (const auto& socket : session->sockets_) descriptors.push_back({socket.get(), POLLIN, 0});
    }
    poll(descriptors.data(), descriptors.size(), milliseconds_until(next));
    auto descriptor = descriptors.begin();
    for (auto* session : sessions) {
      for (const auto channel : {Channel::kCommands, Channel::kInbox}) {
        if ((descriptor++)->revents != 0) session->receive(channel);
      }
      session->session_.tick(now());
    }
  }
}

}  // namespace dsync::tests
