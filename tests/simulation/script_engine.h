// Executes the scripts as Redis does: Lua 5.1, with its conversions of values and errors.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "client/scripts.h"
#include "database.h"
#include "mutation.h"
#include "value.h"

struct lua_State;

namespace dsync::simulation {

// Whom `redis.call` calls.
class ScriptHost {
 public:
  virtual ~ScriptHost() = default;
  virtual Value call(Words words) = 0;
};

// One serves any number of servers, one after another: scripts keep nothing in it.
class ScriptEngine {
 public:
  explicit ScriptEngine(const Mutation* mutation);

  // Null when there is no such script.
  const client::Script* with_source(std::string_view source) const;
  const client::Script* with_sha1(std::string_view sha1) const;

  Value run(const client::Script& script, Words keys, Words arguments, ScriptHost& host);

 private:
  struct Close {
    void operator()(lua_State* state) const;
  };
  using Names = std::unordered_map<std::string_view, const client::Script*>;

  void compile(const client::Script& script, const std::string& source);
  Value result();

  std::unique_ptr<lua_State, Close> state_;
  Names by_source_;
  Names by_sha1_;
  std::unordered_map<const client::Script*, int> chunks_;
};

}  // namespace dsync::simulation
