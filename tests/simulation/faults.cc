// What goes wrong in a world.
#include <algorithm>

#include "world.h"

namespace dsync::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::array<base::Duration, 6> kStops{100ms, 1s, 1s, 3s, 6s, 40s};
constexpr std::array<base::Duration, 3> kOutages{10ms, 300ms, 3s};

}  // namespace

Node& World::any_node() {
  while (true) {
    auto& node = *nodes_[random.below(nodes_.size())];
    if (node.is_alive()) return node;
  }
}

void World::suffer(Fault fault) {
  switch (fault) {
    case Fault::kCut:
    case Fault::kSilentCut:
    case Fault::kReplyLost:
      return suffer_link(fault);
    case Fault::kFlushScripts:
      trace("world", [] { return std::string("SCRIPT FLUSH"); });
      return server.flush_scripts();
    case Fault::kStop:
    case Fault::kBlock: {
      const auto time = random.pick(kStops);
      longest_stop_ = std::max(longest_stop_, time);
      return fault == Fault::kStop ? any_node().stop(time) : any_node().block(time);
    }
    case Fault::kCrash: {
      auto& node = any_node();
      node.crash();
      for (auto* checks : checks_) checks->node_is_gone(node);
      spawn();
      return;
    }
    case Fault::kFlushAll:
      trace("world", [] { return std::string("FLUSHALL"); });
      lose_data({});
      return server.flush_all();
    case Fault::kDelete:
      return remove_some_key();
    case Fault::kRestart:
      return restart();
    case Fault::kLoading:
      trace("world", [] { return std::string("the server is loading"); });
      server.set_loading(true);
      timeline.after(random.pick(kOutages), [this] { server.set_loading(false); });
      return;
    case Fault::kCount:
      return;
  }
}

void World::suffer_link(Fault fault) {
  const auto& node = any_node();
  const auto link = node.connection(random.below(3));
  if (!link) return;
  trace("world",
        [&] { return "cuts " + node.name() + (fault == Fault::kSilentCut ? " silently" : ""); });
  network.cut(*link, fault != Fault::kReplyLost && random.one_in(2), fault == Fault::kSilentCut);
}

void World::lose_data(std::string_view key) {
  has_lost_data_ = true;
  for (auto* checks : checks_) checks->lose_data(key);
}

void World::remove_some_key() {
  const auto keys = server.database().names(server.now_us());
  if (keys.empty()) return;
  const auto& key = keys[random.below(keys.size())];
  // Without the fence nobody can tell who holds a lock, and one without expiry may stay for ever
  // (docs/decisions.md, 8).
  if (plan.lease == 0s && key.ends_with(":dsync:fence")) return;
  // The slots of permits that the server has forgotten are never given back.
  if (key.ends_with(":dsync:permits")) return;
  trace("world", [&] { return "DEL " + key; });
  lose_data(key);
  server.execute(std::vector<std::string_view>{"DEL", key});
}

void World::restart() {
  trace("world", [] { return std::string("the server restarts empty"); });
  lose_data({});
  server_is_up_ = false;
  server.lose_everything();
  network.cut_all();
  timeline.after(random.pick(kOutages), [this] { server_is_up_ = true; });
}

}  // namespace dsync::simulation
