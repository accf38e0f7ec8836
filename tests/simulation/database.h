// The keys of the modelled server, and the commands on them that dsync uses.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "value.h"

namespace dsync::simulation {

using Words = std::span<const std::string_view>;

// Small enough in every schedule that a vector is faster than a tree.
struct SortedSet {
  struct Item {
    double score;
    std::string member;
    auto operator<=>(const Item&) const = default;
  };
  std::vector<Item> items{};  // in order

  const double* score(std::string_view member) const;
  bool remove(std::string_view member);
  void put(double score, std::string_view member);
};

using Hash = std::map<std::string, std::string, std::less<>>;

class Database {
 public:
  // Executes one command at `now_us` of the server's clock; false when it is no command of the
  // database.
  bool execute(Words words, std::int64_t now_us, Value& reply);

  void clear() { keys_.clear(); }

  // For those who look on. Null where there is none, or of another type.
  template <typename T>
  const T* get(std::string_view key, std::int64_t now_us) const {
    const auto it = keys_.find(key);
    if (it == keys_.end() || is_over(it->second, now_us / 1000)) return nullptr;
    return std::get_if<T>(&it->second.data);
  }
  std::vector<std::string> names(std::int64_t now_us) const;
  bool expires(std::string_view key) const { return keys_.find(key)->second.end_ms >= 0; }

 private:
  using Data = std::variant<std::string, SortedSet, Hash>;
  struct Entry {
    Data data;
    std::int64_t end_ms = -1;  // of its life; -1: none
  };
  using Keys = std::map<std::string, Entry, std::less<>>;
  using Handler = Value (Database::*)(Words);

  static bool is_over(const Entry& entry, std::int64_t now_ms) {
    return entry.end_ms >= 0 && now_ms > entry.end_ms;
  }
  static const std::map<std::string_view, Handler>& handlers();

  Entry* find(std::string_view key);
  Entry& put(std::string_view key, Data data);
  void erase_if_empty(std::string_view key, const Entry& entry);
  // Null in `out` where the key is absent; false where it is of another type.
  template <typename T>
  bool look(std::string_view key, T*& out);
  template <typename T>
  T* make(std::string_view key);

  Value get_text(Words words);
  Value get_many(Words words);
  Value set(Words words);
  Value set_expiring(Words words);
  Value append(Words words);
  Value increase(Words words);
  Value erase(Words words);
  Value count_existing(Words words);
  Value type(Words words);
  Value expire(Words words);
  Value time_to_live(Words words);
  Value hash_get(Words words);
  Value hash_set(Words words);
  Value hash_erase(Words words);
  Value hash_size(Words words);
  Value set_add(Words words);
  Value set_remove(Words words);
  Value set_score(Words words);
  Value set_rank(Words words);
  Value set_size(Words words);
  Value set_pop(Words words);
  Value set_range(Words words);
  Value set_range_by_score(Words words);
  Value set_remove_by_score(Words words);

  Keys keys_;
  std::int64_t now_us_ = 0;
};

}  // namespace dsync::simulation
