#include "resp/reader.h"

#include <hiredis/hiredis.h>

#include <new>

namespace dsync::resp {

Reader::Reader() : raw_(redisReaderCreate()) {
  if (!raw_) throw std::bad_alloc();
}

void Reader::feed(std::span<const char> bytes) {
  // A failure is remembered by the reader, and next() reports it.
  (void)redisReaderFeed(raw_.get(), bytes.data(), bytes.size());
}

base::Result<std::optional<Reply>> Reader::next() {
  void* raw = nullptr;
  if (redisReaderGetReply(raw_.get(), &raw) != REDIS_OK) {
    return base::Error{base::ErrorKind::kProtocol, raw_->errstr};
  }
  if (raw == nullptr) return std::optional<Reply>();
  return std::optional<Reply>(Reply(static_cast<redisReply*>(raw)));
}

void Reader::Free::operator()(redisReader* raw) const { redisReaderFree(raw); }

}  // namespace dsync::resp
