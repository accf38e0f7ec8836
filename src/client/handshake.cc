#include "client/handshake.h"

#include "client/errors.h"
#include "resp/writer.h"

namespace dsync::client {
namespace {

base::Error refusal(std::string_view text) {
  switch (classify(text)) {
    case ErrorClass::kRetry:
      return {base::ErrorKind::kConnection, std::string(text)};
    case ErrorClass::kAuthentication:
      return {base::ErrorKind::kAuthentication, std::string(text)};
    default:
      return {base::ErrorKind::kServer, std::string(text)};
  }
}

}  // namespace

Handshake::Handshake(const Login& login) {
  if (login.password && login.username) {
    add(Step::kAuthenticate, {"AUTH", *login.username, *login.password});
  } else if (login.password) {
    add(Step::kAuthenticate, {"AUTH", *login.password});
  }
  if (!login.client_name.empty()) {
    add(Step::kName, {"CLIENT", "SETNAME", login.client_name});
  }
}

Handshake Handshake::for_commands(const Login& login) {
  Handshake handshake(login);
  if (login.database != 0) {
    handshake.add(Step::kSelect, {"SELECT", std::to_string(login.database)});
  }
  handshake.add(Step::kProbe, {"PING"});
  return handshake;
}

Handshake Handshake::for_inbox(const Login& login, const std::string& inbox) {
  Handshake handshake(login);
  handshake.add(Step::kSubscribe, {"SUBSCRIBE", inbox});
  return handshake;
}

void Handshake::add(Step step, std::initializer_list<std::string_view> command) {
  steps_.push_back(static_cast<char>(step));
  resp::append_command(bytes_, command);
}

base::Result<bool> Handshake::on_reply(resp::ReplyView reply) {
  const auto step = static_cast<Step>(steps_[next_]);
  ++next_;
  if (!reply.is_error()) {
    if (step == Step::kSubscribe && !(reply.size() == 3 && reply.at(0).text() == "subscribe")) {
      return base::Error{base::ErrorKind::kProtocol, "unexpected reply to SUBSCRIBE"};
    }
    return true;
  }
  const auto error = refusal(reply.text());
  // A user without the right to these can still lock; but a server that wants a login or loads its
  // data says so to whatever comes first.
  const bool dispensable = step == Step::kName || step == Step::kProbe;
  if (dispensable && error.kind == base::ErrorKind::kServer) return true;
  if (step == Step::kAuthenticate && error.kind == base::ErrorKind::kServer) {
    return base::Error{base::ErrorKind::kAuthentication, error.text};
  }
  return error;
}

}  // namespace dsync::client
