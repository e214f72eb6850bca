// The vectors of a segment: an immutable, memory-mapped part.
#ifndef CAIRN_INDEX_SEGMENT_VECTOR_SEGMENT_H_
#define CAIRN_INDEX_SEGMENT_VECTOR_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/cancellation.h"
#include "index/lexical_tail.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_writer.h"
#include "index/slot_set.h"
#include "index/vector_encoding.h"

namespace cairn::index {

struct VectorSearchOptions {
  // HNSW: how many of the nearest nodes a walk keeps; IVF-PQ: how many are re-scored. At least k.
  // 0: chosen from k for a recall of about .99.
  size_t ef = 0;
  // Scan every allowed vector.
  bool exact = false;
  // IVF-PQ: lists to look into. 0: chosen from the number of lists.
  size_t nprobe = 0;
  // The search ends with Cancelled when it says so. May be null.
  const Cancellation* cancellation = nullptr;
};

// Reads what vector_writer.h wrote (docs/formats/segment-vectors.md). Damage that the file's hash
// did not reveal costs results, not memory safety. Immutable and thread-safe; searches borrow their
// working memory (a byte for each slot) from a pool that grows to as many as ever ran at once.
class VectorSegment {
 public:
  // DataLoss when sections are missing or do not fit `slots` and `dim`; Unimplemented for another
  // version.
  static absl::StatusOr<std::unique_ptr<VectorSegment>> Open(
      std::shared_ptr<const SectionFile> file, uint64_t slots, size_t dim);
  ~VectorSegment();
  VectorSegment(const VectorSegment&) = delete;
  VectorSegment& operator=(const VectorSegment&) = delete;

  // The k slots of `allowed` (size slots) with the largest inner product with `query` (unit length,
  // [dim]), with their exact float32 scores, by score descending, then slot ascending. Only slots
  // that score at least `floor` need be returned. InvalidArgument for a bad query.
  //
  // Flat: exactly the top k. HNSW and IVF-PQ: approximately; but exactly where a scan of the
  // allowed slots is no dearer than a walk (few are allowed, or k is a large share), when
  // options.exact, and where a walk finds too few allowed slots.
  absl::StatusOr<std::vector<ScoredSlot>> Search(absl::Span<const float> query, size_t k,
                                                 const SlotSet& allowed, float floor,
                                                 const VectorSearchOptions& options) const;

  // [dim], null for a slot without a vector. slot < slots.
  const float* Exact(Slot slot) const;

  // Reads everything: DataLoss unless codes agree with the exact vectors, links are in range, ...
  absl::Status Check() const;

  VectorIndexKind kind() const;
  VectorEncoding encoding() const;
  // Slots with a vector.
  uint64_t count() const;

 private:
  struct Impl;
  explicit VectorSegment(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_VECTOR_SEGMENT_H_
