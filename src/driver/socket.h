// A non-blocking stream socket to a server, TCP or Unix.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace dsync::driver {

struct Address {
  std::string host;  // empty: a Unix socket
  int port = 0;
  std::string path;  // of the Unix socket
};

// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() { *this = Descriptor(); }

 private:
  int fd_ = -1;
};

// Starts to connect; the socket is writable once connected (see connect_failed). Resolving a host
// name blocks. Of a name with several addresses, each `attempt` takes the next one. Returns an
// empty descriptor when there is no such address.
Descriptor start_connect(const Address& address, std::size_t attempt = 0);

// Sends what the socket takes now, and removes that from `output`. False: the connection is broken,
// and errno says how.
[[nodiscard]] bool send_some(int fd, std::string& output);

// Removes what was sent from the front of `output`. The memory of a burst is given back.
void drop_front(std::string& output, std::size_t size);

// Reads what has arrived, which may be nothing, into `buffer`. None: the connection is broken, and
// errno says how; 0 there means that the other side has ended it.
[[nodiscard]] std::optional<std::span<const char>> receive_some(int fd, std::span<char> buffer);

// Whether a connection that became writable has failed.
bool connect_failed(const Descriptor& socket);

}  // namespace dsync::driver
