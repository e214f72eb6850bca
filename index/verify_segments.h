// Checks a collection's segments against its rows.
#ifndef CAIRN_INDEX_VERIFY_SEGMENTS_H_
#define CAIRN_INDEX_VERIFY_SEGMENTS_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "index/row_store.h"
#include "index/rows.h"
#include "index/segment/segment_files.h"

namespace cairn::index {

// What the rows say of a document that a segment must repeat.
struct SegmentDocument {
  std::string id;
  ChunkId first_chunk = 0;
  uint32_t chunks = 0;
  std::string metadata_hash;  // Hash128 of EncodeMetadata
};

// Opens every segment that the collection's manifest names, and checks its size and hash. `deep`
// also reads it through and compares it with the rows of `snapshot`: every live chunk of its range
// is there, with its document, terms, length and vector, and every other chunk has a tombstone.
// `documents` ascend by first chunk. Returns how many segments there are.
uint64_t VerifySegments(const RowStore& store, const RowSnapshot& snapshot,
                        const SegmentFiles& files, const CollectionRow& collection, bool deep,
                        absl::Span<const SegmentDocument> documents,
                        absl::FunctionRef<void(const std::string&)> on_problem);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_VERIFY_SEGMENTS_H_
