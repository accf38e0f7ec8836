#include "primitives/renewal.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "primitives/commands.h"
#include "primitives/names.h"

namespace dsync::primitives {
namespace {

// Locks in one script call: enough to make calls rare, few enough not to hold up the server.
constexpr std::size_t kBatch = 100;
constexpr base::Duration kLongestTimeout = std::chrono::seconds(5);
constexpr base::Duration kShortestTimeout = std::chrono::milliseconds(100);
constexpr base::Duration kLongestPause = std::chrono::seconds(1);
constexpr base::Duration kShortestPause = std::chrono::milliseconds(20);

}  // namespace

Renewal::Renewal(std::shared_ptr<LeaseTable> table)
    : table_(std::move(table)),
      client_({{}, kLongestTimeout, base::Duration::max()}),
      longest_pause_(kLongestPause) {}

Renewal::Need Renewal::step(base::Time now) {
  Need need{false, false};
  client_.tick(now);
  for (const auto& event : client_.take_events()) handle(event, need, now);
  auto scan = table_->scan(now);
  next_scan_ = scan.next;
  longest_pause_ = std::clamp(scan.shortest / 10, kShortestPause, kLongestPause);
  if (scan.shortest != base::Duration::max()) {
    client_.set_reply_timeout(std::clamp(scan.shortest / 4, kShortestTimeout, kLongestTimeout));
  }
  if (!client_.ready()) {
    need.connect = !scan.due.empty();
    table_->retry(false);  // What is due stays due.
    return need;
  }
  const auto permits = std::partition(scan.due.begin(), scan.due.end(), [](const auto& claim) {
    return claim->kind != Kind::kPermit;
  });
  send_batches({scan.due.begin(), permits}, now);
  send_batches({permits, scan.due.end()}, now);
  return need;
}

void Renewal::send_batches(std::span<LeaseTable::ClaimPtr> claims, base::Time now) {
  while (!claims.empty()) {
    const auto batch = claims.first(std::min(kBatch, claims.size()));
    claims = claims.subspan(batch.size());
    send({std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end())}, now);
  }
}

void Renewal::handle(const client::Event& event, Need& need, base::Time now) {
  switch (event.kind) {
    case client::Event::Kind::kReply:
      on_reply(event, now);
      break;
    case client::Event::Kind::kResend:
      batches_.erase(event.cookie);
      table_->retry(false);
      break;
    case client::Event::Kind::kReady:
      table_->retry(true);
      break;
    case client::Event::Kind::kLost:
      batches_.clear();
      table_->retry(false);
      need.lost = true;
      break;
    case client::Event::Kind::kMessage:
    case client::Event::Kind::kSubscribed:
    case client::Event::Kind::kRoom:
    case client::Event::Kind::kHealthy:
      break;
  }
}

void Renewal::on_reply(const client::Event& event, base::Time now) {
  const auto found = batches_.find(event.cookie);
  if (found == batches_.end()) return;
  const auto batch = std::move(found->second);
  batches_.erase(found);
  const auto reply = event.reply.view();
  if (reply.size() != batch.claims.size()) {
    // An error: nothing is known of these locks, so they run into the end of their leases unless a
    // later renewal succeeds.
    for (const auto& claim : batch.claims) table_->postpone(*claim, now);
    return;
  }
  for (std::size_t i = 0; i < batch.claims.size(); ++i) {
    if (reply.at(i).integer() == 1) {
      table_->renewed(*batch.claims[i], batch.sent);
    } else {
      table_->lost(*batch.claims[i]);
    }
  }
}

void Renewal::send(std::vector<LeaseTable::ClaimPtr> claims, base::Time now) {
  const auto cookie = next_cookie_++;
  const bool permits = claims.front()->kind == Kind::kPermit;
  auto call =
      permits
          ? client_.run(client::kSemaphoreRenew, 3 * claims.size(), 2 * claims.size(), cookie, now)
          : client_.run(client::kLockRenew, 2 * claims.size(), 3 * claims.size(), cookie, now);
  for (const auto& claim : claims) {
    call << claim->key;
    if (permits) write_beside(call, claim->key, kQueueSuffix);
    write_beside(call, claim->key, permits ? kPermitsSuffix : kFenceSuffix);
  }
  for (const auto& claim : claims) {
    if (!permits) call << claim->token;
    call << claim->operation << base::milliseconds(claim->lease);
  }
  batches_.emplace(cookie, Batch{std::move(claims), now});
}

base::Time Renewal::deadline() const { return std::min(next_scan_, client_.deadline()); }

}  // namespace dsync::primitives
