#include "primitives/names.h"

namespace dsync::primitives {
namespace {

// As the server sees it: a non-empty text between the first '{' and the next '}'.
bool has_hash_tag(std::string_view key) {
  const auto open = key.find('{');
  if (open == std::string_view::npos) return false;
  const auto close = key.find('}', open);
  return close != std::string_view::npos && close > open + 1;
}

}  // namespace

NameParts beside(std::string_view main, std::string_view braced_suffix) {
  if (has_hash_tag(main)) return {main, braced_suffix.substr(1), {}};
  return {"{", main, braced_suffix};
}

}  // namespace dsync::primitives
