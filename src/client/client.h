// The conversation of one session with its server: greeting, commands with their replies in order,
// the inbox, and the signs that a connection is dead. It does no I/O and reads no clock.
//
// A driver opens two connections (one, if the session has no inbox), tells connected(), passes what
// arrives to received(), sends what take_output() gives, calls tick() at deadline(), and reads the
// events after each of these. The connections live and die together: whatever ends one of them is
// one kLost event, after which the driver closes both and begins anew. A command that had no answer
// by then may or may not have been executed; the layer above sends it again after kReady, so every
// command must be idempotent.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "client/events.h"
#include "client/link.h"
#include "client/scripts.h"

namespace dsync::client {

enum class Channel : std::size_t { kCommands, kInbox };

class Client {
 public:
  struct Options {
    std::string inbox;             // the channel to subscribe to; empty: only commands
    base::Duration reply_timeout;  // a reply that is later than this means a dead connection
    base::Duration
        ping_interval;  // an inbox that is silent for so long is asked for a sign of life
  };

  explicit Client(Options options);

  // The login that the next greeting uses.
  void set_login(Login login) { login_ = std::move(login); }
  void set_reply_timeout(base::Duration timeout) { options_.reply_timeout = timeout; }

  bool ready() const { return ready_; }

  // Whether the driver gets rid of what it is given. A server that does not read must not make the
  // output grow: whoever can wait waits for kRoom, and only what is still wanted is sent then.
  bool has_room();

  // Appends a script call to the output, with `keys` and `arguments` as in its header. The reply
  // comes as an event with this cookie. Precondition: ready().
  class Call;
  Call run(const Script& script, std::size_t keys, std::size_t arguments, Cookie cookie,
           base::Time now);

  // Appends a plain command. Precondition: ready().
  void command(std::initializer_list<std::string_view> arguments, Cookie cookie, base::Time now);

  // Begins or ends to listen to a channel beside the inbox, and to a companion where there is one.
  // kSubscribed tells of the channel when all is heard. It ends with the links. Precondition:
  // ready().
  void subscribe(std::string_view channel, std::string_view companion, base::Time now);
  void unsubscribe(std::string_view channel, std::string_view companion, base::Time now);

  void connected(Channel channel, base::Time now);
  void disconnected(std::string_view reason);
  void received(Channel channel, std::span<const char> bytes, base::Time now);
  void tick(base::Time now);
  base::Time deadline() const;

  // The bytes to send; the driver clears the string when it has taken them.
  std::string& output(Channel channel) { return link(channel).output; }
  // Whether the server serves, as far as is known.
  bool healthy() const { return ready_ && healthy_; }

  // Whether the server owes an answer.
  bool awaits_answers() const { return !pending_.empty() || !demands_.empty(); }

  std::vector<Event> take_events() { return std::exchange(events_, {}); }

 private:
  struct Pending {
    Cookie cookie;
    const Script* script;  // null for a plain command
  };
  // A command on the inbox. Its answers come in order, with messages between them.
  struct Demand {
    std::string channel;  // to subscribe to; empty: nobody asks what came of it
    std::size_t answers;  // still to come
  };

  Link& link(Channel channel) { return links_[static_cast<std::size_t>(channel)]; }
  bool has_inbox() const { return !options_.inbox.empty(); }
  void lose(base::Error error);
  void expect(Pending pending, base::Time now);
  void on_reply(Channel channel, resp::Reply reply, base::Time now);
  void on_greeting(Link& link, resp::ReplyView reply);
  void on_answer(resp::Reply reply, base::Time now);
  void on_push(resp::ReplyView reply, base::Time now);
  void demand(std::initializer_list<std::string_view> command, Demand demand, base::Time now);
  void on_demand_answered(resp::ReplyView reply, base::Time now);
  base::Time reply_deadline(const Link& link) const;
  bool late(Link& link, base::Time now);

  Options options_;
  Login login_;
  std::array<Link, 2> links_;
  bool ready_ = false;
  bool healthy_ = false;
  std::deque<Pending> pending_;
  std::deque<Demand> demands_;
  std::set<const Script*> loaded_;  // scripts that this connection's server has been given
  std::vector<Event> events_;
};

// Writes the keys and arguments of one script call, in order, straight into the output.
class Client::Call {
 public:
  explicit Call(std::string& out) : out_(&out) {}
  Call& operator<<(std::string_view text);
  Call& operator<<(std::int64_t number);
  Call& parts(std::initializer_list<std::string_view> parts);

 private:
  std::string* out_;
};

}  // namespace dsync::client
