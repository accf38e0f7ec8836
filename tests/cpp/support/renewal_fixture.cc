#include "support/renewal_fixture.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <utility>

#include "client/scripts.h"
#include "driver/clock.h"

namespace dsync::tests {
namespace {

constexpr int kPatience = 20'000;  // ms
constexpr const char* kName = "renewal-of-the-test";

std::string milliseconds(base::Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

std::string fence_of(const std::string& key) { return '{' + key + "}:dsync:fence"; }

}  // namespace

RenewalThreadTest::RenewalThreadTest()
    : loss_signal_(eventfd(0, EFD_CLOEXEC)),
      losses_(std::make_shared<primitives::LossInbox>([fd = loss_signal_.get()] {
        const std::uint64_t one = 1;
        (void)!write(fd, &one, sizeof one);
      })) {
  redis_({"CONFIG", "SET", "notify-keyspace-events", "Egx"});
  events_({"PSUBSCRIBE", "__keyevent@*__:expire*"});
}

void RenewalThreadTest::start(const driver::Address& address, client::Login login) {
  login.client_name = kName;
  thread_ = std::make_unique<driver::RenewalThread>(table_);
  thread_->set_server(address, std::move(login));
}

RenewalThreadTest::ClaimPtr RenewalThreadTest::hold(const Terms& terms) {
  auto claim = take(terms);
  look_after(claim, terms.renew_after);
  return claim;
}

RenewalThreadTest::ClaimPtr RenewalThreadTest::take(const Terms& terms) {
  const auto id = ++last_id_;
  const auto operation = "s:" + std::to_string(id);
  const auto sent = driver::now();
  const auto granted = redis_({"EVAL", std::string(client::kLockAcquire.source), "3", terms.key,
                               '{' + terms.key + "}:dsync:queue", fence_of(terms.key), "token",
                               operation, milliseconds(terms.lease), "0",
                               milliseconds(terms.lease + std::chrono::minutes(10))});
  if (granted.size() != 18) throw std::runtime_error("it was not granted: " + granted);
  auto claim = std::shared_ptr<primitives::Claim>(
      new primitives::Claim{id, terms.key, "token", operation, terms.lease, true});
  await_renewals(terms.key);  // The grant itself looks like one.
  const auto left = terms.lease * 9 / 10;
  shorten(terms.key, left);
  claim->extend_to(sent + left);
  return claim;
}

void RenewalThreadTest::look_after(const ClaimPtr& claim, base::Duration renew_after) {
  table_->add(claim, losses_, driver::now() + renew_after);
}

void RenewalThreadTest::shorten(const std::string& key, base::Duration left) {
  redis_({"PEXPIRE", key, milliseconds(left)});
  await_renewals(key);
}

void RenewalThreadTest::await_renewals(const std::string& key, int times) {
  while (renewals_[key] < times) {
    const auto reply = events_.read();
    const auto event = reply.view();
    if (event.at(2).text().ends_with(":expired")) throw std::runtime_error("a lease ran out");
    ++renewals_[std::string(event.at(3).text())];
  }
  renewals_[key] -= times;
}

primitives::OperationId RenewalThreadTest::await_loss() {
  pollfd descriptor{loss_signal_.get(), POLLIN, 0};
  if (poll(&descriptor, 1, kPatience) != 1) throw std::runtime_error("there was no loss");
  const auto lost = losses_->take();
  if (lost.size() != 1) throw std::runtime_error("there was not one loss");
  return lost.front();
}

std::optional<std::string> RenewalThreadTest::connection_id() {
  const auto clients = redis_({"CLIENT", "LIST"});
  const auto name = clients.find(std::string("name=") + kName);
  if (name == std::string::npos) return std::nullopt;
  const auto id = clients.rfind("id=", name) + 3;
  return clients.substr(id, clients.find(' ', id) - id);
}

std::set<std::string> RenewalThreadTest::threads() {
  std::set<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    result.insert(entry.path().filename());
  }
  return result;
}

std::size_t RenewalThreadTest::descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace dsync::tests
