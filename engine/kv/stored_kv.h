// A stored blob of keys and values, in memory or on its way there.
#ifndef CAIRN_ENGINE_KV_STORED_KV_H_
#define CAIRN_ENGINE_KV_STORED_KV_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/kv/chunk_kv.h"
#include "engine/kv/kv_blob.h"
#include "engine/kv/kv_identity.h"
#include "index/kv_blob_files.h"

namespace cairn::engine {

// Layers come in order, and stay. Thread-safe, but for LoadNext and Publish, which one thread at a
// time calls.
class StoredKv : public ChunkKv {
 public:
  // Of a blob whose layers are there.
  StoredKv(const KvKey& key, KvMetadata metadata, std::vector<AlignedBytes> layers, double seconds);
  // Of a file whose layers are to be loaded. DataLoss when its metadata and extents are not those
  // of keys and values.
  static absl::StatusOr<std::shared_ptr<StoredKv>> FromFile(const KvKey& key,
                                                            std::unique_ptr<index::KvBlobFile> file,
                                                            double seconds);

  const KvShape& shape() const override { return metadata_.shape; }
  size_t tokens() const override { return metadata_.tokens; }
  const ChunkAttention* attention() const override {
    return metadata_.attention.has_value() ? &*metadata_.attention : nullptr;
  }
  uint32_t first_position() const override { return metadata_.first_position; }
  uint64_t bytes() const override { return metadata_.shape.layers * metadata_.layer_bytes(); }
  absl::Status Read(size_t layer, size_t first, size_t count, float* keys,
                    float* values) const override;

  const KvKey& key() const { return key_; }
  double seconds() const { return seconds_; }
  bool loaded() const { return ready_.load(std::memory_order_acquire) == layers_.size(); }

  // Whether somebody waits for it, or will.
  bool wanted() const { return wanted_.load(std::memory_order_relaxed); }
  void Want() { wanted_.store(true, std::memory_order_relaxed); }

  // Reads the next layer, which Publish then lets be seen. There is one.
  absl::Status LoadNext();
  bool last_is_next() const { return ready_.load(std::memory_order_relaxed) + 1 == layers_.size(); }
  void Publish();
  // Reads all layers, and keeps none. Of one that is not being loaded.
  absl::Status CheckAll() const;
  // No more layers come: whoever waits for one gets `why`.
  void Fail(const absl::Status& why);

 private:
  bool IsReady(size_t layer) const { return ready_.load(std::memory_order_acquire) > layer; }

  const KvKey key_;
  const KvMetadata metadata_;
  const double seconds_;
  std::unique_ptr<index::KvBlobFile> file_;  // While layers are missing.
  // Those below ready_ are never written again.
  std::vector<AlignedBytes> layers_;
  std::atomic<bool> wanted_{false};
  // Written under the mutex, so that whoever waits is woken.
  std::atomic<size_t> ready_{0};
  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_STORED_KV_H_
