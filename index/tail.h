// The part of an index that is in memory: chunks that no segment has yet.
#ifndef CAIRN_INDEX_TAIL_H_
#define CAIRN_INDEX_TAIL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/metadata.h"
#include "index/lexical_tail.h"
#include "index/part.h"
#include "index/row_store.h"
#include "index/term_dictionary.h"
#include "index/vector_tail.h"
#include "index/work_control.h"

namespace cairn::index {

// Grows at its end until it is full, and is then sealed into a segment. As thread-compatible as
// Part.
class Tail : public Part {
 public:
  // Answers for the chunks from `begin` on.
  Tail(ChunkId begin, size_t dim, VectorEncoding encoding);

  // Reads rows of chunks in [begin(), end) into an empty tail: whole documents, until it has
  // `max_slots` slots. Term ids of `terms` or above are damage. On return end() is where the rest,
  // if there is any, begins. DataLoss naming the row when one is damaged; Cancelled when `control`
  // says so.
  absl::Status Load(const RowStore& store, CollectionId collection, ChunkId end, size_t max_slots,
                    size_t terms, const WorkControl& control = {});

  // Adds a document; exactly row.chunk_count calls of AddChunk follow. Its chunks are later than
  // all before.
  void AddDocument(std::string_view id, const DocumentRow& row);
  // `vector` is empty for a chunk without one; else of the tail's dimension and unit length.
  absl::Status AddChunk(const ForwardRow& forward, absl::Span<const float> vector);

  // Moves the end up: later chunks belong to another part.
  void Close(ChunkId end) { end_ = end; }

  ChunkId end() const override { return end_; }
  size_t documents() const override { return documents_.size(); }
  Document document(size_t i) const override {
    const StoredDocument& d = documents_[i];
    return {d.id, d.first_chunk, d.first_slot, d.chunks};
  }
  std::string_view metadata(size_t i) const override { return documents_[i].metadata->encoded; }
  size_t SlotDocument(Slot slot) const override { return slot_documents_[slot]; }
  absl::Span<const uint32_t> lengths() const override { return lexical_.lengths(); }
  const PostingSource& postings() const override { return lexical_.postings(); }
  absl::StatusOr<std::vector<ScoredSlot>> SearchVectors(
      absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor, bool exact,
      ExactVectorSource rows, const Cancellation* cancellation) const override;
  bool has_exact_vectors() const override { return false; }
  const float* ExactVector(Slot) const override { return nullptr; }
  absl::StatusOr<SlotSet> Matching(const Filter& filter,
                                   const Cancellation* cancellation) const override;
  size_t MemoryBytes() const override;

 private:
  struct StoredMetadata {
    std::string encoded;
    chunking::Metadata decoded;
  };
  struct StoredDocument {
    std::string id;
    const StoredMetadata* metadata = nullptr;
    ChunkId first_chunk = 0;
    Slot first_slot = 0;
    uint32_t chunks = 0;
  };
  struct LoadedDocument;

  absl::StatusOr<std::vector<LoadedDocument>> ReadDocuments(const RowStore& store,
                                                            CollectionId collection,
                                                            size_t max_slots,
                                                            const WorkControl& control);
  absl::Status LoadForward(const RowStore& store, CollectionId collection, size_t terms,
                           const WorkControl& control);
  absl::Status LoadVectors(const RowStore& store, CollectionId collection,
                           const WorkControl& control);
  const StoredMetadata* Intern(const chunking::Metadata& metadata);

  ChunkId end_;
  std::deque<StoredDocument> documents_;
  // Equal metadata is kept once. Values do not move.
  absl::flat_hash_map<std::string_view, std::unique_ptr<StoredMetadata>, StringViewHash,
                      std::equal_to<>>
      metadata_;
  size_t document_bytes_ = 0;
  std::vector<uint32_t> slot_documents_;
  LexicalTail lexical_;
  VectorTail vectors_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_TAIL_H_
