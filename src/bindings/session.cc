#include "bindings/session.h"

#include <pybind11/stl.h>
#include <unistd.h>

#include <utility>

#include "driver/clock.h"
#include "primitives/commands.h"

namespace dsync::bindings {

using client::Channel;
using driver::now;
using primitives::Kind;
using primitives::Outcome;

Session::Session(std::string name, std::uint32_t seed, double reply_timeout, double ping_interval,
                 std::shared_ptr<Leases> leases, int loss_fd, py::object loop, py::object failure,
                 py::object events)
    : leases_(std::move(leases)),
      losses_(std::make_shared<primitives::LossInbox>([loss_fd] { (void)!write(loss_fd, "", 1); })),
      core_(primitives::Session::Options{std::move(name), seed, to_duration(reply_timeout),
                                         to_duration(ping_interval)},
            leases_->table(), losses_),
      loop_(std::move(loop)),
      failure_(std::move(failure)),
      events_(std::move(events)),
      idleness_(loop_) {}

Session::~Session() { losses_->close(); }

void Session::tick() {
  announced_ = base::kNever;
  core_->tick(now());
  put_events();
}

double Session::due_in() {
  const auto deadline = core_->deadline();
  if (deadline >= announced_) return -1;
  announced_ = deadline;
  return seconds_until(deadline, now());
}

int Session::work() {
  auto& client = core_->client();
  const bool calm = client.healthy() && client.output(Channel::kInbox).empty() &&
                    !core_->machine().has_completions() && core_->deadline() >= announced_;
  if (!calm) return static_cast<int>(Work::kAdvance);
  return static_cast<int>(client.output(Channel::kCommands).empty() ? Work::kNone : Work::kSend);
}

std::uint64_t Session::acquire(std::string_view key, std::string_view token, double lease,
                               bool renewed, bool queueing, double poll_delay, double timeout,
                               double window, bool local) {
  const auto time = now();
  return core_->machine().acquire({.key = key,
                                   .token = token,
                                   .lease = to_lease(lease),
                                   .renewed = renewed,
                                   .queueing = queueing,
                                   .poll_delay = to_duration(poll_delay),
                                   .deadline = base::after(time, to_duration(timeout)),
                                   .window = to_lease(window),
                                   .local = local},
                                  time);
}

std::uint64_t Session::acquire_permit(std::string_view key, std::int64_t value, bool bounded,
                                      double lease, bool renewed, bool queueing, double poll_delay,
                                      double timeout, double window) {
  const auto time = now();
  return core_->machine().acquire({.key = key,
                                   .token = {},
                                   .lease = to_lease(lease),
                                   .renewed = renewed,
                                   .queueing = queueing,
                                   .poll_delay = to_duration(poll_delay),
                                   .deadline = base::after(time, to_duration(timeout)),
                                   .kind = Kind::kPermit,
                                   .bounded = bounded,
                                   .number = value,
                                   .window = to_lease(window)},
                                  time);
}

std::uint64_t Session::wait(Kind kind, std::string_view key, std::int64_t number,
                            double poll_delay) {
  return core_->machine().acquire({.key = key,
                                   .token = {},
                                   .lease = primitives::kNoExpiry,
                                   .renewed = false,
                                   .queueing = true,
                                   .poll_delay = to_duration(poll_delay),
                                   .deadline = base::kNever,
                                   .kind = kind,
                                   .number = number},
                                  now());
}

std::uint64_t Session::wait_for_notification(std::string_view lock, double poll_delay) {
  return wait(Kind::kCondition, lock, 0, poll_delay);
}

std::uint64_t Session::wait_for_parties(std::string_view barrier, std::int64_t parties,
                                        double poll_delay) {
  return wait(Kind::kBarrier, barrier, parties, poll_delay);
}

std::uint64_t Session::wait_for_event(std::string_view event, double poll_delay) {
  return wait(Kind::kEvent, event, 0, poll_delay);
}

std::uint64_t Session::relock(std::uint64_t held, double poll_delay) {
  return core_->machine().relock(held, to_duration(poll_delay), now());
}

int Session::rejoin(std::uint64_t id) {
  return static_cast<int>(core_->machine().rejoin(id, now()));
}

void Session::settle(std::uint64_t id, bool is_used) {
  core_->machine().settle(id, is_used, now());
}

std::uint64_t Session::notify(std::uint64_t holder, std::int64_t count) {
  return core_->machine().notify(holder, count, now());
}

std::uint64_t Session::ask(primitives::Question question) {
  return core_->machine().ask(std::move(question), now());
}

std::uint64_t Session::locked(std::string_view key) {
  return ask(primitives::locked_question(key));
}

std::uint64_t Session::drop(std::string_view key) { return ask(primitives::drop_call(key)); }

std::uint64_t Session::free_slots(std::string_view key, std::int64_t value) {
  return ask(primitives::free_slots_question(key, value));
}

std::uint64_t Session::add_slot(std::string_view key, std::int64_t value, bool bounded) {
  return ask(primitives::add_call(key, value, bounded));
}

std::uint64_t Session::parties_waiting(std::string_view barrier) {
  return ask(primitives::waiting_question(barrier));
}

std::uint64_t Session::end_round(std::string_view barrier, std::string_view word) {
  return ask(primitives::end_call(barrier, word));
}

std::uint64_t Session::is_set(std::string_view event) {
  return ask(primitives::is_set_question(event));
}

std::uint64_t Session::set_event(std::string_view event, bool value) {
  return ask(primitives::set_call(event, value));
}

py::object Session::release(std::uint64_t id, py::handle own) {
  if (!core_->machine().release(id, now())) return outcome(id, own);
  put_events();
  return Pending(static_cast<std::int64_t>(Outcome::kReleased)).object();
}

void Session::abandon(std::uint64_t id) {
  pending_.erase(id);
  core_->machine().abandon(id, now());
}

void Session::forget(std::uint64_t id) { core_->machine().forget(id, now()); }

std::uint64_t Session::confirm(std::uint64_t id, double lease) {
  return core_->machine().confirm(id, to_lease(lease), now());
}

std::int64_t Session::fence(std::uint64_t id) const { return core_->machine().fence(id); }

double Session::valid_for(std::uint64_t id) const {
  return to_seconds(core_->machine().valid_for(id, now()));
}

void Session::give_up(const std::string& reason) {
  core_->machine().give_up({base::ErrorKind::kConnection, reason});
  put_events();
}

void Session::close() {
  // What tasks do when they are destroyed must find the session whole.
  const auto pending = std::exchange(pending_, {});
  const auto ready = std::exchange(ready_, {});
  core_->machine().forget_all();
  losses_->close();
}

void Session::abandon_all() { core_->machine().abandon_all(now()); }

void bind_session(py::module_& module) {
  py::class_<Session>(module, "Session")
      .def(py::init<std::string, std::uint32_t, double, double, std::shared_ptr<Leases>, int,
                    py::object, py::object, py::object>(),
           py::arg("name"), py::arg("seed"), py::arg("reply_timeout"), py::arg("ping_interval"),
           py::arg("leases"), py::arg("loss_fd"), py::arg("loop"), py::arg("failure"),
           py::arg("events"))
      .def("outcome", &Session::outcome)
      .def("awaited", &Session::awaited)
      .def("has_news", &Session::has_news)
      .def("is_alone", &Session::is_alone)
      .def("resume", &Session::resume)
      .def("fail_all", &Session::fail_all)
      .def("lend", &Session::lend)
      .def("take_back", &Session::take_back)
      .def("connected", &Session::connected)
      .def("disconnected", &Session::disconnected)
      .def("received", py::overload_cast<std::size_t, std::size_t>(&Session::received))
      .def("receive", &Session::receive)
      .def("send", &Session::send)
      .def("tick", &Session::tick)
      .def("due_in", &Session::due_in)
      .def("work", &Session::work)
      .def("take_output", &Session::take_output)
      .def("buffer", &Session::buffer, py::return_value_policy::reference_internal)
      .def("acquire", &Session::acquire)
      .def("acquire_permit", &Session::acquire_permit)
      .def("wait_for_notification", &Session::wait_for_notification)
      .def("wait_for_parties", &Session::wait_for_parties)
      .def("wait_for_event", &Session::wait_for_event)
      .def("relock", &Session::relock)
      .def("rejoin", &Session::rejoin)
      .def("settle", &Session::settle)
      .def("release", &Session::release)
      .def("abandon", &Session::abandon)
      .def("forget", &Session::forget)
      .def("confirm", &Session::confirm)
      .def("is_held", &Session::is_held)
      .def("locked", &Session::locked)
      .def("drop", &Session::drop)
      .def("free_slots", &Session::free_slots)
      .def("add_slot", &Session::add_slot)
      .def("notify", &Session::notify)
      .def("parties_waiting", &Session::parties_waiting)
      .def("end_round", &Session::end_round)
      .def("is_set", &Session::is_set)
      .def("set_event", &Session::set_event)
      .def("token", &Session::token)
      .def("fence", &Session::fence)
      .def("valid_for", &Session::valid_for)
      .def("give_up", &Session::give_up)
      .def("abandon_all", &Session::abandon_all)
      .def("close", &Session::close)
      .def("wants_link", &Session::wants_link, py::arg("awaited"));
}

}  // namespace dsync::bindings
