// Ownership that does not survive a fork.
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

namespace dsync::bindings {

// Owns a T in the process that made it. In a forked child, where the threads of the T do not exist
// and its server connections belong to the parent, it is forgotten and never destroyed.
template <typename T>
class ForkOwned {
 public:
  template <typename... Arguments>
  explicit ForkOwned(Arguments&&... arguments)
      : value_(std::make_unique<T>(std::forward<Arguments>(arguments)...)), process_(getpid()) {}
  ForkOwned(ForkOwned&&) = delete;
  ~ForkOwned() {
    if (getpid() != process_) (void)value_.release();
  }

  T& operator*() const { return *value_; }
  T* operator->() const { return value_.get(); }

 private:
  std::unique_ptr<T> value_;
  const pid_t process_;
};

}  // namespace dsync::bindings
