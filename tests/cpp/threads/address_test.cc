// Where the renewal thread connects to when a name has several addresses.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

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

// A host that went away says nothing at all. A short lease must outlive the attempt to reach it,
// when the server is somewhere else by now.
TEST_F(AddressTest, AHostMaySwallowEveryAttempt) {
  const driver::Descriptor deaf(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  ASSERT_EQ(bind(deaf.get(), reinterpret_cast<sockaddr*>(&name), size), 0);
  ASSERT_EQ(listen(deaf.get(), 0), 0);
  ASSERT_EQ(getsockname(deaf.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  const driver::Address nobody{"127.0.0.1", ntohs(name.sin_port), ""};
  // They fill the queue that nobody serves, so that the next one hears nothing.
  const auto first = driver::start_connect(nobody);
  const auto second = driver::start_connect(nobody);
  const auto claim = take({.lease = std::chrono::seconds(3)});
  start(nobody);
  const auto before = descriptors();
  look_after(claim, base::Duration::zero());
  while (descriptors() == before) {
  }
  thread_->set_server(server_.tcp_address(), {});
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
