// A clock that tests set.
#ifndef CAIRN_TESTS_SERVICES_SERVER_FAKE_CLOCK_H_
#define CAIRN_TESTS_SERVICES_SERVER_FAKE_CLOCK_H_

#include <functional>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cairn::services {

class FakeClock {
 public:
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    now_ += by;
  }
  absl::Time now() const {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  // Valid while the clock lives.
  std::function<absl::Time()> function() const {
    return [this] { return now(); };
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_FAKE_CLOCK_H_
