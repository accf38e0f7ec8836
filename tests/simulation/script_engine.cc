#include "script_engine.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <lua5.1/lua.hpp>
#include <new>
#include <stdexcept>

namespace dsync::simulation {
namespace {

constexpr const client::Script* kScripts[] = {
    &client::kBarrierCount,   &client::kBarrierEnd,       &client::kBarrierLeave,
    &client::kBarrierWait,    &client::kConditionLeave,   &client::kConditionNotify,
    &client::kConditionWait,  &client::kEventSet,         &client::kEventWait,
    &client::kKeyValueDelete, &client::kLockAcquire,      &client::kLockRelease,
    &client::kLockRenew,      &client::kSemaphoreAcquire, &client::kSemaphoreAdd,
    &client::kSemaphoreFree,  &client::kSemaphoreRelease, &client::kSemaphoreRenew,
};

constexpr std::size_t kMostWords = 16;

void push_text(lua_State* state, std::string_view text) {
  lua_pushlstring(state, text.data(), text.size());
}

void push_field(lua_State* state, const char* name, std::string_view text) {
  lua_createtable(state, 0, 1);
  push_text(state, text);
  lua_setfield(state, -2, name);
}

void push(lua_State* state, const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNil:
      return lua_pushboolean(state, 0);
    case Value::Kind::kInteger:
      return lua_pushnumber(state, static_cast<lua_Number>(value.integer));
    case Value::Kind::kBulk:
      return push_text(state, value.text);
    case Value::Kind::kStatus:
      return push_field(state, "ok", value.text);
    case Value::Kind::kError:
      return push_field(state, "err", value.text);
    case Value::Kind::kArray:
      break;
  }
  lua_createtable(state, static_cast<int>(value.items.size()), 0);
  int index = 0;
  for (const auto& item : value.items) {
    push(state, item);
    lua_rawseti(state, -2, ++index);
  }
}

using NumberText = std::array<char, 32>;

std::size_t write_number(NumberText& text, lua_Number number) {
  if (number == std::floor(number) && std::abs(number) < 1e15) {
    const auto integer = static_cast<std::int64_t>(number);
    const auto end = std::to_chars(text.data(), text.data() + text.size(), integer).ptr;
    return static_cast<std::size_t>(end - text.data());
  }
  return static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%.17g", number));
}

// The words of a command that stand on the stack; numbers are written as Redis does.
class StackWords {
 public:
  explicit StackWords(lua_State* state) {
    const int count = lua_gettop(state);
    for (int i = 1; i <= count; ++i) add(state, i);
  }
  Words words() const { return {words_.data(), size_}; }

 private:
  void add(lua_State* state, int index) {
    if (lua_type(state, index) == LUA_TNUMBER) {
      const auto number = lua_tonumber(state, index);
      auto& text = numbers_.at(size_);
      const auto size = write_number(text, number);
      words_.at(size_++) = {text.data(), size};
    } else if (lua_type(state, index) == LUA_TSTRING) {
      std::size_t size = 0;
      const char* text = lua_tolstring(state, index, &size);
      words_.at(size_++) = {text, size};
    } else {
      throw std::runtime_error("a script calls a command with what is no string");
    }
  }

  std::size_t size_ = 0;
  std::array<std::string_view, kMostWords> words_;
  std::array<NumberText, kMostWords> numbers_;
};

// Leaves the reply on the stack, and tells whether it is an error. Nothing that needs a destructor
// may live where lua_error() is called, because that jumps.
bool call(lua_State* state) {
  auto* host = static_cast<ScriptHost*>(lua_touserdata(state, lua_upvalueindex(1)));
  const StackWords stack(state);
  const auto reply = host->call(stack.words());
  push(state, reply);
  return reply.kind == Value::Kind::kError;
}

int redis_call(lua_State* state) { return call(state) ? lua_error(state) : 1; }

int redis_pcall(lua_State* state) {
  call(state);
  return 1;
}

int refuse_global(lua_State* state) {
  return luaL_error(state, "Script attempted to access nonexistent global variable '%s'",
                    lua_tostring(state, 2));
}

void set_host(lua_State* state, ScriptHost& host) {
  lua_createtable(state, 0, 2);
  lua_pushlightuserdata(state, &host);
  lua_pushcclosure(state, redis_call, 1);
  lua_setfield(state, -2, "call");
  lua_pushlightuserdata(state, &host);
  lua_pushcclosure(state, redis_pcall, 1);
  lua_setfield(state, -2, "pcall");
  lua_pushliteral(state, "redis");
  lua_insert(state, -2);
  lua_rawset(state, LUA_GLOBALSINDEX);
}

void set_list(lua_State* state, const char* name, Words words) {
  lua_pushstring(state, name);
  lua_createtable(state, static_cast<int>(words.size()), 0);
  int index = 0;
  for (const auto word : words) {
    push_text(state, word);
    lua_rawseti(state, -2, ++index);
  }
  lua_rawset(state, LUA_GLOBALSINDEX);
}

void refuse_other_globals(lua_State* state) {
  lua_pushvalue(state, LUA_GLOBALSINDEX);
  lua_createtable(state, 0, 2);
  lua_pushcfunction(state, refuse_global);
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, refuse_global);
  lua_setfield(state, -2, "__newindex");
  lua_setmetatable(state, -2);
  lua_pop(state, 1);
}

