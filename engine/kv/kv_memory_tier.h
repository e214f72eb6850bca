// Keys and values of chunks kept in memory.
#ifndef CAIRN_ENGINE_KV_KV_MEMORY_TIER_H_
#define CAIRN_ENGINE_KV_KV_MEMORY_TIER_H_

#include <cstdint>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/kv/stored_kv.h"
#include "index/kv_blob_files.h"

namespace cairn::engine {

// Blobs by name, of at most so many bytes together; the least worth go first (kv_eviction.h). What
// is evicted lives on for as long as somebody has it. Thread-safe.
class KvMemoryTier {
 public:
  KvMemoryTier(uint64_t bytes, absl::Duration half_life) : budget_(bytes), half_life_(half_life) {}

  // Null where it is not there. Counts as a use.
  std::shared_ptr<StoredKv> Find(const index::KvBlobName& name, int64_t now_ms);
  // The same, which is no use.
  std::shared_ptr<StoredKv> Peek(const index::KvBlobName& name) const;
  bool Contains(const index::KvBlobName& name) const { return Peek(name) != nullptr; }
  // Counts as a use, too; in place of one of the name. Nothing happens when it is larger than the
  // budget.
  void Insert(std::shared_ptr<StoredKv> kv, int64_t now_ms);
  void Erase(const index::KvBlobName& name);

  uint64_t budget() const { return budget_; }
  struct Counts {
    uint64_t blobs = 0;
    uint64_t bytes = 0;
    uint64_t evictions = 0;
  };
  Counts counts() const;

 private:
  using Order = std::tuple<double, uint64_t>;  // Priority; ties by age.
  struct Entry {
    std::shared_ptr<StoredKv> kv;
    double uses = 0;
    int64_t last_use_ms = 0;
    Order order;
  };
  using Entries = absl::flat_hash_map<index::KvBlobName, Entry>;

  void Use(const index::KvBlobName& name, Entry* entry, int64_t now_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<StoredKv> Take(Entries::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t budget_;
  const absl::Duration half_life_;
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<Order, index::KvBlobName>> by_priority_ ABSL_GUARDED_BY(mutex_);
  double inflation_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t clock_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t evictions_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_MEMORY_TIER_H_
