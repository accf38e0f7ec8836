// Leases of one process at one server, as Python sees them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bindings/conversions.h"
#include "bindings/fork_owned.h"
#include "bindings/receive_buffer.h"
#include "driver/renewal_thread.h"
#include "primitives/lease_table.h"
#include "primitives/renewal.h"

namespace dsync::bindings {

// Renews from a native thread.
class Leases {
 public:
  Leases();
  const std::shared_ptr<primitives::LeaseTable>& table() const { return table_; }

  // Where the native thread connects to; starts to use it, unless a RenewalDriver does the work.
  void set_server(std::string host, int port, std::string path, const client::Login& login);

  // Ends the native thread; it must not be started again.
  void stop();

  // Around a fork: the table is in order while the process is copied, and the child keeps no
  // connection.
  void before_fork() { table_->lock(); }
  void after_fork(bool in_child);

 private:
  std::shared_ptr<primitives::LeaseTable> table_;
  std::optional<ForkOwned<driver::RenewalThread>> thread_;
};

// For a driver written in Python, where the connection needs what only Python has (TLS).
class RenewalDriver {
 public:
  // `wake_fd` gets a byte when step() should be called before its time.
  RenewalDriver(const Leases& leases, int wake_fd);
  ~RenewalDriver() { close(); }

  // Leaves `wake_fd` alone from now on.
  void close() { table_->set_wake(nullptr); }

  void connected(const client::Login& login);
  void disconnected(const std::string& reason);
  void received(std::size_t size);
  py::object take_output();
  py::tuple step();  // (connect, lost, seconds until the next step, longest pause)
  ReceiveBuffer* buffer() { return &buffer_; }

 private:
  std::shared_ptr<primitives::LeaseTable> table_;
  primitives::Renewal renewal_;
  ReceiveBuffer buffer_;
};

void bind_leases(py::module_& module);

}  // namespace dsync::bindings
