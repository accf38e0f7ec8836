#include "resp/reply.h"

#include <hiredis/hiredis.h>

namespace dsync::resp {

bool ReplyView::is_error() const { return raw_->type == REDIS_REPLY_ERROR; }

bool ReplyView::is_nil() const { return raw_->type == REDIS_REPLY_NIL; }

bool ReplyView::is_array() const { return raw_->type == REDIS_REPLY_ARRAY; }

std::optional<std::int64_t> ReplyView::integer() const {
  if (raw_->type != REDIS_REPLY_INTEGER) return std::nullopt;
  return raw_->integer;
}

std::string_view ReplyView::text() const {
  switch (raw_->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      return {raw_->str, static_cast<std::size_t>(raw_->len)};
    default:
      return {};
  }
}

std::size_t ReplyView::size() const { return is_array() ? raw_->elements : 0; }

ReplyView ReplyView::at(std::size_t index) const { return ReplyView(raw_->element[index]); }

void Reply::Free::operator()(redisReply* raw) const { freeReplyObject(raw); }

}  // namespace dsync::resp
