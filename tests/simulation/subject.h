// Which primitive a schedule is about.
#pragma once

#include <string_view>

namespace dsync::simulation {

enum class Subject { kLock, kSemaphore, kCondition, kBarrier, kEvent, kCount };

std::string_view name_of(Subject subject);

}  // namespace dsync::simulation
