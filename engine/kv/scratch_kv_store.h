// A KV store for measurements, in a directory for temporary files.
#ifndef CAIRN_ENGINE_KV_SCRATCH_KV_STORE_H_
#define CAIRN_ENGINE_KV_SCRATCH_KV_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/chunk_kv.h"
#include "engine/kv/kv_benchmark.h"
#include "engine/kv/kv_encoding.h"
#include "engine/kv/kv_store.h"
#include "index/store.h"

namespace cairn::engine {

// With one collection; goes away with all its files. Not thread-safe.
class ScratchKvStore {
 public:
  // `memory_bytes`: of the tier in memory.
  static absl::StatusOr<std::unique_ptr<ScratchKvStore>> Create(uint64_t memory_bytes);
  ~ScratchKvStore();
  ScratchKvStore(const ScratchKvStore&) = delete;
  ScratchKvStore& operator=(const ScratchKvStore&) = delete;

  KvStore& kv() { return *kv_; }
  // Of the only collection there is.
  KvCollectionStats stats() const { return kv_->Stats(collection_); }
  // Stores a chunk's keys and values, encoded anew.
  absl::StatusOr<KvKey> Put(absl::Span<const uint32_t> tokens, const ChunkKv& kv,
                            KvEncoding encoding);
  // Has the system forget what it read of the blob's file: the next reading is from disk. Without
  // effect where the files are in memory (tmpfs).
  absl::Status DropPages(const KvKey& key) const;

 private:
  explicit ScratchKvStore(std::string directory) : directory_(std::move(directory)) {}

  const std::string directory_;
  std::unique_ptr<index::Store> store_;
  std::unique_ptr<KvStore> kv_;
  uint32_t collection_ = 0;
};

// Chunks that lie on disk, none of them in memory or in the system's cache when they are wanted.
ChunkTierMaker ColdDiskTier(KvEncoding encoding);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_SCRATCH_KV_STORE_H_
