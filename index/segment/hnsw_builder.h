// Builds an HNSW graph over encoded rows.
#ifndef CAIRN_INDEX_SEGMENT_HNSW_BUILDER_H_
#define CAIRN_INDEX_SEGMENT_HNSW_BUILDER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "index/encoded_rows.h"
#include "index/segment/section_file.h"
#include "index/slot_set.h"
#include "index/work_control.h"

namespace cairn::index {

// Hierarchical Navigable Small World graphs (Malkov and Yashunin, arXiv 1603.09320) of rows of unit
// length under the inner product, with the paper's heuristic for diverse neighbours. faiss::HNSW
// draws the levels and holds the links; the insertion is ours, for FAISS's scores rows one by one.
//
// One thread; the same rows and options give the same graph. Not thread-safe.
class HnswBuilder {
 public:
  // `rows`, in one piece and fewer than 2^31, must outlive the builder. `links` in [2, 128]: of a
  // row above level 0, half those of level 0. `ef_construction`: nearest nodes that an insertion
  // looks for, at least `links`.
  HnswBuilder(const EncodedRowsView& rows, int links, int ef_construction);
  ~HnswBuilder();
  HnswBuilder(const HnswBuilder&) = delete;
  HnswBuilder& operator=(const HnswBuilder&) = delete;

  // Inserts the `present` slots (size rows.size()); once. Cancelled soon after *cancel is true.
  absl::Status Build(const SlotSet& present, const WorkControl& control);

  // Levels above level 0, and where searches start: a row of Section::kGraphUpper, or a slot where
  // there is only level 0.
  uint32_t levels() const;
  uint32_t entry() const;
  // Writes the three graph sections of docs/formats/segment-vectors.md.
  void Write(SectionWriter* out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_HNSW_BUILDER_H_
