#include "client/client.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "client/errors.h"
#include "resp/writer.h"

namespace dsync::client {
namespace {

// After a deadline the bytes that may lie unread in the socket get this long to arrive.
constexpr base::Duration kGrace = std::chrono::milliseconds(100);

// Output of this length waits for the socket before there is more: some thousand commands.
constexpr std::size_t kEnoughOutput = 1 << 20;

bool is_drained(const Link& link) { return link.full && link.output.empty(); }

base::Error connection_error(std::string_view text) {
  return {base::ErrorKind::kConnection, std::string(text)};
}

}  // namespace

Client::Client(Options options) : options_(std::move(options)) {}

Client::Call& Client::Call::operator<<(std::string_view text) {
  resp::append_bulk(*out_, text);
  return *this;
}

Client::Call& Client::Call::operator<<(std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  return *this << std::string_view(digits, static_cast<std::size_t>(end - digits));
}

Client::Call& Client::Call::parts(std::initializer_list<std::string_view> parts) {
  resp::append_bulk(*out_, parts);
  return *this;
}

Client::Call Client::run(const Script& script, std::size_t keys, std::size_t arguments,
                         Cookie cookie, base::Time now) {
  auto& out = link(Channel::kCommands).output;
  // The first call on a connection brings the source, so a server that has just started needs no
  // second round trip.
  const bool known = !loaded_.insert(&script).second;
  resp::append_array(out, 3 + keys + arguments);
  resp::append_bulk(out, known ? "EVALSHA" : "EVAL");
  resp::append_bulk(out, known ? script.sha1 : script.source);
  expect({cookie, &script}, now);
  Call call(out);
  call << static_cast<std::int64_t>(keys);
  return call;
}

void Client::command(std::initializer_list<std::string_view> arguments, Cookie cookie,
                     base::Time now) {
  resp::append_command(link(Channel::kCommands).output, arguments);
  expect({cookie, nullptr}, now);
}

void Client::expect(Pending pending, base::Time now) {
  if (pending_.empty()) link(Channel::kCommands).awaiting = now;
  pending_.push_back(pending);
}

bool Client::has_room() {
  for (auto& link : links_) link.full |= link.output.size() >= kEnoughOutput;
  return std::ranges::none_of(links_, &Link::full);
}

void Client::connected(Channel channel, base::Time now) {
  link(channel).open(channel == Channel::kCommands ? Handshake::for_commands(login_)
                                                   : Handshake::for_inbox(login_, options_.inbox),
                     now);
}

void Client::disconnected(std::string_view reason) { lose(connection_error(reason)); }

void Client::lose(base::Error error) {
  const auto down = [](const Link& link) { return link.state == Link::State::kDown; };
  if (std::ranges::all_of(links_, down)) return;
  for (auto& link : links_) link.close();
  ready_ = healthy_ = false;
  pending_.clear();
  demands_.clear();
  loaded_.clear();
  events_.push_back({.kind = Event::Kind::kLost, .error = std::move(error)});
}

void Client::received(Channel channel, std::span<const char> bytes, base::Time now) {
  auto& link = this->link(channel);
  if (link.state == Link::State::kDown) return;
  link.heard = now;
  link.suspect = false;
  link.reader->feed(bytes);
  while (link.state != Link::State::kDown) {
    auto next = link.reader->next();
    if (!next.ok()) return lose(next.error());
    if (!next.value()) return;
    on_reply(channel, std::move(*next.value()), now);
  }
}

void Client::on_reply(Channel channel, resp::Reply reply, base::Time now) {
  auto& link = this->link(channel);
  if (link.state == Link::State::kGreeting) return on_greeting(link, reply.view());
  if (channel == Channel::kInbox) return on_push(reply.view(), now);
  on_answer(std::move(reply), now);
}

void Client::on_greeting(Link& link, resp::ReplyView reply) {
  auto accepted = link.handshake->on_reply(reply);
  if (!accepted.ok()) return lose(accepted.error());
  if (!link.handshake->done()) return;
  link.state = Link::State::kReady;
  link.awaiting = base::kNever;
  const bool inbox_up = !has_inbox() || this->link(Channel::kInbox).state == Link::State::kReady;
  if (!inbox_up || this->link(Channel::kCommands).state != Link::State::kReady) return;
  ready_ = true;
  events_.push_back({.kind = Event::Kind::kReady});
}

void Client::on_answer(resp::Reply reply, base::Time now) {
  if (pending_.empty()) {
    return lose({base::ErrorKind::kProtocol, "a reply without a command"});
  }
  const auto pending = pending_.front();
  if (reply.view().is_error()) {
    const auto text = reply.view().text();
    switch (classify(text)) {
      case ErrorClass::kNoScript:
        pending_.pop_front();
        loaded_.erase(pending.script);
        events_.push_back({.kind = Event::Kind::kResend, .cookie = pending.cookie});
        link(Channel::kCommands).awaiting = pending_.empty() ? base::kNever : now;
        return;
      case ErrorClass::kRetry:
        return lose(connection_error(text));
      case ErrorClass::kAuthentication:
        // The rights were withdrawn meanwhile; the next greeting finds out for certain.
        return lose(connection_error(text));
      case ErrorClass::kFinal:
        break;
    }
  }
  pending_.pop_front();
  link(Channel::kCommands).awaiting = pending_.empty() ? base::kNever : now;
  events_.push_back(
      {.kind = Event::Kind::kReply, .cookie = pending.cookie, .reply = std::move(reply)});
  if (!std::exchange(healthy_, true)) events_.push_back({.kind = Event::Kind::kHealthy});
}

void Client::demand(std::initializer_list<std::string_view> command, Demand demand,
                    base::Time now) {
  auto& inbox = link(Channel::kInbox);
  resp::append_command(inbox.output, command);
  if (demands_.empty()) inbox.awaiting = now;
  demands_.push_back(std::move(demand));
}

void Client::subscribe(std::string_view channel, std::string_view companion, base::Time now) {
  const std::string name(channel);
  if (companion.empty()) return demand({"SUBSCRIBE", channel}, {name, 1}, now);
  demand({"SUBSCRIBE", channel, companion}, {name, 2}, now);
}

void Client::unsubscribe(std::string_view channel, std::string_view companion, base::Time now) {
  if (companion.empty()) return demand({"UNSUBSCRIBE", channel}, {{}, 1}, now);
  demand({"UNSUBSCRIBE", channel, companion}, {{}, 2}, now);
}

void Client::on_push(resp::ReplyView reply, base::Time now) {
  const auto kind = reply.size() > 0 ? reply.at(0).text() : std::string_view();
  if (kind == "message" && reply.size() == 3) {
    const auto channel = reply.at(1).text();
    events_.push_back({.kind = Event::Kind::kMessage,
                       .channel = std::string(channel == options_.inbox ? "" : channel),
                       .text = std::string(reply.at(2).text())});
  } else if (!demands_.empty() &&
             (reply.is_error() || kind == "pong" || kind == "subscribe" || kind == "unsubscribe")) {
    on_demand_answered(reply, now);
  } else {
    lose({base::ErrorKind::kProtocol, "unexpected reply on the inbox"});
  }
}

void Client::on_demand_answered(resp::ReplyView reply, base::Time now) {
  if (reply.is_error() && classify(reply.text()) != ErrorClass::kFinal) {
    // As with commands: not the channel is refused, but this server cannot serve now.
    return lose(connection_error(reply.text()));
  }
  auto& demand = demands_.front();
  // An error is one answer for all channels. A user without the right to PING hears of the server
  // by it.
  if (!reply.is_error() && --demand.answers > 0) return;
  if (!demand.channel.empty()) {
    events_.push_back({.kind = Event::Kind::kSubscribed, .channel = std::move(demand.channel)});
    if (reply.is_error()) {
      const auto text = reply.text();
      events_.back().error = {base::ErrorKind::kServer, std::string(text.empty() ? "ERR" : text)};
    }
  }
  demands_.pop_front();
  link(Channel::kInbox).awaiting = demands_.empty() ? base::kNever : now;
}

base::Time Client::reply_deadline(const Link& link) const {
  if (link.awaiting == base::kNever) return base::kNever;
  return base::after(link.awaiting, options_.reply_timeout + (link.suspect ? kGrace : kGrace * 0));
}

// A driver that was itself held up sees the deadline before the bytes that came in time. So the
// first miss only asks for another tick, and received() in between withdraws the suspicion.
bool Client::late(Link& link, base::Time now) {
  return now >= reply_deadline(link) && std::exchange(link.suspect, true);
}

void Client::tick(base::Time now) {
  auto& inbox = link(Channel::kInbox);
  if (inbox.state == Link::State::kReady && inbox.awaiting == base::kNever &&
      now >= base::after(inbox.heard, options_.ping_interval)) {
    demand({"PING"}, {{}, 1}, now);
  }
  // A connection with nothing left to answer, and no healthy sign yet, has nothing against it.
  if (ready_ && pending_.empty() && !std::exchange(healthy_, true)) {
    events_.push_back({.kind = Event::Kind::kHealthy});
  }
  if (std::ranges::any_of(links_, is_drained)) {
    for (auto& link : links_) link.full &= !link.output.empty();
    if (has_room()) events_.push_back({.kind = Event::Kind::kRoom});
  }
  const bool commands_late = late(link(Channel::kCommands), now);
  if (late(inbox, now) || commands_late) {
    lose(connection_error("the server did not answer in time"));
  }
}

base::Time Client::deadline() const {
  if (std::ranges::any_of(links_, is_drained)) return base::Time();
  auto result = base::kNever;
  for (const auto& link : links_) {
    if (link.state != Link::State::kDown) result = std::min(result, reply_deadline(link));
  }
  const auto& inbox = links_[1];
  if (inbox.state == Link::State::kReady && inbox.awaiting == base::kNever) {
    result = std::min(result, base::after(inbox.heard, options_.ping_interval));
  }
  return result;
}

}  // namespace dsync::client
