// What a hostile server may do, as functions of its bytes. libFuzzer calls them through entry.cc;
// corpus_test.cc plays the kept inputs again with any compiler.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace dsync::fuzz {

using Bytes = std::span<const std::uint8_t>;

// Reads the bytes as replies, in one piece and in many.
void fuzz_reader(Bytes input);

// Plays a session whose caller, clock, network and server do what the bytes say.
void fuzz_core(Bytes input);

// A promise that no server can make the core break. It ends the program, as a sanitizer does.
inline void check(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace dsync::fuzz
