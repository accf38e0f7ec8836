#include "worker.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <iostream>

#include "options.h"

namespace dsync::bench {

Nanoseconds Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::nanoseconds(now).count();
}

Span WaitForGo() {
  std::cout << "ready" << std::endl;
  std::string word;
  Span span{};
  if (!(std::cin >> word >> span.start >> span.end) || word != "go") {
    Fail("no go");
  }
  return span;
}

std::array<bool, 2> WaitReadable(std::array<int, 2> fds, Nanoseconds until) {
  std::array<pollfd, 2> polled{pollfd{fds[0], POLLIN, 0}, pollfd{fds[1], POLLIN, 0}};
  const Nanoseconds wait = std::max<Nanoseconds>(0, until - Now());
  const timespec timeout{wait / 1'000'000'000, wait % 1'000'000'000};
  if (ppoll(polled.data(), polled.size(), &timeout, nullptr) < 0 && errno != EINTR) {
    Fail("ppoll failed");
  }
  return {polled[0].revents != 0, polled[1].revents != 0};
}

void PrintStamps(const std::vector<Nanoseconds>& stamps) {
  std::cout << "{\"stamps\": [";
  const char* separator = "";
  for (const Nanoseconds stamp : stamps) {
    std::cout << separator << stamp;
    separator = ",";
  }
  std::cout << "]}" << std::endl;
}

std::int64_t ParseNumber(std::string_view text) {
  std::int64_t number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void OpenInbox(Connection& connection, std::string_view session) {
  const std::string channel = "dsync:inbox:" + std::string(session);
  const std::array<std::string_view, 2> subscribe{"SUBSCRIBE", channel};
  connection.Call(subscribe);
}

std::string_view MessageOf(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3) {
    Fail("no message");
  }
  const redisReply& text = *reply.element[2];
  return {text.str, static_cast<size_t>(text.len)};
}

}  // namespace dsync::bench
