#include "primitives/names.h"

namespace dsync::primitives {
namespace {

constexpr std::string_view kLockPrefix = "distributed_lock_";
constexpr std::string_view kBarrierPrefix = "distributed_barrier_count_";

// As the server sees it: a non-empty text between the first '{' and the next '}'.
bool has_hash_tag(std::string_view key) {
  const auto open = key.find('{');
  if (open == std::string_view::npos) return false;
  const auto close = key.find('}', open);
  return close != std::string_view::npos && close > open + 1;
}

// The user's own name of a primitive.
std::string_view without(std::string_view prefix, std::string_view main) {
  return main.starts_with(prefix) ? main.substr(prefix.size()) : main;
}

std::string join(std::string_view left, std::string_view middle, std::string_view right) {
  std::string result(left);
  return result.append(middle).append(right);
}

}  // namespace

NameParts beside(std::string_view main, std::string_view braced_suffix) {
  if (has_hash_tag(main)) return {main, braced_suffix.substr(1), {}};
  return {"{", main, braced_suffix};
}

std::string name_beside(std::string_view main, std::string_view braced_suffix) {
  const auto parts = beside(main, braced_suffix);
  return join(parts[0], parts[1], parts[2]);
}

bool has_topic(Kind kind) { return kind != Kind::kLock && kind != Kind::kPermit; }

Topic topic_of(Kind kind, std::string_view main) {
  switch (kind) {
    case Kind::kLock:
    case Kind::kPermit:
      return {};
    case Kind::kCondition:
    case Kind::kRelock:
      return {join("condition_", without(kLockPrefix, main), "_channel"),
              name_beside(main, kListenersSuffix)};
    case Kind::kBarrier:
      return {join("distributed_barrier_channel", without(kBarrierPrefix, main), ""), {}};
    case Kind::kEvent:
      return {join(main, "_channel", ""), {}};
  }
  return {};
}

std::string guard_of(std::string_view barrier) {
  return join(kLockPrefix, "barrier_", without(kBarrierPrefix, barrier));
}

std::string limit_of(std::string_view semaphore) { return join(semaphore, "_max_value", ""); }

}  // namespace dsync::primitives
