#include "driver/renewal_thread.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "driver/clock.h"

namespace dsync::driver {
namespace {

using client::Channel;

constexpr base::Duration kShortestBackoff = std::chrono::milliseconds(20);

// For poll(): rounded up, so that the deadline has come when it returns.
int poll_timeout(base::Time deadline, base::Time now) {
  if (deadline == base::kNever) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

}  // namespace

RenewalThread::RenewalThread(std::shared_ptr<primitives::LeaseTable> table)
    : table_(std::move(table)),
      renewal_(table_),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      random_(std::random_device()()) {
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  table_->set_wake([this] { wake(); });
}

RenewalThread::~RenewalThread() {
  table_->set_wake(nullptr);
  stop_ = true;
  if (thread_.joinable()) {
    wake();
    thread_.join();
  }
}

void RenewalThread::set_server(Address address, client::Login login) {
  const std::lock_guard guard(server_mutex_);
  address_ = std::move(address);
  login_ = std::move(login);
}

void RenewalThread::close_in_child() {
  socket_.reset();
  wake_.reset();
}

void RenewalThread::wake() {
  std::call_once(started_, [this] {
    if (stop_) return;
    // Signals are for the thread of the interpreter.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  });
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);  // A full counter wakes as well.
}

void RenewalThread::run() {
  while (!stop_) {
    step();
    wait();
  }
}

void RenewalThread::step() {
  const auto time = now();
  if (connecting_ && time >= next_attempt_) disconnect(time);
  const auto need = renewal_.step(time);
  if (need.lost && socket_) disconnect(time);
  if (need.connect && !socket_ && time >= next_attempt_) connect(time);
  flush();
}

void RenewalThread::connect(base::Time time) {
  Address address;
  {
    const std::lock_guard guard(server_mutex_);
    address = address_;
    renewal_.client().set_login(login_);
  }
  socket_ = start_connect(address, failures_);
  if (!socket_) return disconnect(time);
  connecting_ = true;
  // A quarter of the shortest lease, so that a host that swallows an attempt does not cost it.
  next_attempt_ = time + renewal_.longest_pause() * 5 / 2;
}

void RenewalThread::connected(base::Time time) {
  if (connect_failed(socket_)) return disconnect(time);
  connecting_ = false;
  renewal_.client().connected(Channel::kCommands, time);
}

void RenewalThread::disconnect(base::Time time) {
  socket_.reset();
  connecting_ = false;
  renewal_.client().disconnected("the connection for renewals was lost");
  const auto limit = std::min(renewal_.longest_pause(),
                              kShortestBackoff * (1 << std::min<std::size_t>(failures_++, 10)));
  std::uniform_real_distribution<double> jitter(0.5, 1.0);
  next_attempt_ = time + std::chrono::duration_cast<base::Duration>(limit * jitter(random_));
}

void RenewalThread::wait() {
  const auto time = now();
  auto deadline = renewal_.deadline();
  // Only while something waits for a connection does the next attempt matter.
  if (!renewal_.client().ready() && (connecting_ || next_attempt_ > time)) {
    deadline = std::min(deadline, next_attempt_);
  }
  std::array<pollfd, 2> descriptors{{{wake_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
  const bool unsent = !renewal_.client().output(Channel::kCommands).empty();
  if (connecting_ || unsent) descriptors[1].events |= POLLOUT;
  if (poll(descriptors.data(), socket_ ? 2 : 1, poll_timeout(deadline, time)) <= 0) return;
  if (descriptors[0].revents != 0) drain_wake();
  if (!socket_ || descriptors[1].revents == 0) return;
  if (connecting_) {
    connected(now());
  } else if ((descriptors[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
    receive();
  }
}

void RenewalThread::receive() {
  std::array<char, 16384> buffer;
  const auto bytes = receive_some(socket_.get(), buffer);
  if (!bytes) return disconnect(now());
  if (bytes->empty()) return;
  failures_ = 0;
  renewal_.client().received(Channel::kCommands, *bytes, now());
}

void RenewalThread::flush() {
  auto& output = renewal_.client().output(Channel::kCommands);
  if (!socket_ || connecting_ || output.empty()) return;
  if (!send_some(socket_.get(), output)) disconnect(now());
}

void RenewalThread::drain_wake() {
  std::uint64_t count = 0;
  (void)!read(wake_.get(), &count, sizeof count);
}

}  // namespace dsync::driver
