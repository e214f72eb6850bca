// Holds work back in tests.
#ifndef CAIRN_TESTS_SERVICES_SERVER_GATE_H_
#define CAIRN_TESTS_SERVICES_SERVER_GATE_H_

#include <cstddef>

#include "absl/synchronization/mutex.h"

namespace cairn::services {

// Whoever passes waits until it is open.
class Gate {
 public:
  void Pass() {
    absl::MutexLock lock(&mutex_);
    ++arrived_;
    mutex_.Await(absl::Condition(&open_));
  }
  void Open() {
    absl::MutexLock lock(&mutex_);
    open_ = true;
  }
  // Until `count` have come to it.
  void AwaitArrivals(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto all = [&] { return arrived_ >= count; };
    mutex_.Await(absl::Condition(&all));
  }

 private:
  absl::Mutex mutex_;
  size_t arrived_ = 0;
  bool open_ = false;
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_GATE_H_
