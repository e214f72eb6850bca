// How many ingestions there may be at the same time.
#ifndef CAIRN_SERVICES_SERVER_INGEST_SLOTS_H_
#define CAIRN_SERVICES_SERVER_INGEST_SLOTS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace cairn::services {

// Thread-safe.
class IngestSlots {
 public:
  IngestSlots(size_t most, size_t most_per_tenant)
      : most_(most), most_per_tenant_(most_per_tenant) {}

  // ResourceExhausted. Each that was taken is given back once.
  absl::Status Take(std::string_view tenant) ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveBack(std::string_view tenant) ABSL_LOCKS_EXCLUDED(mutex_);
  size_t taken() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until all are given back.
  void AwaitNone() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  bool None() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return taken_ == 0; }

  const size_t most_;
  const size_t most_per_tenant_;
  mutable absl::Mutex mutex_;
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, size_t> by_tenant_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_INGEST_SLOTS_H_
