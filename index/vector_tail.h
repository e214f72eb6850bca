// In-memory vectors of the chunks that no segment covers yet, searched exactly.
#ifndef CAIRN_INDEX_VECTOR_TAIL_H_
#define CAIRN_INDEX_VECTOR_TAIL_H_

#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/cancellation.h"
#include "index/lexical_tail.h"
#include "index/slot_set.h"
#include "index/vector_encoding.h"

namespace cairn::index {

// Fetches float32 vectors by slot: fills out [slots.size()][dim]. For a slot whose vector no longer
// exists it fills NaN, and the slot is left out of the result.
using ExactVectorSource =
    absl::FunctionRef<absl::Status(absl::Span<const Slot> slots, absl::Span<float> out)>;

// Vectors of unit length in a compact encoding. A search (index/vector_scan.h) scans every allowed
// slot, and re-scores from float32 every slot that the encoding's error bound leaves in doubt: the
// result is the exact top k of the float32 inner products, not an approximation.
//
// Thread-compatible: const methods may run concurrently, Append alone.
class VectorTail {
 public:
  VectorTail(size_t dim, VectorEncoding encoding);
  ~VectorTail();
  VectorTail(VectorTail&&) noexcept;
  VectorTail& operator=(VectorTail&&) noexcept;

  // Adds the next slot. InvalidArgument, adding nothing, for a wrong dimension, NaN, infinity, or a
  // norm further than 1e-3 from 1.
  absl::StatusOr<Slot> Append(absl::Span<const float> vector);
  // Adds a slot without a vector (a chunk with no known token); no search returns it.
  Slot AppendMissing();

  size_t slots() const;
  size_t dim() const;
  size_t MemoryBytes() const;

  // The k slots of `allowed` (size slots()) with the largest inner product with `query` (unit
  // length, [dim]), by score descending, then slot ascending; those that score below `floor` may be
  // left out. InvalidArgument for a bad query; the source's errors pass through; Cancelled when
  // `cancellation` (may be null) says so. With kFloat32 `exact` is not called.
  absl::StatusOr<std::vector<ScoredSlot>> Search(
      absl::Span<const float> query, size_t k, const SlotSet& allowed, ExactVectorSource exact,
      float floor = -std::numeric_limits<float>::infinity(),
      const Cancellation* cancellation = nullptr) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_VECTOR_TAIL_H_
