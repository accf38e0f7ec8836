// Keys, strings, hashes and time; sorted sets are in sorted_sets.cc.
#include "database.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace dsync::simulation {
namespace {

const Value kWrongType =
    Value::error("WRONGTYPE Operation against a key holding the wrong kind of value");
const Value kNoInteger = Value::error("ERR value is not an integer or out of range");

std::optional<std::int64_t> integer_in(std::string_view text) {
  std::int64_t value = 0;
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

const std::map<std::string_view, Database::Handler>& Database::handlers() {
  static const std::map<std::string_view, Handler> all{
      {"GET", &Database::get_text},
      {"MGET", &Database::get_many},
      {"SET", &Database::set},
      {"PSETEX", &Database::set_expiring},
      {"APPEND", &Database::append},
      {"INCR", &Database::increase},
      {"INCRBY", &Database::increase},
      {"DECR", &Database::increase},
      {"DECRBY", &Database::increase},
      {"DEL", &Database::erase},
      {"EXISTS", &Database::count_existing},
      {"TYPE", &Database::type},
      {"PEXPIRE", &Database::expire},
      {"PTTL", &Database::time_to_live},
      {"HGET", &Database::hash_get},
      {"HSET", &Database::hash_set},
      {"HDEL", &Database::hash_erase},
      {"HLEN", &Database::hash_size},
      {"ZADD", &Database::set_add},
      {"ZREM", &Database::set_remove},
      {"ZSCORE", &Database::set_score},
      {"ZRANK", &Database::set_rank},
      {"ZCARD", &Database::set_size},
      {"ZPOPMIN", &Database::set_pop},
      {"ZRANGE", &Database::set_range},
      {"ZRANGEBYSCORE", &Database::set_range_by_score},
      {"ZREMRANGEBYSCORE", &Database::set_remove_by_score},
  };
  return all;
}

bool Database::execute(Words words, std::int64_t now_us, Value& reply) {
  const auto handler = handlers().find(words[0]);
  if (handler == handlers().end()) return false;
  now_us_ = now_us;
  reply = (this->*handler->second)(words);
  return true;
}

std::vector<std::string> Database::names(std::int64_t now_us) const {
  std::vector<std::string> result;
  for (const auto& [key, entry] : keys_) {
    if (!is_over(entry, now_us / 1000)) result.push_back(key);
  }
  return result;
}

Database::Entry* Database::find(std::string_view key) {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return nullptr;
  if (!is_over(it->second, now_us_ / 1000)) return &it->second;
  keys_.erase(it);
  return nullptr;
}

Database::Entry& Database::put(std::string_view key, Data data) {
  return keys_.insert_or_assign(std::string(key), Entry{std::move(data)}).first->second;
}

template <typename T>
bool Database::look(std::string_view key, T*& out) {
  const auto entry = find(key);
  out = entry == nullptr ? nullptr : std::get_if<T>(&entry->data);
  return entry == nullptr || out != nullptr;
}

template <typename T>
T* Database::make(std::string_view key) {
  const auto entry = find(key);
  return std::get_if<T>(entry == nullptr ? &put(key, T()).data : &entry->data);
}

template bool Database::look(std::string_view, SortedSet*&);
template SortedSet* Database::make(std::string_view);

// ---- strings ----

Value Database::get_text(Words words) {
  std::string* text = nullptr;
  if (!look(words[1], text)) return kWrongType;
  return text == nullptr ? Value::nil() : Value::bulk(*text);
}

Value Database::get_many(Words words) {
  std::vector<Value> result;
  for (const auto key : words.subspan(1)) {
    std::string* text = nullptr;
    look(key, text);
    result.push_back(text == nullptr ? Value::nil() : Value::bulk(*text));
  }
  return Value::array(std::move(result));
}

Value Database::set(Words words) {
  bool only_new = false;
  std::int64_t life_ms = -1;
  for (std::size_t i = 3; i < words.size(); ++i) {
    if (words[i] == "NX") {
      only_new = true;
    } else if (words[i] == "PX" && i + 1 < words.size()) {
      const auto life = integer_in(words[++i]);
      if (!life || *life <= 0) return Value::error("ERR invalid expire time in 'set' command");
      life_ms = *life;
    } else {
      return Value::error("ERR syntax error");
    }
  }
  if (only_new && find(words[1]) != nullptr) return Value::nil();
  auto& entry = put(words[1], std::string(words[2]));
  if (life_ms > 0) entry.end_ms = now_us_ / 1000 + life_ms;
  return Value::status("OK");
}

Value Database::set_expiring(Words words) {
  const auto life = integer_in(words[2]);
  if (!life) return kNoInteger;
  put(words[1], std::string(words[3])).end_ms = now_us_ / 1000 + *life;
  return Value::status("OK");
}

Value Database::append(Words words) {
  auto* text = make<std::string>(words[1]);
  if (text == nullptr) return kWrongType;
  text->append(words[2]);
  return Value::number(static_cast<std::int64_t>(text->size()));
}

Value Database::increase(Words words) {
  const auto amount = words.size() > 2 ? integer_in(words[2]) : 1;
  std::string* text = nullptr;
  if (!look(words[1], text)) return kWrongType;
  const auto value = text == nullptr ? std::optional<std::int64_t>(0) : integer_in(*text);
  if (!amount || !value) return kNoInteger;
  const auto result = *value + (words[0].starts_with("DECR") ? -*amount : *amount);
  // It keeps its time to live.
  *make<std::string>(words[1]) = std::to_string(result);
  return Value::number(result);
}

// ---- keys ----

Value Database::erase(Words words) {
  std::int64_t count = 0;
  for (const auto key : words.subspan(1)) {
    if (find(key) == nullptr) continue;
    keys_.erase(keys_.find(key));
    ++count;
  }
  return Value::number(count);
}

Value Database::count_existing(Words words) {
  const auto keys = words.subspan(1);
  return Value::number(
      std::ranges::count_if(keys, [this](const auto key) { return find(key) != nullptr; }));
}

Value Database::type(Words words) {
  const auto entry = find(words[1]);
  if (entry == nullptr) return Value::status("none");
  constexpr std::string_view kNames[] = {"string", "zset", "hash"};
  return Value::status(kNames[entry->data.index()]);
}

Value Database::expire(Words words) {
  const auto life = integer_in(words[2]);
  if (!life) return kNoInteger;
  const auto entry = find(words[1]);
  if (entry == nullptr) return Value::number(0);
  if (*life <= 0) {
    keys_.erase(keys_.find(words[1]));
  } else {
    entry->end_ms = now_us_ / 1000 + *life;
  }
  return Value::number(1);
}

Value Database::time_to_live(Words words) {
  const auto entry = find(words[1]);
  if (entry == nullptr) return Value::number(-2);
  return Value::number(entry->end_ms < 0 ? -1 : entry->end_ms - now_us_ / 1000);
}

void Database::erase_if_empty(std::string_view key, const Entry& entry) {
  const auto* set = std::get_if<SortedSet>(&entry.data);
  const auto* hash = std::get_if<Hash>(&entry.data);
  const bool is_empty = set != nullptr ? set->items.empty() : hash != nullptr && hash->empty();
  if (is_empty) keys_.erase(keys_.find(key));
}

// ---- hashes ----

Value Database::hash_get(Words words) {
  Hash* hash = nullptr;
  if (!look(words[1], hash)) return kWrongType;
  if (hash == nullptr) return Value::nil();
  const auto it = hash->find(words[2]);
  return it == hash->end() ? Value::nil() : Value::bulk(it->second);
}

Value Database::hash_set(Words words) {
  auto* hash = make<Hash>(words[1]);
  if (hash == nullptr) return kWrongType;
  const bool is_new = hash->insert_or_assign(std::string(words[2]), words[3]).second;
  return Value::number(is_new ? 1 : 0);
}

Value Database::hash_erase(Words words) {
  Hash* hash = nullptr;
  if (!look(words[1], hash)) return kWrongType;
  if (hash == nullptr) return Value::number(0);
  const auto it = hash->find(words[2]);
  if (it == hash->end()) return Value::number(0);
  hash->erase(it);
  erase_if_empty(words[1], *find(words[1]));
  return Value::number(1);
}

Value Database::hash_size(Words words) {
  Hash* hash = nullptr;
  if (!look(words[1], hash)) return kWrongType;
  return Value::number(hash == nullptr ? 0 : std::ssize(*hash));
}

}  // namespace dsync::simulation
