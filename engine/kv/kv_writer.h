// Writes keys and values that answers computed, while nobody waits for it.
#ifndef CAIRN_ENGINE_KV_KV_WRITER_H_
#define CAIRN_ENGINE_KV_KV_WRITER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/kv/chunk_kv_buffer.h"
#include "engine/kv/kv_store.h"

namespace cairn::engine {

// One thread that puts one after the other into the store. Thread-safe.
class KvWriter {
 public:
  struct Item {
    KvKey key;
    KvOwner owner;
    std::shared_ptr<const ChunkKvBuffer> kv;
    double seconds = 0;   // What it cost to compute.
    size_t variants = 1;  // As many as the chunk may have; where it has them, it is let go of.
  };

  // `max_bytes` wait at most, or one: what comes while so much waits is let go of. `kv` outlives
  // this. `on_problem`, which may be empty, is told of what could not be written; for a while
  // nothing is taken then.
  KvWriter(KvStore* kv, uint64_t max_bytes, std::function<void(const std::string&)> on_problem);
  // Writes what waits.
  ~KvWriter();
  KvWriter(const KvWriter&) = delete;
  KvWriter& operator=(const KvWriter&) = delete;

  // Whether so many bytes would be taken now.
  bool HasRoom(uint64_t bytes) const;
  void Add(Item item);
  // The names of those that wait, of one chunk.
  std::vector<KvKey> Waiting(uint32_t collection, uint64_t chunk) const;

 private:
  void Run();
  bool Takes(uint64_t bytes) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status Write(const Item& item);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_ || !waiting_.empty(); }

  KvStore* const kv_;
  const uint64_t max_bytes_;
  const std::function<void(const std::string&)> on_problem_;
  mutable absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time resume_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::deque<Item> waiting_ ABSL_GUARDED_BY(mutex_);  // The first of them is being written.
  std::thread thread_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_WRITER_H_
