#include "bindings/leases.h"

#include <unistd.h>

#include <utility>

#include "driver/clock.h"

namespace dsync::bindings {

using client::Channel;

Leases::Leases() : table_(std::make_shared<primitives::LeaseTable>()) {}

void Leases::set_server(std::string host, int port, std::string path, const client::Login& login) {
  if (!thread_) thread_.emplace(table_);
  (*thread_)->set_server({std::move(host), port, std::move(path)}, login);
}

void Leases::stop() {
  // The thread takes no GIL, but it may be busy with the resolution of a name.
  const py::gil_scoped_release unlocked;
  thread_.reset();
}

void Leases::after_fork(bool in_child) {
  table_->unlock();
  if (in_child && thread_) (*thread_)->close_in_child();
}

RenewalDriver::RenewalDriver(const Leases& leases, int wake_fd)
    : table_(leases.table()), renewal_(table_) {
  table_->set_wake([wake_fd] { (void)!write(wake_fd, "", 1); });
}

void RenewalDriver::connected(const client::Login& login) {
  renewal_.client().set_login(login);
  renewal_.client().connected(Channel::kCommands, driver::now());
}

void RenewalDriver::disconnected(const std::string& reason) {
  renewal_.client().disconnected(reason);
}

void RenewalDriver::received(std::size_t size) {
  renewal_.client().received(Channel::kCommands, buffer_.first(size), driver::now());
}

py::object RenewalDriver::take_output() {
  return take_bytes(renewal_.client().output(Channel::kCommands));
}

py::tuple RenewalDriver::step() {
  const auto time = driver::now();
  const auto need = renewal_.step(time);
  return py::make_tuple(need.connect, need.lost, seconds_until(renewal_.deadline(), time),
                        to_seconds(renewal_.longest_pause()));
}

void bind_leases(py::module_& module) {
  py::class_<ReceiveBuffer>(module, "ReceiveBuffer", py::buffer_protocol())
      .def_buffer([](ReceiveBuffer& buffer) {
        return py::buffer_info(reinterpret_cast<unsigned char*>(buffer.bytes.data()),
                               static_cast<py::ssize_t>(buffer.bytes.size()));
      });
  py::class_<client::Login>(module, "Login")
      .def(py::init(&to_login), py::arg("username"), py::arg("password"), py::arg("database"),
           py::arg("client_name"));
  py::class_<Leases, std::shared_ptr<Leases>>(module, "Leases")
      .def(py::init<>())
      .def("set_server", &Leases::set_server, py::arg("host"), py::arg("port"), py::arg("path"),
           py::arg("login"))
      .def("stop", &Leases::stop)
      .def("before_fork", &Leases::before_fork)
      .def("after_fork", &Leases::after_fork, py::arg("in_child"));
  py::class_<RenewalDriver>(module, "RenewalDriver")
      .def(py::init<const Leases&, int>(), py::arg("leases"), py::arg("wake_fd"))
      .def("close", &RenewalDriver::close)
      .def("connected", &RenewalDriver::connected, py::arg("login"))
      .def("disconnected", &RenewalDriver::disconnected, py::arg("reason"))
      .def("received", &RenewalDriver::received, py::arg("size"))
      .def("take_output", &RenewalDriver::take_output)
      .def("step", &RenewalDriver::step)
      .def("buffer", &RenewalDriver::buffer, py::return_value_policy::reference_internal);
}

}  // namespace dsync::bindings
