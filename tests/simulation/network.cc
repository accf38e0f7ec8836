#include "network.h"

#include <algorithm>
#include <utility>

namespace dsync::simulation {

using namespace std::chrono_literals;

base::Duration Network::latency() {
  const bool spike = weather_.spikes != 0 && random_.one_in(weather_.spikes);
  return random_.between(base::Duration(20us), spike ? weather_.worst : weather_.usual);
}

ConnectionId Network::connect(Endpoint& client) {
  wires_.push_back({.client = &client});
  const auto id = wires_.size() - 1;
  server_.open(id);
  return id;
}

template <typename Add>
void Network::split(std::string bytes, Add add) {
  while (bytes.size() > 1 && random_.one_in(8)) {
    const auto size = 1 + random_.below(bytes.size() - 1);
    add(bytes.substr(0, size));
    bytes.erase(0, size);
  }
  add(std::move(bytes));
}

void Network::send(ConnectionId id, std::string bytes) {
  split(std::move(bytes), [this, id](std::string chunk) {
    auto& wire = wires_[id];
    if (wire.loses_up) return;
    wire.up.push_back(std::move(chunk));
    wire.up_at = std::max(wire.up_at, timeline_.now() + latency());
    timeline_.at(wire.up_at, [this, id] { deliver_up(id); });
  });
}

void Network::deliver_up(ConnectionId id) {
  auto& wire = wires_[id];
  if (wire.up.empty()) return;
  const auto chunk = std::move(wire.up.front());
  wire.up.pop_front();
  if (!server_.is_open(id)) return;
  server_.receive(id, chunk);
  pump();
}

void Network::pump() {
  for (auto& [id, bytes] : server_.take_output()) {
    split(std::move(bytes), [this, id = id](std::string chunk) {
      auto& wire = wires_[id];
      if (wire.loses_down || wire.client == nullptr) return;
      wire.down.push_back(std::move(chunk));
      wire.down_at = std::max(wire.down_at, timeline_.now() + latency());
      timeline_.at(wire.down_at, [this, id] { deliver_down(id); });
    });
  }
}

void Network::deliver_down(ConnectionId id) {
  auto& wire = wires_[id];
  if (wire.down.empty() || wire.client == nullptr) return;
  auto chunk = std::move(wire.down.front());
  wire.down.pop_front();
  wire.client->received(id, std::move(chunk));
}

void Network::close(ConnectionId id) {
  auto& wire = wires_[id];
  if (wire.client == nullptr) return;
  wire.client = nullptr;
  wire.down.clear();
  if (!weather_.has_late_commands) settle_requests(id);
  end_at_server(id);
}

// What is on its way arrives now or never.
void Network::settle_requests(ConnectionId id) {
  const bool arrive = random_.one_in(2);
  timeline_.after(base::Duration(0), [this, id, arrive] {
    while (arrive && !wires_[id].up.empty()) deliver_up(id);
    wires_[id].up.clear();
  });
}

void Network::end_at_server(ConnectionId id) {
  const auto& wire = wires_[id];
  const auto lingering = random_.one_in(3) ? weather_.linger : base::Duration(0);
  const auto noticed = timeline_.now() + latency() + random_.between(base::Duration(0), lingering);
  timeline_.at(std::max(wire.up_at, noticed), [this, id] { server_.close(id); });
}

void Network::cut(ConnectionId id, bool requests, bool silent) {
  auto& wire = wires_[id];
  if (wire.client == nullptr || wire.loses_down) return;
  wire.loses_down = true;
  wire.down.clear();
  if (requests) {
    wire.loses_up = true;
    wire.up.clear();
  }
  end_at_server(id);
  if (silent) return;
  timeline_.after(latency(), [this, id] {
    if (auto* client = wires_[id].client) client->closed(id);
  });
}

void Network::cut_all() {
  for (ConnectionId id = 0; id < wires_.size(); ++id) cut(id, true, false);
}

void Network::calm() {
  weather_ = {.usual = 200us, .worst = 200us};
  for (ConnectionId id = 0; id < wires_.size(); ++id) {
    auto& wire = wires_[id];
    if (wire.client == nullptr) {
      wire.up.clear();
      server_.close(id);
    } else if (wire.loses_down) {
      server_.close(id);
      timeline_.after(latency(), [this, id] {
        if (auto* client = wires_[id].client) client->closed(id);
      });
    }
  }
}

}  // namespace dsync::simulation
