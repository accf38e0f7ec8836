// The extension module dsync._core; python/dsync/_core.pyi is its contract.
#include <pybind11/pybind11.h>

#include "base/result.h"
#include "bindings/conversions.h"
#include "bindings/leases.h"
#include "bindings/pending.h"
#include "bindings/session.h"
#include "client/client.h"
#include "primitives/operation.h"

namespace dsync::bindings {
namespace {

template <typename Enum>
void number(py::module_& module, const char* name, Enum value) {
  module.attr(name) = static_cast<int>(value);
}

void bind_numbers(py::module_& module) {
  using base::ErrorKind;
  using primitives::Outcome;
  number(module, "COMMANDS", client::Channel::kCommands);
  number(module, "INBOX", client::Channel::kInbox);
  number(module, "GRANTED", Outcome::kGranted);
  number(module, "BUSY", Outcome::kBusy);
  number(module, "TIMED_OUT", Outcome::kTimedOut);
  number(module, "RELEASED", Outcome::kReleased);
  number(module, "NOT_HELD", Outcome::kNotHeld);
  number(module, "HELD", Outcome::kHeld);
  number(module, "LOCKED", Outcome::kLocked);
  number(module, "FREE", Outcome::kFree);
  number(module, "FAILED", Outcome::kFailed);
  number(module, "LOST", Outcome::kLost);
  number(module, "BROKEN", Outcome::kBroken);
  number(module, "DISAGREES", Outcome::kDisagrees);
  number(module, "OVER_LIMIT", Outcome::kOverLimit);
  number(module, "DONE", Outcome::kDone);
  number(module, "LINK_READY", LinkEvent::kReady);
  number(module, "LINK_HEALTHY", LinkEvent::kHealthy);
  number(module, "LINK_LOST", LinkEvent::kLost);
  number(module, "OUTPUT", LinkEvent::kOutput);
  number(module, "NO_WORK", Session::Work::kNone);
  number(module, "SEND", Session::Work::kSend);
  number(module, "ADVANCE", Session::Work::kAdvance);
  number(module, "PROTOCOL_ERROR", ErrorKind::kProtocol);
  number(module, "CONNECTION_ERROR", ErrorKind::kConnection);
  number(module, "AUTHENTICATION_ERROR", ErrorKind::kAuthentication);
  number(module, "SERVER_ERROR", ErrorKind::kServer);
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of dsync; private.";
  bind_numbers(module);
  bind_leases(module);
  bind_pending(module);
  bind_session(module);
}

}  // namespace dsync::bindings
