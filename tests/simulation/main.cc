// Runs schedules of the simulation; see docs/testing.md. Each is drawn from its seed alone, so a
// seed that failed fails again.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mutation.h"
#include "world.h"

namespace dsync::simulation {
namespace {

constexpr std::string_view kUsage =
    "usage: dsync_simulation [--seed S | --from S] [--schedules N] [--minutes M] [--kind KIND]\n"
    "                        [--mutate NAME | --mutations] [--trace] [--list]\n"
    "  --seed S           run this schedule only\n"
    "  --from S           begin with this seed (1)\n"
    "  --schedules N      so many, one seed after another (10000)\n"
    "  --minutes M        as many as there is time for\n"
    "  --kind KIND        only about this primitive\n"
    "  --mutate NAME      put an error into the scripts\n"
    "  --mutations        put in each error in turn: it is a failure if no schedule finds it\n"
    "  --trace            print each step\n"
    "  --list             list the errors that can be put in\n";

struct Options {
  std::uint64_t from = 1;
  std::uint64_t schedules = 10'000;
  std::optional<double> minutes;
  std::vector<Subject> subjects;
  std::string kind;
  const Mutation* mutation = nullptr;
  bool tries_mutations = false;
  bool is_traced = false;
};

[[noreturn]] void give_up(const std::string& reason) {
  std::cerr << reason << '\n' << kUsage;
  std::exit(2);
}

void list_mutations() {
  for (const auto& mutation : mutations()) {
    std::cout << mutation.name << ": " << mutation.what << '\n';
  }
  std::exit(0);
}

std::vector<Subject> subjects_of(const std::string& kind) {
  std::vector<Subject> result;
  for (int i = 0; i < static_cast<int>(Subject::kCount); ++i) {
    const auto subject = static_cast<Subject>(i);
    if (kind.empty() || kind == name_of(subject)) result.push_back(subject);
  }
  if (result.empty()) give_up("there is no kind " + kind);
  return result;
}

Options read_options(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = words[i];
    const auto value = [&] {
      if (i + 1 == count) give_up("a value is missing");
      return words[++i];
    };
    const auto number = [&] { return std::strtoull(value(), nullptr, 10); };
    if (name == "--seed") {
      options.from = number();
      options.schedules = 1;
    } else if (name == "--from") {
      options.from = number();
    } else if (name == "--schedules") {
      options.schedules = number();
    } else if (name == "--minutes") {
      options.minutes = std::strtod(value(), nullptr);
    } else if (name == "--kind") {
      options.kind = value();
    } else if (name == "--mutate") {
      options.mutation = find_mutation(value());
      if (options.mutation == nullptr) give_up("there is no such mutation");
      options.kind = name_of(options.mutation->subject);
    } else if (name == "--mutations") {
      options.tries_mutations = true;
    } else if (name == "--trace") {
      options.is_traced = true;
    } else if (name == "--list") {
      list_mutations();
    } else {
      give_up("unknown: " + std::string(name));
    }
  }
  options.subjects = subjects_of(options.kind);
  return options;
}

// Only for the length of the whole run and for its report; no schedule knows it.
double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Ending {
  std::uint64_t seed;
  std::uint64_t steps;
  std::string failure;  // empty: there was none

  bool operator==(const Ending&) const = default;
};

Ending run_schedule(std::uint64_t seed, const std::vector<Subject>& subjects, ScriptEngine& engine,
                    bool is_traced = false) {
  World world(seed, subjects, engine, is_traced);
  try {
    world.run();
  } catch (const std::exception& error) {
    return {seed, world.steps(), error.what()};
  }
  return {seed, world.steps(), {}};
}

void report_failure(const Options& options, const Ending& ending) {
  std::cout << "seed " << ending.seed << " failed: " << ending.failure
            << "\nreplay: dsync_simulation --seed " << ending.seed << " --trace";
  if (!options.kind.empty()) std::cout << " --kind " << options.kind;
  if (options.mutation != nullptr) std::cout << " --mutate " << options.mutation->name;
  std::cout << std::endl;
}

int run(const Options& options) {
  ScriptEngine engine(options.mutation);
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t done = 0;
  std::uint64_t steps = 0;
  const auto goes_on = [&] {
    if (!options.minutes) return done < options.schedules;
    return seconds_since(begin) < *options.minutes * 60;
  };
  while (goes_on()) {
    const auto ending =
        run_schedule(options.from + done++, options.subjects, engine, options.is_traced);
    steps += ending.steps;
    if (ending.failure.empty()) continue;
    report_failure(options, ending);
    return 1;
  }
  const auto seconds = seconds_since(begin);
  std::cout << done << " schedules of " << steps / std::max<std::uint64_t>(done, 1)
            << " steps each in " << seconds
            << " s: " << static_cast<std::uint64_t>(static_cast<double>(done) / seconds)
            << " per second\n";
  return 0;
}

// Whether a schedule finds it, and fails in the same way when it is replayed.
bool is_found(const Mutation& mutation, const Options& options) {
  ScriptEngine engine(&mutation);
  for (std::uint64_t i = 0; i < options.schedules; ++i) {
    const auto ending = run_schedule(options.from + i, {mutation.subject}, engine);
    if (ending.failure.empty()) continue;
    std::cout << mutation.name << " (" << mutation.what << "): found by schedule " << i + 1 << ", "
              << ending.failure << '\n';
    if (run_schedule(ending.seed, {mutation.subject}, engine) == ending) return true;
    std::cout << "but seed " << ending.seed << " does not fail in the same way again\n";
    return false;
  }
  std::cout << mutation.name << " (" << mutation.what << "): not found\n";
  return false;
}

int try_mutations(const Options& options) {
  bool all_found = true;
  for (const auto& mutation : mutations()) all_found = is_found(mutation, options) && all_found;
  return all_found ? 0 : 1;
}

}  // namespace
}  // namespace dsync::simulation

int main(int count, char** words) {
  using namespace dsync::simulation;
  const auto options = read_options(count, words);
  return options.tries_mutations ? try_mutations(options) : run(options);
}
