// How whoever asked for long work follows it, and ends it.
#ifndef CAIRN_INDEX_WORK_CONTROL_H_
#define CAIRN_INDEX_WORK_CONTROL_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

#include "absl/status/status.h"

namespace cairn::index {

// Handed down to whatever does the work. Cheap to copy; flags and function must outlive all copies.
// Thread-safe but for Report, which one thread at a time calls.
class WorkControl {
 public:
  // `share` of the whole work is done, from 0 to 1; never less than before.
  using Progress = std::function<void(double share)>;

  // Work that nobody follows or ends.
  WorkControl() = default;
  // Work that is to end soon after `stop` becomes true. Implicit: a flag is all that most have.
  WorkControl(const std::atomic<bool>& stop)  // NOLINT(google-explicit-constructor)
      : stops_{&stop, nullptr} {}
  // Either may be null.
  WorkControl(const std::atomic<bool>* stop, const Progress* progress)
      : stops_{stop, nullptr}, progress_(progress) {}

  // The same work, which ends when `stop` becomes true, too. Of one that has no such second flag.
  WorkControl OrWhen(const std::atomic<bool>& stop) const {
    WorkControl both = *this;
    both.stops_[1] = &stop;
    return both;
  }
  // The same work, whose progress somebody else is told.
  WorkControl Following(const Progress* progress) const {
    WorkControl followed = *this;
    followed.progress_ = progress;
    return followed;
  }
  // For a piece of this work, from one share of it to another.
  WorkControl Part(double from, double to) const {
    WorkControl part = *this;
    part.from_ = from_ + from * (to_ - from_);
    part.to_ = from_ + to * (to_ - from_);
    return part;
  }

  bool stopped() const {
    for (const std::atomic<bool>* stop : stops_) {
      if (stop != nullptr && stop->load(std::memory_order_relaxed)) return true;
    }
    return false;
  }
  // Cancelled when it is to end.
  absl::Status Check() const {
    return stopped() ? absl::CancelledError("cancelled") : absl::OkStatus();
  }
  // That `share` of this piece is done.
  void Report(double share) const {
    if (progress_ != nullptr && *progress_) (*progress_)(from_ + share * (to_ - from_));
  }

 private:
  std::array<const std::atomic<bool>*, 2> stops_ = {nullptr, nullptr};
  const Progress* progress_ = nullptr;
  double from_ = 0;
  double to_ = 1;
};

// What is being done, and how much of it: in the stage's own unit; total 0: not known.
using StageProgress = std::function<void(std::string_view stage, uint64_t done, uint64_t total)>;

}  // namespace cairn::index

#endif  // CAIRN_INDEX_WORK_CONTROL_H_
