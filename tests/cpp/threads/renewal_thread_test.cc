#include "driver/renewal_thread.h"

#include <gtest/gtest.h>

namespace dsync::tests {
TEST(Placeholder, One) {}
}  // namespace dsync::tests
