// What an error reply of the server means for the link that it came over.
#pragma once

#include <string_view>

namespace dsync::client {

enum class ErrorClass {
  kNoScript,        // the script must be sent as source
  kRetry,           // this server cannot serve now: another link later may
  kAuthentication,  // the credentials are wrong, or no longer right
  kFinal,           // the command itself failed
};

ErrorClass classify(std::string_view text);

// The error without what a script wraps around it: "CODE message". A view into `text`.
std::string_view unwrap(std::string_view text);

}  // namespace dsync::client
