#include "bindings/session.h"

#include <unistd.h>

#include <utility>

#include "driver/clock.h"

namespace dsync::bindings {

using client::Channel;
using driver::now;
using primitives::Outcome;

namespace {

Channel to_channel(std::size_t number) {
  if (number > static_cast<std::size_t>(Channel::kInbox)) throw py::index_error("no such channel");
  return static_cast<Channel>(number);
}

}  // namespace

Session::Session(std::string name, std::uint32_t seed, double reply_timeout, double ping_interval,
                 std::shared_ptr<Leases> leases, int loss_fd)
    : leases_(std::move(leases)),
      losses_(std::make_shared<primitives::LossInbox>([loss_fd] { (void)!write(loss_fd, "", 1); })),
      core_(primitives::Session::Options{std::move(name), seed, to_duration(reply_timeout),
                                         to_duration(ping_interval)},
            leases_->table(), losses_) {}

Session::~Session() { losses_->close(); }

void Session::connected(std::size_t channel, const client::Login& login) {
  core_->client().set_login(login);
  core_->client().connected(to_channel(channel), now());
}

py::list Session::disconnected(const std::string& reason) {
  core_->disconnected(reason, now());
  return events();
}

py::list Session::received(std::size_t channel, std::size_t size) {
  core_->received(to_channel(channel), buffers_.at(channel).first(size), now());
  auto result = events();
  // An answer may bring a deadline of its own: when to ask again.
  if (core_->deadline() < announced_) {
    result.append(event(0, static_cast<int>(LinkEvent::kOutput)));
  }
  return result;
}

py::list Session::tick() {
  announced_ = base::kNever;
  core_->tick(now());
  return events();
}

py::list Session::events() {
  py::list result;
  for (const auto& completion : core_->locks().take_completions()) {
    const bool failed = completion.outcome == Outcome::kFailed;
    result.append(event(completion.id, static_cast<int>(completion.outcome),
                        failed ? &completion.error : nullptr));
  }
  // After the grants, since what was granted may be lost by the time that it is told.
  for (const auto id : core_->locks().take_losses()) {
    result.append(event(id, static_cast<int>(Outcome::kLost)));
  }
  const auto news = core_->take_link_news();
  if (news.lost) result.append(event(0, static_cast<int>(LinkEvent::kLost), &*news.lost));
  if (news.ready) result.append(event(0, static_cast<int>(LinkEvent::kReady)));
  if (news.healthy) result.append(event(0, static_cast<int>(LinkEvent::kHealthy)));
  if (!core_->client().output(Channel::kCommands).empty()) {
    result.append(event(0, static_cast<int>(LinkEvent::kOutput)));
  }
  return result;
}

double Session::due_in() {
  const auto deadline = core_->deadline();
  if (deadline >= announced_) return -1;
  announced_ = deadline;
  return seconds_until(deadline, now());
}

py::object Session::take_output(std::size_t channel) {
  return take_bytes(core_->client().output(to_channel(channel)));
}

ReceiveBuffer* Session::buffer(std::size_t channel) { return &buffers_.at(channel); }

std::uint64_t Session::acquire(std::string_view key, std::string_view token, double lease,
                               bool renewed, bool queueing, double poll_delay, double timeout) {
  const auto time = now();
  return core_->locks().acquire({.key = key,
                                 .token = token,
                                 .lease = to_lease(lease),
                                 .renewed = renewed,
                                 .queueing = queueing,
                                 .poll_delay = to_duration(poll_delay),
                                 .deadline = base::after(time, to_duration(timeout))},
                                time);
}

void Session::release(std::uint64_t id) { core_->locks().release(id, now()); }

void Session::abandon(std::uint64_t id) { core_->locks().abandon(id, now()); }

void Session::forget(std::uint64_t id) { core_->locks().forget(id); }

std::uint64_t Session::confirm(std::uint64_t id, double lease) {
  return core_->locks().confirm(id, to_lease(lease), now());
}

std::uint64_t Session::locked(std::string_view key) { return core_->locks().locked(key, now()); }

std::int64_t Session::fence(std::uint64_t id) const { return core_->locks().fence(id); }

double Session::valid_for(std::uint64_t id) const {
  return to_seconds(core_->locks().valid_for(id, now()));
}

py::list Session::give_up(const std::string& reason) {
  core_->locks().give_up({base::ErrorKind::kConnection, reason});
  return events();
}

void Session::close() {
  core_->locks().forget_all();
  losses_->close();
}

void Session::abandon_all() { core_->locks().abandon_all(now()); }

void bind_session(py::module_& module) {
  py::class_<Session>(module, "Session")
      .def(py::init<std::string, std::uint32_t, double, double, std::shared_ptr<Leases>, int>(),
           py::arg("name"), py::arg("seed"), py::arg("reply_timeout"), py::arg("ping_interval"),
           py::arg("leases"), py::arg("loss_fd"))
      .def("connected", &Session::connected)
      .def("disconnected", &Session::disconnected)
      .def("received", &Session::received)
      .def("tick", &Session::tick)
      .def("due_in", &Session::due_in)
      .def("take_output", &Session::take_output)
      .def("buffer", &Session::buffer, py::return_value_policy::reference_internal)
      .def("acquire", &Session::acquire)
      .def("release", &Session::release)
      .def("abandon", &Session::abandon)
      .def("forget", &Session::forget)
      .def("confirm", &Session::confirm)
      .def("locked", &Session::locked)
      .def("fence", &Session::fence)
      .def("valid_for", &Session::valid_for)
      .def("give_up", &Session::give_up)
      .def("abandon_all", &Session::abandon_all)
      .def("close", &Session::close)
      .def("wants_link", &Session::wants_link, py::arg("awaited"));
}

}  // namespace dsync::bindings
