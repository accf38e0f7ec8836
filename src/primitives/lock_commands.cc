#include "primitives/commands.h"
#include "primitives/names.h"

namespace dsync::primitives {
namespace {

void write_keys(client::Client::Call& call, const Claim& claim) {
  call << claim.key;
  write_beside(call, claim.key, kQueueSuffix);
  write_beside(call, claim.key, kFenceSuffix);
  if (claim.window != base::Duration::zero()) write_beside(call, claim.key, kWindowSuffix);
}

void write_width(client::Client::Call& call, const Claim& claim) {
  if (claim.window != base::Duration::zero()) call << base::milliseconds(claim.window);
}

}  // namespace

void send_lock_acquire(const Route& route, const Operation& operation) {
  const auto& claim = *operation.claim;
  const std::size_t extra = claim.window != base::Duration::zero() ? 1 : 0;
  auto call = route.client.run(client::kLockAcquire, 3 + extra, 5 + extra, route.cookie, route.now);
  write_keys(call, claim);
  call << claim.token << claim.operation << base::milliseconds(claim.lease)
       << first_lease_ms(operation)
       << base::milliseconds(claim.lease) + base::milliseconds(kFenceKept);
  write_width(call, claim);
}

void send_lock_release(const Route& route, const Operation& operation) {
  const auto& claim = *operation.claim;
  const std::size_t extra = claim.window != base::Duration::zero() ? 1 : 0;
  auto call = route.client.run(client::kLockRelease, 3 + extra, 3 + extra, route.cookie, route.now);
  write_keys(call, claim);
  call << claim.token << claim.operation << base::milliseconds(claim.first_lease());
  write_width(call, claim);
}

Question locked_question(std::string_view lock) {
  return {Question::Meaning::kLocked, nullptr, {"EXISTS", std::string(lock)}, {}};
}

Question drop_call(std::string_view lock) {
  return {Question::Meaning::kCall,
          &client::kKeyValueDelete,
          {std::string(lock), name_beside(lock, kQueueSuffix), name_beside(lock, kFenceSuffix),
           name_beside(lock, kDoneSuffix)},
          {},
          true};
}

Question confirm_question(const Claim& claim, base::Duration lease) {
  const auto ms = std::to_string(base::milliseconds(lease));
  if (claim.kind == Kind::kPermit) {
    return {
        Question::Meaning::kHolds,
        &client::kSemaphoreRenew,
        {claim.key, name_beside(claim.key, kQueueSuffix), name_beside(claim.key, kPermitsSuffix)},
        {claim.operation, ms}};
  }
  return {Question::Meaning::kHolds,
          &client::kLockRenew,
          {claim.key, name_beside(claim.key, kFenceSuffix)},
          {claim.token, claim.operation, ms}};
}

}  // namespace dsync::primitives
