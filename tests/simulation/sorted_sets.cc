// The sorted sets of the modelled server.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "database.h"

namespace dsync::simulation {
namespace {

const Value kWrongType =
    Value::error("WRONGTYPE Operation against a key holding the wrong kind of value");
const Value kNoNumber = Value::error("ERR value is not a valid float");
const Value kNoBound = Value::error("ERR min or max is not a float");

std::optional<double> number_in(std::string_view text) {
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  if (text == "+inf" || text == "inf") return std::numeric_limits<double>::infinity();
  double value = 0;
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::int64_t integer_in(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Value score_reply(double score) {
  char text[40];
  if (score == std::floor(score) && std::abs(score) < 1e17) {
    const auto end = std::to_chars(text, text + sizeof text, static_cast<std::int64_t>(score)).ptr;
    return Value::bulk({text, static_cast<std::size_t>(end - text)});
  }
  const auto size = std::snprintf(text, sizeof text, "%.17g", score);
  return Value::bulk({text, static_cast<std::size_t>(size)});
}

void add_item(std::vector<Value>& out, const SortedSet::Item& item, bool with_scores) {
  out.push_back(Value::bulk(item.member));
  if (with_scores) out.push_back(score_reply(item.score));
}

}  // namespace

const double* SortedSet::score(std::string_view member) const {
  const auto it = std::ranges::find(items, member, &Item::member);
  return it == items.end() ? nullptr : &it->score;
}

bool SortedSet::remove(std::string_view member) {
  const auto it = std::ranges::find(items, member, &Item::member);
  if (it == items.end()) return false;
  items.erase(it);
  return true;
}

void SortedSet::put(double score, std::string_view member) {
  remove(member);
  Item item{score, std::string(member)};
  items.insert(std::ranges::lower_bound(items, item), std::move(item));
}

Value Database::set_add(Words words) {
  std::size_t first = 2;
  const bool only_new = words[first] == "NX";
  const bool only_old = words[first] == "XX";
  if (only_new || only_old) ++first;
  if (first + 2 != words.size()) return Value::error("ERR syntax error");
  const auto score = number_in(words[first]);
  if (!score) return kNoNumber;
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  if (set == nullptr && only_old) return Value::number(0);
  set = make<SortedSet>(words[1]);
  const bool known = set->score(words[first + 1]) != nullptr;
  if (known ? only_new : only_old) return Value::number(0);
  set->put(*score, words[first + 1]);
  return Value::number(known ? 0 : 1);
}

Value Database::set_remove(Words words) {
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  if (set == nullptr || !set->remove(words[2])) return Value::number(0);
  erase_if_empty(words[1], *find(words[1]));
  return Value::number(1);
}

Value Database::set_score(Words words) {
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  const auto* score = set == nullptr ? nullptr : set->score(words[2]);
  return score == nullptr ? Value::nil() : score_reply(*score);
}

Value Database::set_rank(Words words) {
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  if (set == nullptr) return Value::nil();
  const auto it = std::ranges::find(set->items, words[2], &SortedSet::Item::member);
  return it == set->items.end() ? Value::nil() : Value::number(it - set->items.begin());
}

Value Database::set_size(Words words) {
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  return Value::number(set == nullptr ? 0 : std::ssize(set->items));
}

Value Database::set_pop(Words words) {
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  std::vector<Value> result;
  if (set != nullptr) {
    add_item(result, set->items.front(), true);
    set->items.erase(set->items.begin());
    erase_if_empty(words[1], *find(words[1]));
  }
  return Value::array(std::move(result));
}

Value Database::set_range(Words words) {
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  std::vector<Value> result;
  if (set == nullptr) return Value::array({});
  const bool with_scores = words.size() > 4 && words[4] == "WITHSCORES";
  const auto size = std::ssize(set->items);
  const auto place = [size](std::int64_t index) { return index < 0 ? index + size : index; };
  const auto last = std::min<std::int64_t>(place(integer_in(words[3])), size - 1);
  for (auto i = place(integer_in(words[2])); i <= last; ++i) {
    add_item(result, set->items[static_cast<std::size_t>(i)], with_scores);
  }
  return Value::array(std::move(result));
}

Value Database::set_range_by_score(Words words) {
  const auto low = number_in(words[2]);
  const bool excludes_high = words[3].starts_with('(');
  const auto high = number_in(words[3].substr(excludes_high ? 1 : 0));
  if (!low || !high) return kNoBound;
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  bool with_scores = false;
  std::int64_t limit = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 4; i < words.size(); ++i) {
    if (words[i] == "WITHSCORES") {
      with_scores = true;
    } else if (words[i] == "LIMIT" && i + 2 < words.size() && words[i + 1] == "0") {
      limit = integer_in(words[i + 2]);
      i += 2;
    } else {
      return Value::error("ERR syntax error");
    }
  }
  std::vector<Value> result;
  if (set == nullptr) return Value::array({});
  for (const auto& item : set->items) {
    if (limit == 0) break;
    if (item.score < *low || item.score > *high) continue;
    if (excludes_high && item.score == *high) continue;
    add_item(result, item, with_scores);
    --limit;
  }
  return Value::array(std::move(result));
}

Value Database::set_remove_by_score(Words words) {
  const auto low = number_in(words[2]);
  const auto high = number_in(words[3]);
  if (!low || !high) return kNoBound;
  SortedSet* set = nullptr;
  if (!look(words[1], set)) return kWrongType;
  if (set == nullptr) return Value::number(0);
  const auto count = std::erase_if(set->items, [&](const SortedSet::Item& item) {
    return item.score >= *low && item.score <= *high;
  });
  erase_if_empty(words[1], *find(words[1]));
  return Value::number(static_cast<std::int64_t>(count));
}

}  // namespace dsync::simulation
