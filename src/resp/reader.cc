#include "resp/reader.h"

#include <hiredis/hiredis.h>

#include <new>

namespace dsync::resp {
namespace {

const redisReplyObjectFunctions& own_functions() {
  static const redisReplyObjectFunctions functions = [] {
    const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader(redisReaderCreate(),
                                                                          redisReaderFree);
    if (!reader) throw std::bad_alloc();
    return *reader->fn;
  }();
  return functions;
}

std::size_t levels(const redisReadTask* task) {
  std::size_t result = 0;
  for (; task != nullptr && result <= kMostLevels; task = task->parent) ++result;
  return result;
}

// hiredis reserves memory for as many elements as the server says that it will send; newer versions
// limit neither them nor the levels. The type of the size differs between versions.
template <typename Size>
void* create_array(const redisReadTask* task, Size elements) {
  if (static_cast<std::size_t>(elements) > kMostElements || levels(task) > kMostLevels) {
    return nullptr;
  }
  return own_functions().createArray(task, elements);
}

redisReplyObjectFunctions* limited_functions() {
  static redisReplyObjectFunctions functions = [] {
    auto result = own_functions();
    result.createArray = create_array;
    return result;
  }();
  return &functions;
}

base::Error protocol_error(const char* text) { return {base::ErrorKind::kProtocol, text}; }

}  // namespace

Reader::Reader() : raw_(redisReaderCreateWithFunctions(limited_functions())) {
  if (!raw_) throw std::bad_alloc();
}

void Reader::feed(std::span<const char> bytes) {
  // A failure is remembered by the reader, and next() reports it.
  (void)redisReaderFeed(raw_.get(), bytes.data(), bytes.size());
}

base::Result<std::optional<Reply>> Reader::next() {
  if (consumed_ > kLongestReply) return protocol_error("a reply is too long");
  const auto before = unread();
  void* raw = nullptr;
  if (redisReaderGetReply(raw_.get(), &raw) != REDIS_OK) {
    // So create_array() is understood.
    const bool refused = raw_->err == REDIS_ERR_OOM;
    return protocol_error(refused ? "a reply has too many elements or levels" : raw_->errstr);
  }
  Reply reply(static_cast<redisReply*>(raw));
  consumed_ += before - unread();
  const bool whole = raw != nullptr;
  const auto size = consumed_ + (whole ? 0 : unread());
  if (size > kLongestReply) {
    consumed_ = size;
    return protocol_error("a reply is too long");
  }
  if (!whole) return std::optional<Reply>();
  consumed_ = 0;
  return std::optional<Reply>(std::move(reply));
}

std::size_t Reader::unread() const { return raw_->len - raw_->pos; }

void Reader::Free::operator()(redisReader* raw) const { redisReaderFree(raw); }

}  // namespace dsync::resp
