#include "client/errors.h"

#include <algorithm>
#include <array>

namespace dsync::client {
namespace {

constexpr std::array<std::string_view, 6> kRetryCodes{"LOADING",     "READONLY", "MASTERDOWN",
                                                      "CLUSTERDOWN", "TRYAGAIN", "BUSY"};
constexpr std::array<std::string_view, 4> kAuthentication{"NOAUTH", "WRONGPASS",
                                                          "ERR invalid password", "ERR AUTH"};

// Tells whether `text` starts with `words`, and the last of them ends there.
bool starts_with_words(std::string_view text, std::string_view words) {
  return text.starts_with(words) && (text.size() == words.size() || text[words.size()] == ' ');
}

}  // namespace

std::string_view unwrap(std::string_view text) {
  // Servers before 7: "ERR Error running script (call to f_…): @user_script:12: -READONLY You …"
  if (!text.starts_with("ERR Error running script")) return text;
  const auto found = text.find(": -");
  return found == std::string_view::npos ? text : text.substr(found + 3);
}

ErrorClass classify(std::string_view text) {
  const auto error = unwrap(text);
  const auto matches = [&](std::string_view words) { return starts_with_words(error, words); };
  if (matches("NOSCRIPT")) return ErrorClass::kNoScript;
  if (std::ranges::any_of(kRetryCodes, matches)) return ErrorClass::kRetry;
  if (std::ranges::any_of(kAuthentication, matches)) return ErrorClass::kAuthentication;
  return ErrorClass::kFinal;
}

}  // namespace dsync::client
