#include "primitives/commands.h"
#include "primitives/names.h"

namespace dsync::primitives {
namespace {

using Meaning = Question::Meaning;

void write_keys(client::Client::Call& call, const Claim& claim) {
  call << claim.key;
  write_beside(call, claim.key, kQueueSuffix);
  write_beside(call, claim.key, kPermitsSuffix);
}

std::vector<std::string> keys_of(std::string_view semaphore) {
  return {std::string(semaphore), name_beside(semaphore, kQueueSuffix),
          name_beside(semaphore, kPermitsSuffix)};
}

std::string_view verb_of(const Operation& operation) {
  if (operation.knows) return "confirm";
  // What is withdrawn was never somebody's to release.
  return operation.claim->bounded && operation.released ? "bounded" : "release";
}

}  // namespace

void send_semaphore_acquire(const Route& route, const Operation& operation) {
  const auto& claim = *operation.claim;
  const bool migrating = claim.window != base::Duration::zero();
  const std::size_t extra = migrating ? 1 : 0;
  auto call =
      route.client.run(client::kSemaphoreAcquire, 3 + extra, 4 + extra, route.cookie, route.now);
  write_keys(call, claim);
  if (migrating) write_beside(call, claim.key, kWindowSuffix);
  call << claim.operation << base::milliseconds(claim.lease) << first_lease_ms(operation)
       << claim.number;
  if (migrating) call << base::milliseconds(claim.window);
}

void send_semaphore_release(const Route& route, const Operation& operation) {
  const auto& claim = *operation.claim;
  const bool migrating = claim.window != base::Duration::zero();
  const std::size_t extra = migrating ? 1 : 0;
  auto call =
      route.client.run(client::kSemaphoreRelease, 4 + extra, 4 + extra, route.cookie, route.now);
  write_keys(call, claim);
  call << limit_of(claim.key);
  if (migrating) write_beside(call, claim.key, kWindowSuffix);
  call << claim.operation << base::milliseconds(claim.first_lease()) << claim.number
       << verb_of(operation);
  if (migrating) call << base::milliseconds(claim.window);
}

Question free_slots_question(std::string_view semaphore, std::int64_t value) {
  return {Meaning::kNumber, &client::kSemaphoreFree, keys_of(semaphore), {std::to_string(value)}};
}

Question add_call(std::string_view semaphore, std::int64_t value, bool bounded) {
  auto keys = keys_of(semaphore);
  keys.push_back(name_beside(semaphore, kDoneSuffix));
  keys.push_back(limit_of(semaphore));
  return {Meaning::kCall,
          &client::kSemaphoreAdd,
          std::move(keys),
          {std::to_string(value), bounded ? "bounded" : "release"},
          true};
}

}  // namespace dsync::primitives
