// Connections between sessions and the modelled server. A connection keeps the order of its bytes,
// and cuts them anywhere; connections overtake each other.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "random.h"
#include "server.h"
#include "timeline.h"

namespace dsync::simulation {

// How the network is; part of a schedule's plan.
struct Weather {
  base::Duration usual;      // the longest latency of most chunks
  base::Duration worst;      // the longest of all
  std::uint64_t spikes = 0;  // one chunk in so many has more than the usual latency; 0: none
  base::Duration linger{};   // for how long the server may not notice that a client is gone
  // Whether commands of a connection that its client has given up may be executed after those of
  // its next one. Clients reset such connections, so it takes a proxy (docs/decisions.md, 9).
  bool has_late_commands = false;
};

class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual void received(ConnectionId id, std::string bytes) = 0;
  virtual void closed(ConnectionId id) = 0;  // by the other side, or by the network
};

class Network {
 public:
  Network(Server& server, Timeline& timeline, Random& random, const Weather& weather)
      : server_(server), timeline_(timeline), random_(random), weather_(weather) {}

  base::Duration latency();

  // The server has accepted a connection of `client`.
  ConnectionId connect(Endpoint& client);
  void send(ConnectionId id, std::string bytes);

  // The client closes its end: it hears nothing more. What it has sent may still arrive.
  void close(ConnectionId id);

  // Sends what the server has to say; to be called after each of its commands.
  void pump();

  // Faults. A cut loses all replies, and with `requests` all commands that are on their way; a
  // silent one is not told to the client.
  void cut(ConnectionId id, bool requests, bool silent);
  void cut_all();  // The server is gone.
  // From here on all is fast, and the server has noticed the end of every connection.
  void calm();

 private:
  struct Wire {
    Endpoint* client;  // null: it has closed
    std::deque<std::string> up{};
    std::deque<std::string> down{};
    base::Duration up_at{};    // when the last chunk arrives
    base::Duration down_at{};  // likewise
    bool loses_up = false;
    bool loses_down = false;
  };

  void deliver_up(ConnectionId id);
  void deliver_down(ConnectionId id);
  void end_at_server(ConnectionId id);
  void settle_requests(ConnectionId id);
  // Cuts `bytes` into chunks, and calls `add` with each.
  template <typename Add>
  void split(std::string bytes, Add add);

  Server& server_;
  Timeline& timeline_;
  Random& random_;
  Weather weather_;
  std::vector<Wire> wires_;
};

}  // namespace dsync::simulation
