// Chunk KV caches in memory and on disk.
#ifndef CAIRN_ENGINE_KV_KV_STORE_H_
#define CAIRN_ENGINE_KV_KV_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/kv/chunk_kv.h"
#include "engine/kv/kv_blob.h"
#include "engine/kv/kv_identity.h"

namespace cairn::index {
class Store;
}  // namespace cairn::index

namespace cairn::engine {

struct KvStoreOptions {
  uint64_t memory_bytes = uint64_t{1} << 30;
  uint64_t disk_bytes = uint64_t{16} << 30;
  // Read from disk, each a layer at a time. At least 1.
  size_t loader_threads = 2;
  // After it a use counts half (kv_eviction.h).
  absl::Duration half_life = absl::Hours(24);
  // How long uses are kept in memory before they are written; a crash forgets them.
  absl::Duration flush_interval = absl::Seconds(30);
  std::function<absl::Time()> now;  // Empty: the system's clock.
  // Told of bad blobs, and of what could not be written; empty: nobody is. Called on any thread.
  std::function<void(const std::string& problem)> on_problem;
};

// Who a blob is for.
struct KvOwner {
  // The blob goes when all its chunks are gone. 0: no chunk's (a preface's); it goes with its
  // collection.
  uint64_t chunk = 0;
  KvConfigurationId configuration{};
  std::string model;                // Fingerprint, for whoever lists blobs.
  std::vector<uint64_t> seen = {};  // Chunks; the blob goes when one of them does.
};

struct KvTierStats {
  uint64_t blobs = 0;
  uint64_t bytes = 0;
  uint64_t evictions = 0;
};

// Of one collection: nobody learns from them what others ask for.
struct KvCollectionStats {
  uint64_t memory_hits = 0;
  uint64_t disk_hits = 0;
  uint64_t misses = 0;
  uint64_t bytes_loaded = 0;  // From disk.
  uint64_t bad_blobs = 0;
};

struct KvStoreStats {
  KvTierStats memory;
  KvTierStats disk;
};

struct KvVerifyReport {
  uint64_t blobs = 0;
  uint64_t bytes = 0;
  uint64_t bad = 0;
};

// Keys and values of chunks by name: the blobs of a store (index/kv_blobs.h), and above them copies
// of some in memory. The store decides what there is: a chunk that is deleted takes its blobs
// along. What does not fit the budget of the disk is not kept; what is in memory is on disk too.
//
// Thread-safe. Handles stay good when their blob is evicted or deleted, but not beyond the
// KvStore's life unless they are wholly loaded; one that is not fails then with Cancelled.
// The store must outlive the object, and have at most one.
class KvStore {
 public:
  static absl::StatusOr<std::unique_ptr<KvStore>> Open(index::Store* store,
                                                       const KvStoreOptions& options);
  // Ends loading; writes what uses are not yet written.
  ~KvStore();
  KvStore(const KvStore&) = delete;
  KvStore& operator=(const KvStore&) = delete;

  // The names of a collection's blobs. Its secret is made at the first call. NotFound without the
  // collection.
  absl::StatusOr<KvIdentity> Identity(uint32_t collection);

  // Stores a blob, durably, and evicts others for it; in place of one of the same name. One that is
  // larger than the budget is let go of: no error. ResourceExhausted (disk full), NotFound (chunk
  // or collection is gone), InvalidArgument (not what its metadata says), FailedPrecondition (a
  // store opened read-only), Unavailable: nothing is stored then, and all else is as it was.
  absl::Status Put(const KvKey& key, const KvOwner& owner, KvBlob blob);
  // Makes a blob that there is another chunk's too. False where there is none, or not a good one.
  absl::StatusOr<bool> AddOwner(const KvKey& key, const KvOwner& owner);

  // The blob; null where there is none: it is to be computed then. Counts as a use. One that is on
  // disk is loaded from now on, layer by layer in order; Read of the handle waits for its layer.
  // Where Read answers DataLoss the blob has been dropped by then.
  std::shared_ptr<const ChunkKv> Find(const KvKey& key);
  // Begins to load what is on disk and would have room in memory; is no use, no hit and no miss.
  void Prefetch(absl::Span<const KvKey> keys);
  bool Contains(const KvKey& key) const;
  // The attention that the blob's tokens paid, for Cache-Craft's rules. None where there is no such
  // blob, not a good one, or none is known of it. Is no use of it.
  std::optional<ChunkAttention> AttentionOf(const KvKey& key);

  // The chunk's blobs of a configuration, in no order: with KvSource::kPrompt there may be several.
  absl::StatusOr<std::vector<KvKey>> OfChunk(uint32_t collection, uint64_t chunk,
                                             const KvConfigurationId& configuration) const;

  // Deletes the least worth, on disk as in memory, until `bytes` are free of what was used; how
  // many bytes were deleted.
  absl::StatusOr<uint64_t> Evict(uint64_t bytes = std::numeric_limits<uint64_t>::max());
  // Reads every blob. `drop`: bad ones are deleted, as Find does.
  absl::StatusOr<KvVerifyReport> Verify(
      bool drop, absl::FunctionRef<void(const std::string& problem)> on_problem);
  // Writes the uses that are not written yet.
  absl::Status Flush();

  KvStoreStats Stats() const;
  KvCollectionStats Stats(uint32_t collection) const;

 private:
  class Impl;
  explicit KvStore(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_STORE_H_
