#include "driver/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

namespace dsync::driver {
namespace {

// Whether the connection stands, or is on its way.
bool connects(int fd, const sockaddr* address, socklen_t size) {
  return connect(fd, address, size) == 0 || errno == EINPROGRESS;
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

Descriptor start_unix(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor result(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (!result || !connects(result.get(), generic, sizeof address)) return {};
  return result;
}

Descriptor start_tcp(const std::string& host, int port, std::size_t attempt) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  std::vector<const addrinfo*> addresses;
  for (const auto* info = found; info != nullptr; info = info->ai_next) addresses.push_back(info);
  const auto* info = addresses[attempt % addresses.size()];
  Descriptor result(socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(result.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(result.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (!result || !connects(result.get(), info->ai_addr, info->ai_addrlen)) return {};
  return result;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Descriptor start_connect(const Address& address, std::size_t attempt) {
  if (address.host.empty()) return start_unix(address.path);
  return start_tcp(address.host, address.port, attempt);
}

bool send_some(int fd, std::string& output) {
  const auto size = send(fd, output.data(), output.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (size < 0) return would_block();
  drop_front(output, static_cast<std::size_t>(size));
  return true;
}

void drop_front(std::string& output, std::size_t size) {
  constexpr std::size_t kKept = 65536;
  output.erase(0, size);
  if (output.empty() && output.capacity() > kKept) output.shrink_to_fit();
}

std::optional<std::span<const char>> receive_some(int fd, std::span<char> buffer) {
  const auto size = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (size > 0) return buffer.first(static_cast<std::size_t>(size));
  if (size < 0 && would_block()) return buffer.first(0);
  if (size == 0) errno = 0;
  return std::nullopt;
}

bool connect_failed(const Descriptor& socket) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0;
}

}  // namespace dsync::driver
