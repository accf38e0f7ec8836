// What libFuzzer calls; DSYNC_FUZZ_TARGET is set by CMakeLists.txt.
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dsync::fuzz::DSYNC_FUZZ_TARGET({data, size});
  return 0;
}
