// Where the renewal thread connects to when a name has several addresses.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <string>
#include <string_view>

#include "support/renewal_fixture.h"

namespace {

using GetAddrInfo = decltype(&getaddrinfo);

// A host with two addresses, at the first of which nobody listens: "localhost" is often one.
constexpr std::string_view kTwoAddresses = "two-addresses.test";
constexpr std::string_view kUnknown = "unknown.test";

}  // namespace

// Stands before that of the C library, because no real name has such addresses everywhere, and no
// name server is to be asked.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  static const auto real = reinterpret_cast<GetAddrInfo>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (name == kUnknown) return EAI_NONAME;
  if (name != kTwoAddresses) return real(name, service, hints, result);
  auto narrowed = *hints;
  narrowed.ai_protocol = IPPROTO_TCP;
  const auto failed = real("127.0.0.2", service, &narrowed, result);
  return failed != 0 ? failed : real("127.0.0.1", service, &narrowed, &(*result)->ai_next);
}

namespace dsync::tests {
namespace {

class AddressTest : public RenewalThreadTest {};

TEST_F(AddressTest, ANameMayHaveSeveral) {
  auto address = server_.tcp_address();
  address.host = kTwoAddresses;
  start(address);
  hold({.lease = std::chrono::seconds(3)});
  await_renewals();
  EXPECT_TRUE(lost_nothing());
}

TEST_F(AddressTest, APathMayBeTooLong) {
  start({"", 0, std::string(200, 'x')});
  const auto claim = hold({.lease = std::chrono::milliseconds(200)});
  EXPECT_EQ(await_loss(), claim->id);
}

TEST_F(AddressTest, ANameMayBeUnknown) {
  start({std::string(kUnknown), 6379, ""});
  const auto claim = hold({.lease = std::chrono::milliseconds(200)});
  EXPECT_EQ(await_loss(), claim->id);
}

}  // namespace
}  // namespace dsync::tests
