// What a server says and hears, as bytes of RESP2.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "resp/reply.h"

namespace dsync::tests {

std::string simple(std::string_view text);
std::string failure(std::string_view text);
std::string number(std::int64_t value);
std::string bulk(std::string_view text);
std::string nil();
std::string array(std::initializer_list<std::string> elements);

using Command = std::vector<std::string>;

// The commands that a client has written. Precondition: `bytes` ends with a whole one.
std::vector<Command> commands_in(std::string_view bytes);

// A reply for expectations: 1, 'text', nil, (error) ERR text, [1, 'text'].
std::string show(resp::ReplyView reply);

}  // namespace dsync::tests
