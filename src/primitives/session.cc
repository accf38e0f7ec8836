#include "primitives/session.h"

#include <algorithm>
#include <utility>

#include "primitives/names.h"

namespace dsync::primitives {

using Kind = client::Event::Kind;

Session::Session(Options options, std::shared_ptr<LeaseTable> leases,
                 std::shared_ptr<LossInbox> losses)
    : client_(
          {std::string(kInboxPrefix) + options.name, options.reply_timeout, options.ping_interval}),
      locks_(client_, std::move(options.name), std::move(leases), std::move(losses), options.seed) {
}

void Session::received(client::Channel channel, std::span<const char> bytes, base::Time now) {
  client_.received(channel, bytes, now);
  dispatch(now);
}

void Session::disconnected(std::string_view reason, base::Time now) {
  client_.disconnected(reason);
  dispatch(now);
}

void Session::tick(base::Time now) {
  locks_.tick(now);
  client_.tick(now);
  dispatch(now);
}

base::Time Session::deadline() const { return std::min(client_.deadline(), locks_.deadline()); }

void Session::dispatch(base::Time now) {
  for (auto& event : client_.take_events()) {
    switch (event.kind) {
      case Kind::kReply:
        locks_.on_reply(event.cookie, event.reply.view(), now);
        break;
      case Kind::kResend:
        locks_.on_resend(event.cookie, now);
        break;
      case Kind::kMessage:
        locks_.on_message(event.text, now);
        break;
      case Kind::kReady:
        news_.ready = true;
        locks_.on_ready(now);
        break;
      case Kind::kHealthy:
        news_.healthy = true;
        break;
      case Kind::kLost:
        news_ = {};
        news_.lost = std::move(event.error);
        locks_.on_lost(now);
        break;
    }
  }
}

}  // namespace dsync::primitives
