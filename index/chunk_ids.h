// Chunk ids: one ascending sequence for the whole store, never reused.
#ifndef CAIRN_INDEX_CHUNK_IDS_H_
#define CAIRN_INDEX_CHUNK_IDS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/row_store.h"
#include "index/rows.h"

namespace cairn::index {

// Hands out ids from blocks it reserves durably beforehand, so that collections can write beside
// each other and a crash loses at most the rest of a block. Thread-safe.
class ChunkIds {
 public:
  // `counters` is what the store holds. The store must outlive the object.
  ChunkIds(RowStore* store, const CountersRow& counters);

  // The first of `count` consecutive ids.
  absl::StatusOr<ChunkId> Take(uint64_t count);
  absl::StatusOr<CollectionId> TakeCollection();

 private:
  absl::Status Save() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  RowStore* const store_;
  absl::Mutex mutex_;
  CountersRow saved_ ABSL_GUARDED_BY(mutex_);  // Ids below saved_.next_chunk are reserved.
  ChunkId next_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_CHUNK_IDS_H_
