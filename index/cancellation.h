// Whether whoever asked for something still wants it.
#ifndef CAIRN_INDEX_CANCELLATION_H_
#define CAIRN_INDEX_CANCELLATION_H_

#include <atomic>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace cairn::index {

// How often whoever waits for something else asks.
inline constexpr absl::Duration kCancellationPoll = absl::Milliseconds(10);

// Long work asks now and then, a few milliseconds apart at most, and gives up once the answer is
// yes, which then stays the answer: so that every stage agrees on it. Thread-safe if the function
// is.
class Cancellation {
 public:
  // `asked` may be null: never cancelled.
  explicit Cancellation(std::function<bool()> asked) : asked_(std::move(asked)) {}
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // Asks.
  bool Requested() const {
    if (cancelled_.load(std::memory_order_relaxed)) return true;
    if (!asked_ || !asked_()) return false;
    cancelled_.store(true, std::memory_order_relaxed);
    return true;
  }
  // The same as a status: OK or Cancelled.
  absl::Status Check() const {
    return Requested() ? absl::CancelledError("cancelled by the caller") : absl::OkStatus();
  }

 private:
  const std::function<bool()> asked_;
  mutable std::atomic<bool> cancelled_{false};
};

// The same where there may be nobody to ask.
inline absl::Status CheckCancellation(const Cancellation* cancellation) {
  return cancellation == nullptr ? absl::OkStatus() : cancellation->Check();
}
inline bool IsCancelled(const Cancellation* cancellation) {
  return cancellation != nullptr && cancellation->Requested();
}

}  // namespace cairn::index

#endif  // CAIRN_INDEX_CANCELLATION_H_
