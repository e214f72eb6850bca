// A collection's rows, read without its in-memory index.
#ifndef CAIRN_INDEX_COLLECTION_ROWS_H_
#define CAIRN_INDEX_COLLECTION_ROWS_H_

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/filter.h"
#include "index/row_store.h"
#include "index/rows.h"

namespace cairn::index {

// A document's normalised text, from all of its chunks in order.
std::string DocumentText(const DocumentRow& row, absl::Span<const ChunkRow> chunks);

// A document with its chunks, in text order.
struct StoredDocument {
  std::string id;
  DocumentRow row;
  std::vector<ChunkRow> chunks;

  std::string Text() const { return DocumentText(row, chunks); }
};

// Some of a collection's documents, in the order of their ids.
struct DocumentRows {
  std::vector<std::pair<std::string, DocumentRow>> documents;
  std::string next_after;  // The last id that was looked at, or where the reading began.
  bool complete = false;   // There is none after it.
};

// Adds the deletion of everything a collection has, but for its name, to `batch`.
void AddDrop(CollectionId collection, RowBatch* batch);

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

  // The rows of documents by id in byte order, after `after` (as above), at most `limit`; their ids
  // beside them. With a filter those that match; looks at `max_scanned` documents at most.
  absl::StatusOr<DocumentRows> ReadDocuments(
      std::string_view after, size_t limit, const Filter* filter = nullptr,
      size_t max_scanned = std::numeric_limits<size_t>::max()) const;

  absl::StatusOr<uint64_t> CountDocuments() const;

  // Documents whose chunks are `from` or later, by ascending chunk id, with their chunks; stops
  // when their texts have `bytes`. Those without chunks are not among them. DataLoss naming the
  // document where one is not whole. Needs a snapshot, or writers kept out.
  absl::StatusOr<std::vector<StoredDocument>> ReadByChunk(ChunkId from, size_t bytes) const;

 private:
  absl::Status AddRow(StoredDocument* document, ChunkId first_chunk) const;

  const RowStore* store_;
  CollectionId collection_;
  const RowSnapshot* snapshot_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_COLLECTION_ROWS_H_
