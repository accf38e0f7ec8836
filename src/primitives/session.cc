#include "primitives/session.h"

#include <algorithm>
#include <utility>

#include "primitives/names.h"

namespace dsync::primitives {

using EventKind = client::Event::Kind;

Session::Session(Options options, std::shared_ptr<LeaseTable> leases,
                 std::shared_ptr<LossInbox> losses)
    : client_(
          {std::string(kInboxPrefix) + options.name, options.reply_timeout, options.ping_interval}),
      machine_(client_, std::move(options.name), std::move(leases), std::move(losses),
               options.seed) {}

void Session::received(client::Channel channel, std::span<const char> bytes, base::Time now) {
  client_.received(channel, bytes, now);
  dispatch(now);
}

void Session::disconnected(std::string_view reason, base::Time now) {
  client_.disconnected(reason);
  dispatch(now);
}

void Session::tick(base::Time now) {
  machine_.tick(now);
  client_.tick(now);
  dispatch(now);
}

base::Time Session::deadline() const { return std::min(client_.deadline(), machine_.deadline()); }

void Session::dispatch(base::Time now) {
  for (auto& event : client_.take_events()) {
    switch (event.kind) {
      case EventKind::kReply:
        machine_.on_reply(event.cookie, event.reply.view(), now);
        break;
      case EventKind::kResend:
        machine_.on_resend(event.cookie, now);
        break;
      case EventKind::kMessage:
        if (event.channel.empty()) {
          machine_.on_message(event.text, now);
        } else {
          machine_.on_topic(event.channel, event.text, now);
        }
        break;
      case EventKind::kSubscribed:
        machine_.on_subscribed(event.channel, event.error, now);
        break;
      case EventKind::kReady:
        news_.ready = true;
        machine_.on_ready(now);
        break;
      case EventKind::kRoom:
        machine_.on_room(now);
        break;
      case EventKind::kHealthy:
        news_.healthy = true;
        break;
      case EventKind::kLost:
        news_ = {};
        news_.lost = std::move(event.error);
        machine_.on_lost(now);
        break;
    }
  }
}

}  // namespace dsync::primitives
