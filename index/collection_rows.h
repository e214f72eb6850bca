// A collection's rows, read without its in-memory index.
#ifndef CAIRN_INDEX_COLLECTION_ROWS_H_
#define CAIRN_INDEX_COLLECTION_ROWS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/filter.h"
#include "index/row_store.h"
#include "index/rows.h"

namespace cairn::index {

// Reads of one collection, all of one snapshot or, without one, of the newest rows. Thread-safe.
// Store and snapshot must outlive the object.
class CollectionRows {
 public:
  CollectionRows(const RowStore* store, CollectionId collection, const RowSnapshot* snapshot)
      : store_(store), collection_(collection), snapshot_(snapshot) {}

  // NotFound without such a document.
  absl::StatusOr<DocumentRow> GetDocument(std::string_view document_id) const;

  // Rows in the order of `chunks`; ids without a row are left out of `found`.
  absl::Status GetChunks(absl::Span<const ChunkId> chunks, std::vector<ChunkId>* found,
                         std::vector<ChunkRow>* rows) const;

  // Fills out [chunks.size()][dim]; NaN where a chunk has no vector.
  absl::Status GetVectors(absl::Span<const ChunkId> chunks, absl::Span<float> out) const;

  // Ids in byte order, after `after` (exclusive; empty: from the first), at most `limit`.
  absl::StatusOr<std::vector<std::string>> ListDocuments(std::string_view after, size_t limit,
                                                         const Filter* filter) const;

 private:
  const RowStore* store_;
  CollectionId collection_;
  const RowSnapshot* snapshot_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_COLLECTION_ROWS_H_
