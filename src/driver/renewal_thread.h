// Drives a Renewal over a plain TCP or Unix socket from a thread that needs no interpreter: neither
// a blocked event loop nor a long call into C stops it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "base/time.h"
#include "client/handshake.h"
#include "driver/socket.h"
#include "primitives/lease_table.h"
#include "primitives/renewal.h"

namespace dsync::driver {

class RenewalThread {
 public:
  // The thread starts with the first lease of the table, and ends with this object.
  explicit RenewalThread(std::shared_ptr<primitives::LeaseTable> table);
  ~RenewalThread();
  RenewalThread(const RenewalThread&) = delete;
  RenewalThread& operator=(const RenewalThread&) = delete;

  // Where the next connection goes, and its login. Any thread.
  void set_server(Address address, client::Login login);

  // In a forked child, which has no such thread: gives up the parent's connection, nothing else. An
  // inherited socket would keep the parent's connection open after the parent died.
  void close_in_child();

 private:
  void wake();
  void run();
  void step();
  void connect(base::Time now);
  void connected(base::Time now);
  void disconnect(base::Time now);
  void wait();
  void receive();
  void flush();
  void drain_wake();

  const std::shared_ptr<primitives::LeaseTable> table_;
  primitives::Renewal renewal_;
  Descriptor wake_;
  std::atomic<bool> stop_ = false;

  std::mutex server_mutex_;
  Address address_;
  client::Login login_;

  Descriptor socket_;
  bool connecting_ = false;
  base::Time next_attempt_{};  // while connecting_: when to give that attempt up
  std::size_t failures_ = 0;   // attempts since the server was heard last
  std::minstd_rand random_;

  std::once_flag started_;
  std::thread thread_;
};

}  // namespace dsync::driver
