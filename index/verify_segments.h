// Checks a collection's segments against its rows.
#ifndef CAIRN_INDEX_VERIFY_SEGMENTS_H_
#define CAIRN_INDEX_VERIFY_SEGMENTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/row_store.h"
#include "index/rows.h"
#include "index/segment/segment.h"
#include "index/segment/segment_files.h"
#include "index/work_control.h"

namespace cairn::index {

// What the rows say of a document that a segment must repeat.
struct SegmentDocument {
  std::string id;
  ChunkId first_chunk = 0;
  uint32_t chunks = 0;
  std::string metadata_hash;  // Hash128 of EncodeMetadata
};

// A segment that a manifest names, or why it cannot be used.
using OpenedSegment = absl::StatusOr<std::shared_ptr<Segment>>;

// Opens every segment that the collection's manifest names, which checks its size and hash. Once
// open, they may be replaced: they stay what they are. Stops early when `control` says so.
std::vector<OpenedSegment> OpenSegments(const RowStore& store, const RowSnapshot& snapshot,
                                        const SegmentFiles& files, const CollectionRow& collection,
                                        const WorkControl& control);

// Reports those that cannot be used; reads the others through and compares them with the rows of
// `snapshot`, if `deep`: every live chunk of its range is there, with its document, terms, length
// and vector, and every other chunk has a tombstone. `documents` ascend by first chunk. Stops early
// when `control` says so; what was reported then may be wrong.
void VerifySegments(const RowStore& store, const RowSnapshot& snapshot,
                    const CollectionRow& collection, absl::Span<const OpenedSegment> segments,
                    bool deep, const WorkControl& control,
                    absl::Span<const SegmentDocument> documents,
                    absl::FunctionRef<void(const std::string&)> on_problem);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_VERIFY_SEGMENTS_H_
