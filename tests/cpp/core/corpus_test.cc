// Plays what libFuzzer has kept (tests/fuzz/corpus) with this compiler and its sanitizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/targets.h"

namespace dsync::tests {
namespace {

namespace fs = std::filesystem;

std::vector<std::uint8_t> content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A broken promise or a sanitizer ends the program, so the input is named before it is played.
void replay(const char* target, void (*fuzz)(fuzz::Bytes)) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(fs::path(DSYNC_CORPUS) / target)) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  EXPECT_GT(paths.size(), 20U);
  for (const auto& path : paths) {
    std::cout << path << std::endl;
    fuzz(content_of(path));
  }
}

TEST(CorpusTest, Reader) { replay("reader", fuzz::fuzz_reader); }

TEST(CorpusTest, Core) { replay("core", fuzz::fuzz_core); }

}  // namespace
}  // namespace dsync::tests
