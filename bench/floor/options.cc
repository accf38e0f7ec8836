#include "options.h"

#include <cstdlib>
#include <exception>
#include <iostream>

namespace dsync::bench {

void Fail(std::string_view reason) {
  std::cerr << "floor: " << reason << std::endl;
  std::exit(1);
}

std::string Options::Text(std::string_view name) const {
  for (int i = 1; i + 1 < argc_; i += 2) {
    if (name == argv_[i]) {
      return argv_[i + 1];
    }
  }
  Fail(std::string(name) + " is missing");
}

int Options::Integer(std::string_view name) const {
  try {
    return std::stoi(Text(name));
  } catch (const std::exception&) {
    Fail(std::string(name) + " is no integer");
  }
}

double Options::Number(std::string_view name) const {
  try {
    return std::stod(Text(name));
  } catch (const std::exception&) {
    Fail(std::string(name) + " is no number");
  }
}

}  // namespace dsync::bench
