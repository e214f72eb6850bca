// Spreads background writes over time.
#ifndef CAIRN_INDEX_SEGMENT_RATE_LIMITER_H_
#define CAIRN_INDEX_SEGMENT_RATE_LIMITER_H_

#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cairn::index {

// A token bucket that holds a tenth of a second's bytes. Thread-safe.
class RateLimiter {
 public:
  // 0: no limit.
  explicit RateLimiter(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // Returns once `bytes` more may be written, or soon after Cancel.
  void Acquire(uint64_t bytes);
  // From here on nothing waits.
  void Cancel();

 private:
  const uint64_t bytes_per_second_;
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time free_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // When all debt is paid.
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_RATE_LIMITER_H_
