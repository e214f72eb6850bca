// An immutable part of a collection's index, mapped from a file.
#ifndef CAIRN_INDEX_SEGMENT_SEGMENT_H_
#define CAIRN_INDEX_SEGMENT_SEGMENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/part.h"
#include "index/segment/lexical_segment.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_segment.h"

namespace cairn::index {

// Section kMeta.
struct SegmentMeta {
  uint32_t collection = 0;
  uint32_t dim = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t slots = 0;
  uint64_t documents = 0;
  uint64_t length = 0;  // Terms of all chunks, with repetitions.
};
static_assert(sizeof(SegmentMeta) == 48);

class Segment : public Part {
 public:
  // Checks the file's hash, then its structure, against what the manifest says of it. All chunks
  // are live at first. NotFound without the file; DataLoss when it is damaged or another;
  // Cancelled when `control` says so.
  static absl::StatusOr<std::shared_ptr<Segment>> Open(const std::string& path,
                                                       CollectionId collection, size_t dim,
                                                       const SegmentRow& row,
                                                       const WorkControl& control = {});
  // For fuzzing: a file whose hash does not matter.
  static absl::StatusOr<std::shared_ptr<Segment>> FromFile(std::shared_ptr<const SectionFile> file,
                                                           CollectionId collection, size_t dim,
                                                           const SegmentRow& row);

  // Reads everything and checks that it can be true. DataLoss naming the fault.
  absl::Status Check() const;

  const SegmentRow& row() const { return row_; }
  const LexicalSegment& lexical() const { return *lexical_; }
  const VectorSegment& vectors() const { return *vectors_; }

  ChunkId end() const override { return row_.end; }
  size_t documents() const override { return first_chunks_.size(); }
  Document document(size_t i) const override {
    return {{id_bytes_.data() + id_offsets_[i], id_offsets_[i + 1] - id_offsets_[i]},
            first_chunks_[i],
            first_slots_[i],
            first_slots_[i + 1] - first_slots_[i]};
  }
  std::string_view metadata(size_t i) const override { return DistinctMetadata(metadata_of_[i]); }
  absl::Span<const uint32_t> lengths() const override { return lexical_->lengths(); }
  const PostingSource& postings() const override { return *lexical_; }
  absl::StatusOr<std::vector<ScoredSlot>> SearchVectors(
      absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor, bool exact,
      ExactVectorSource rows, const Cancellation* cancellation) const override;
  bool has_exact_vectors() const override { return true; }
  const float* ExactVector(Slot slot) const override { return vectors_->Exact(slot); }
  absl::StatusOr<SlotSet> Matching(const Filter& filter,
                                   const Cancellation* cancellation) const override;
  size_t MemoryBytes() const override;
  size_t MappedBytes() const override { return file_->size(); }

 private:
  Segment(const SegmentRow& row, std::shared_ptr<const SectionFile> file)
      : Part(row.begin), row_(row), file_(std::move(file)) {}
  absl::Status OpenSections(CollectionId collection, size_t dim);
  absl::Status OpenDocuments(const SegmentMeta& meta);
  std::string_view DistinctMetadata(size_t i) const {
    return {metadata_bytes_.data() + metadata_offsets_[i],
            metadata_offsets_[i + 1] - metadata_offsets_[i]};
  }
  // Slots, dead ones included, of documents that the filter matches.
  absl::StatusOr<SlotSet> Evaluate(const Filter& filter, const Cancellation* cancellation) const;

  const SegmentRow row_;
  const std::shared_ptr<const SectionFile> file_;
  absl::Span<const uint64_t> first_chunks_;  // [documents]
  absl::Span<const uint32_t> first_slots_;   // [documents + 1]
  absl::Span<const uint32_t> metadata_of_;   // [documents]
  absl::Span<const uint64_t> id_offsets_;    // [documents + 1]
  std::string_view id_bytes_;
  absl::Span<const uint64_t> metadata_offsets_;  // [distinct + 1]
  std::string_view metadata_bytes_;
  std::unique_ptr<LexicalSegment> lexical_;
  std::unique_ptr<VectorSegment> vectors_;

  // What recent filters match, the latest last: a segment never changes.
  mutable absl::Mutex filters_mutex_;
  mutable std::vector<std::pair<std::string, std::shared_ptr<const SlotSet>>> filters_
      ABSL_GUARDED_BY(filters_mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_SEGMENT_H_
