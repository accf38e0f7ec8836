#include "connection.h"

#include <array>
#include <vector>

#include "options.h"

namespace dsync::bench {
namespace {

// Of a command: those that wait for a condition have the most.
constexpr size_t kMostArguments = 20;

}  // namespace

Connection::Connection(int port) : context_(redisConnect("127.0.0.1", port)) {
  if (!context_ || context_->err != 0) {
    Fail(context_ ? context_->errstr : "out of memory");
  }
}

void Connection::Append(std::span<const std::string_view> arguments) {
  std::array<const char*, kMostArguments> data{};
  std::array<size_t, kMostArguments> sizes{};
  for (size_t i = 0; i < arguments.size(); ++i) {
    data.at(i) = arguments[i].data();
    sizes.at(i) = arguments[i].size();
  }
  if (redisAppendCommandArgv(context_.get(), static_cast<int>(arguments.size()), data.data(),
                             sizes.data()) != REDIS_OK) {
    Fail(context_->errstr);
  }
}

void Connection::Flush() {
  int done = 0;
  while (done == 0) {
    if (redisBufferWrite(context_.get(), &done) != REDIS_OK) {
      Fail(context_->errstr);
    }
  }
}

void Connection::Read() {
  if (redisBufferRead(context_.get()) != REDIS_OK) {
    Fail(context_->errstr);
  }
}

Reply Connection::Next() {
  void* reply = nullptr;
  if (redisReaderGetReply(context_->reader, &reply) != REDIS_OK) {
    Fail(context_->reader->errstr);
  }
  Reply owned(static_cast<redisReply*>(reply));
  if (owned && owned->type == REDIS_REPLY_ERROR) {
    Fail(std::string_view(owned->str, static_cast<size_t>(owned->len)));
  }
  return owned;
}

Reply Connection::Call(std::span<const std::string_view> arguments) {
  Append(arguments);
  Flush();
  while (true) {
    if (Reply reply = Next()) {
      return reply;
    }
    Read();
  }
}

std::string LoadScript(Connection& connection, std::string_view source) {
  const std::array<std::string_view, 3> command{"SCRIPT", "LOAD", source};
  const Reply reply = connection.Call(command);
  if (reply->type != REDIS_REPLY_STRING) {
    Fail("SCRIPT LOAD gave no SHA1");
  }
  return std::string(reply->str, static_cast<size_t>(reply->len));
}

}  // namespace dsync::bench
