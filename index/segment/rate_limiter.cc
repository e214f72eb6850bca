#include "index/segment/rate_limiter.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace cairn::index {

void RateLimiter::Acquire(uint64_t bytes) {
  if (bytes_per_second_ == 0) return;
  const absl::Duration cost =
      absl::Seconds(static_cast<double>(bytes) / static_cast<double>(bytes_per_second_));
  absl::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  // A clock that was set back must not make anyone wait for the difference.
  free_at_ = std::min(free_at_, now + absl::Seconds(1));
  free_at_ = std::max(free_at_, now - absl::Milliseconds(100)) + cost;
  const absl::Duration wait = free_at_ - now;
  if (wait > absl::ZeroDuration()) {
    mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), std::min(wait, absl::Seconds(1)));
  }
}

void RateLimiter::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
}

}  // namespace cairn::index
