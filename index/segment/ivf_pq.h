// Approximate candidates from inverted lists of product-quantized vectors in a mapped file.
#ifndef CAIRN_INDEX_SEGMENT_IVF_PQ_H_
#define CAIRN_INDEX_SEGMENT_IVF_PQ_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/cancellation.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_meta.h"
#include "index/slot_set.h"
#include "kernels/top_k.h"

namespace cairn::index {

// Reads sections of a file that it does not own. Immutable, thread-safe.
class IvfPqLists {
 public:
  // DataLoss where sizes or offsets do not fit.
  static absl::StatusOr<IvfPqLists> Open(const SectionFile& file, const VectorMeta& meta);

  size_t lists() const { return offsets_.size() - 1; }

  // The `count` allowed slots (size slots of the part) of the best approximate scores, best first,
  // from the `nprobe` lists whose centroids are nearest to the query and further ones until there
  // are `least`. Ends early when `cancellation` (may be null) says so.
  std::vector<kernels::TopK::Entry> Search(absl::Span<const float> query, size_t count,
                                           size_t nprobe, size_t least, const SlotSet& allowed,
                                           const Cancellation* cancellation = nullptr) const;

  // Whether every slot of `present` is in one list, once, in order.
  absl::Status Check(const SlotSet& present) const;

 private:
  void ScanList(size_t list, float base, absl::Span<const float> table, const SlotSet& allowed,
                kernels::TopK* top, size_t* seen) const;

  size_t dim_ = 0;
  size_t code_bytes_ = 0;
  absl::Span<const float> centroids_;   // [lists][dim]
  absl::Span<const float> codebooks_;   // [code_bytes][256][dim / code_bytes]
  absl::Span<const uint32_t> offsets_;  // [lists + 1]
  absl::Span<const uint32_t> slots_;    // [count]
  absl::Span<const uint8_t> codes_;     // [count][code_bytes]
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_IVF_PQ_H_
