// The command line of the programs of the floor.
#pragma once

#include <string>
#include <string_view>

namespace dsync::bench {

// Prints `reason` and ends the program: a benchmark that met an error has no result.
[[noreturn]] void Fail(std::string_view reason);

// Options are pairs `--name value`.
class Options {
 public:
  // `argv` must live as long as this object.
  Options(int argc, char** argv) : argc_(argc), argv_(argv) {}

  // The value of an option; ends the program when it is missing or no number.
  [[nodiscard]] std::string Text(std::string_view name) const;
  [[nodiscard]] int Integer(std::string_view name) const;
  [[nodiscard]] double Number(std::string_view name) const;

 private:
  int argc_;
  char** argv_;
};

}  // namespace dsync::bench
