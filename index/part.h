// One part of a collection's index: the chunks of one range of ids, in memory or in a segment.
#ifndef CAIRN_INDEX_PART_H_
#define CAIRN_INDEX_PART_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/cancellation.h"
#include "index/filter.h"
#include "index/posting_source.h"
#include "index/rows.h"
#include "index/slot_set.h"
#include "index/vector_tail.h"

namespace cairn::index {

// A part's contents do not change once it is full; which of its chunks are live does, and is kept
// here for every kind of part. A chunk has a slot: slots are dense and ascend with the chunk ids,
// and a document's chunks have consecutive slots.
//
// Thread-compatible: const methods may run concurrently, the others alone. The contents (documents,
// postings, vectors) may be read while RemoveChunk runs.
class Part {
 public:
  struct Document {
    std::string_view id;
    ChunkId first_chunk = 0;
    Slot first_slot = 0;
    uint32_t chunks = 0;
  };

  virtual ~Part() = default;

  // The chunk ids it answers for: [begin(), end()).
  ChunkId begin() const { return begin_; }
  virtual ChunkId end() const = 0;

  // Ascending by first chunk.
  virtual size_t documents() const = 0;
  virtual Document document(size_t i) const = 0;
  // EncodeMetadata of it; points into the part.
  virtual std::string_view metadata(size_t i) const = 0;
  virtual size_t SlotDocument(Slot slot) const;
  ChunkId SlotChunk(Slot slot) const {
    const Document d = document(SlotDocument(slot));
    return d.first_chunk + (slot - d.first_slot);
  }
  std::optional<size_t> FindDocument(ChunkId first_chunk) const;
  std::optional<Slot> FindSlot(ChunkId chunk) const;

  // [slots()]: terms of each chunk, with repetitions.
  virtual absl::Span<const uint32_t> lengths() const = 0;
  virtual const PostingSource& postings() const = 0;

  // The k slots of `allowed` with the largest inner products, best first; those below `floor` may
  // be left out. `rows` is asked for vectors that the part does not have in full. Cancelled when
  // `cancellation` (may be null) says so.
  virtual absl::StatusOr<std::vector<ScoredSlot>> SearchVectors(
      absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor, bool exact,
      ExactVectorSource rows, const Cancellation* cancellation) const = 0;
  // Whether ExactVector can tell; else the vectors are in the rows alone.
  virtual bool has_exact_vectors() const = 0;
  // [dim]; null for a chunk without a vector.
  virtual const float* ExactVector(Slot slot) const = 0;

  // Live slots of documents that the filter matches. DataLoss when metadata is damaged; Cancelled
  // when `cancellation` (may be null) says so.
  virtual absl::StatusOr<SlotSet> Matching(const Filter& filter,
                                           const Cancellation* cancellation) const = 0;

  // In memory besides mapped files, and bytes of mapped files.
  virtual size_t MemoryBytes() const;
  virtual size_t MappedBytes() const { return 0; }

  size_t slots() const { return live_.size(); }
  const SlotSet& live() const { return live_; }
  uint64_t live_slots() const { return live_slots_; }
  uint64_t live_documents() const { return live_documents_; }
  uint64_t live_length() const { return live_length_; }
  // Live chunks with the term.
  uint64_t DocumentFrequency(TermId term) const;

  // Takes a chunk out. `forward` are its terms. False when it was not there, or not live.
  bool RemoveChunk(ChunkId chunk, const ForwardRow& forward);

 protected:
  explicit Part(ChunkId begin) : begin_(begin) {}
  // New slots, live; `chunks` of one document.
  void AddLive(uint32_t chunks, uint64_t length);
  void AddLiveLength(uint64_t length) { live_length_ += length; }

 private:
  const ChunkId begin_;
  SlotSet live_;
  uint64_t live_slots_ = 0;
  uint64_t live_documents_ = 0;
  uint64_t live_length_ = 0;
  absl::flat_hash_map<TermId, uint32_t> dead_frequencies_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_PART_H_
