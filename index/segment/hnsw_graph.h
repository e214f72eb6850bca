// An HNSW graph in a mapped file.
#ifndef CAIRN_INDEX_SEGMENT_HNSW_GRAPH_H_
#define CAIRN_INDEX_SEGMENT_HNSW_GRAPH_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/segment/hnsw_walk.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_meta.h"
#include "index/slot_set.h"

namespace cairn::index {

// Reads sections of a file that it does not own. Whatever the links say, no walk leaves the
// sections, and each ends. Immutable, thread-safe.
class HnswGraph {
 public:
  // DataLoss where sizes do not fit.
  static absl::StatusOr<HnswGraph> Open(const SectionFile& file, const VectorMeta& meta);

  // Goes down to level 0, to about the nearest node on each level, and from there on keeps the `ef`
  // nearest of level 0 in *walk.
  void Search(const WalkTarget& target, size_t ef, Walk* walk) const;

  // Reads the whole graph: links in range and between nodes of `present`, levels that agree.
  absl::Status Check(const SlotSet& present) const;

 private:
  // Words of a row of the upper levels, before its links.
  static constexpr size_t kNode = 0;
  static constexpr size_t kDown = 1;
  static constexpr size_t kHeader = 2;

  const uint32_t* UpperRow(uint32_t row) const { return &upper_[row * (kHeader + links_)]; }
  uint32_t GoNearer(const WalkTarget& target, uint32_t row) const;
  absl::Status CheckLevel(size_t level, const SlotSet& present) const;

  LinkRows level0_;
  LinkRows upper_links_;  // Nodes are rows of upper_.
  size_t links_ = 0;
  uint32_t entry_ = 0;
  absl::Span<const uint32_t> level0_links_;   // [slots][2 * links_]
  absl::Span<const uint32_t> upper_offsets_;  // [levels + 1]
  absl::Span<const uint32_t> upper_;          // [rows][kHeader + links_]
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_HNSW_GRAPH_H_