// Reads and pops the string field of the table on top; false where it has none.
bool take_field(lua_State* state, const char* name, std::string& out) {
  lua_getfield(state, -1, name);
  std::size_t size = 0;
  const char* text = lua_type(state, -1) == LUA_TSTRING ? lua_tolstring(state, -1, &size) : nullptr;
  if (text != nullptr) out.assign(text, size);
  lua_pop(state, 1);
  return text != nullptr;
}

Value read(lua_State* state);

Value read_table(lua_State* state) {
  std::string text;
  if (take_field(state, "err", text)) return Value::error(text);
  if (take_field(state, "ok", text)) return Value::status(text);
  std::vector<Value> items;
  for (int i = 1;; ++i) {
    lua_rawgeti(state, -1, i);
    if (lua_isnil(state, -1)) {
      lua_pop(state, 1);
      return Value::array(std::move(items));
    }
    items.push_back(read(state));
  }
}

// Reads and pops the value on top.
Value read(lua_State* state) {
  Value result;
  switch (lua_type(state, -1)) {
    case LUA_TNUMBER:
      result = Value::number(static_cast<std::int64_t>(lua_tonumber(state, -1)));
      break;
    case LUA_TSTRING: {
      std::size_t size = 0;
      const char* text = lua_tolstring(state, -1, &size);
      result = Value::bulk({text, size});
      break;
    }
    case LUA_TBOOLEAN:
      if (lua_toboolean(state, -1) != 0) result = Value::number(1);
      break;
    case LUA_TTABLE:
      result = read_table(state);
      break;
    default:
      break;
  }
  lua_pop(state, 1);
  return result;
}

}  // namespace

void ScriptEngine::Close::operator()(lua_State* state) const { lua_close(state); }

ScriptEngine::ScriptEngine(const Mutation* mutation) : state_(luaL_newstate()) {
  if (!state_) throw std::bad_alloc();
  luaL_openlibs(state_.get());
  for (const auto* script : kScripts) {
    by_source_.emplace(script->source, script);
    by_sha1_.emplace(script->sha1, script);
    compile(*script, mutated(*script, mutation));
  }
  refuse_other_globals(state_.get());
}

void ScriptEngine::compile(const client::Script& script, const std::string& source) {
  const std::string name(script.name);
  if (luaL_loadbuffer(state_.get(), source.data(), source.size(), name.c_str()) != 0) {
    throw std::runtime_error(lua_tostring(state_.get(), -1));
  }
  chunks_.emplace(&script, luaL_ref(state_.get(), LUA_REGISTRYINDEX));
}

const client::Script* ScriptEngine::with_source(std::string_view source) const {
  const auto it = by_source_.find(source);
  return it == by_source_.end() ? nullptr : it->second;
}

const client::Script* ScriptEngine::with_sha1(std::string_view sha1) const {
  const auto it = by_sha1_.find(sha1);
  return it == by_sha1_.end() ? nullptr : it->second;
}

Value ScriptEngine::run(const client::Script& script, Words keys, Words arguments,
                        ScriptHost& host) {
  auto* state = state_.get();
  set_host(state, host);
  set_list(state, "KEYS", keys);
  set_list(state, "ARGV", arguments);
  lua_rawgeti(state, LUA_REGISTRYINDEX, chunks_.at(&script));
  if (lua_pcall(state, 0, 1, 0) == 0) return read(state);
  if (lua_type(state, -1) == LUA_TTABLE) return read(state);
  // An error of Lua itself: the script is wrong.
  const auto text = read(state).text;
  throw std::runtime_error("the script " + std::string(script.name) + " failed: " + text);
}

}  // namespace dsync::simulation
