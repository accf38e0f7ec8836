// What the programs that run beside each other have in common with the Python workers: they say
// "ready", wait for a line "go <start> <end>" (ns of CLOCK_MONOTONIC), and stamp by that clock.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "connection.h"

namespace dsync::bench {

using Nanoseconds = std::int64_t;

Nanoseconds Now();

struct Span {
  Nanoseconds start, end;
};

// Tells the benchmark that the program is set up, and waits for its answer.
[[nodiscard]] Span WaitForGo();

// Waits until one of `fds` can be read or `until` has come; returns which of them can. -1 is none.
std::array<bool, 2> WaitReadable(std::array<int, 2> fds, Nanoseconds until);

// Prints {"stamps": [ns, …]}.
void PrintStamps(const std::vector<Nanoseconds>& stamps);

// The number at `text` up to a space or the end; -1 when there is none.
[[nodiscard]] std::int64_t ParseNumber(std::string_view text);

// Makes `connection` the inbox of a session.
void OpenInbox(Connection& connection, std::string_view session);

// The text of a message that came to an inbox.
[[nodiscard]] std::string_view MessageOf(const redisReply& reply);

}  // namespace dsync::bench
