#include <gtest/gtest.h>
namespace dsync::tests {
TEST(Placeholder, Two) {}
}  // namespace dsync::tests
