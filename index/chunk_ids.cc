#include "index/chunk_ids.h"

#include <algorithm>
#include <string>

namespace cairn::index {
namespace {

constexpr uint64_t kBlock = 4096;

}  // namespace

ChunkIds::ChunkIds(RowStore* store, const CountersRow& counters)
    : store_(store), saved_(counters), next_(counters.next_chunk) {}

absl::Status ChunkIds::Save() {
  RowBatch batch;
  batch.Put(Family::kDefault, CountersKey(), Encode(CountersKey(), saved_));
  return store_->Commit(std::move(batch));
}

absl::StatusOr<ChunkId> ChunkIds::Take(uint64_t count) {
  absl::MutexLock lock(&mutex_);
  if (saved_.next_chunk - next_ < count) {
    const CountersRow before = saved_;
    saved_.next_chunk = next_ + std::max(count, kBlock);
    if (absl::Status s = Save(); !s.ok()) {
      saved_ = before;
      return s;
    }
  }
  const ChunkId first = next_;
  next_ += count;
  return first;
}

absl::StatusOr<CollectionId> ChunkIds::TakeCollection() {
  absl::MutexLock lock(&mutex_);
  const CollectionId id = saved_.next_collection;
  if (id == ~CollectionId{0}) return absl::ResourceExhaustedError("no collection ids are left");
  ++saved_.next_collection;
  if (absl::Status s = Save(); !s.ok()) {
    --saved_.next_collection;
    return s;
  }
  return id;
}

}  // namespace cairn::index
