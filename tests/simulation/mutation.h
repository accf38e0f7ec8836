// Errors to be put into the scripts on purpose, to see whether the simulation finds them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/scripts.h"
#include "subject.h"

namespace dsync::simulation {

struct Mutation {
  struct Replacement {
    std::string_view script;  // its name; empty: every one that has the text
    std::string_view from;
    std::string_view to;
  };
  std::string_view name;
  Subject subject;        // the kind of schedule that is to find it
  std::string_view what;  // for people
  std::vector<Replacement> replacements;
};

std::span<const Mutation> mutations();

// Null when there is none of that name.
const Mutation* find_mutation(std::string_view name);

// The source as the modelled server executes it. Throws when the script has not the text that is to
// be replaced: it has changed, and the mutation would prove nothing any more.
std::string mutated(const client::Script& script, const Mutation* mutation);

}  // namespace dsync::simulation
