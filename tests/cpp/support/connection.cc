#include "support/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "resp/writer.h"
#include "support/wire.h"

namespace dsync::tests {
namespace {

constexpr int kPatience = 20'000;  // ms

void wait_for(const driver::Descriptor& socket, short event) {
  pollfd descriptor{socket.get(), event, 0};
  if (poll(&descriptor, 1, kPatience) != 1) throw std::runtime_error("the server is silent");
}

}  // namespace

Connection::Connection(const driver::Address& address) : socket_(driver::start_connect(address)) {
  if (!socket_) throw std::runtime_error("there is no server");
  wait_for(socket_, POLLOUT);
  if (driver::connect_failed(socket_)) throw std::runtime_error("there is no server");
}

resp::Reply Connection::ask(const std::vector<std::string>& words) {
  std::string bytes;
  resp::append_array(bytes, words.size());
  for (const auto& word : words) resp::append_bulk(bytes, word);
  while (!bytes.empty()) {
    wait_for(socket_, POLLOUT);
    const auto size = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) throw std::runtime_error("the connection was closed");
    bytes.erase(0, static_cast<std::size_t>(size));
  }
  return read();
}

resp::Reply Connection::read() {
  std::array<char, 16384> buffer;
  while (true) {
    auto next = reader_.next();
    if (!next.ok()) throw std::runtime_error(next.error().text);
    if (next.value()) return std::move(*next.value());
    wait_for(socket_, POLLIN);
    const auto size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) throw std::runtime_error("the connection was closed");
    reader_.feed({buffer.data(), static_cast<std::size_t>(size)});
  }
}

std::string Connection::operator()(const std::vector<std::string>& words) {
  return show(ask(words).view());
}

std::int64_t Connection::integer(const std::vector<std::string>& words) {
  const auto reply = ask(words);
  const auto value = reply.view().integer();
  if (!value) throw std::runtime_error("not an integer: " + show(reply.view()));
  return *value;
}

std::vector<std::string> Connection::keys() {
  const auto reply = ask({"KEYS", "*"});
  std::vector<std::string> result;
  for (std::size_t i = 0; i < reply.view().size(); ++i) {
    result.emplace_back(reply.view().at(i).text());
  }
  std::ranges::sort(result);
  return result;
}

}  // namespace dsync::tests
