// Builds a segment from other parts: sealing a tail, merging segments, dropping what is dead.
#ifndef CAIRN_INDEX_SEGMENT_SEGMENT_BUILDER_H_
#define CAIRN_INDEX_SEGMENT_SEGMENT_BUILDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/part.h"
#include "index/row_store.h"
#include "index/segment/rate_limiter.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_writer.h"
#include "index/work_control.h"

namespace cairn::index {

struct SegmentBuildInput {
  std::shared_ptr<const Part> part;
  SlotSet live;  // Which of its chunks to take, as they were at one moment.
};

struct SegmentBuildOptions {
  VectorIndexOptions vectors;
  RateLimiter* limiter = nullptr;
};

// Writes a segment of the inputs' chunks (inputs in ascending order of their ranges) to `path`,
// synced; its row, but for the file's number. Vectors that a part does not have in full come from
// the rows of `store`, as of `snapshot`; without one the rows must not change. The parts may lose
// chunks meanwhile. Cancelled when `control` says so; nothing is left then, as after any error.
absl::StatusOr<SegmentRow> BuildSegment(const std::string& path, CollectionId collection,
                                        size_t dim, absl::Span<const SegmentBuildInput> inputs,
                                        const RowStore& store, const RowSnapshot* snapshot,
                                        const SegmentBuildOptions& options,
                                        const WorkControl& control);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_SEGMENT_BUILDER_H_
