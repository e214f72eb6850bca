// The rows of a store and their encodings (docs/formats/store.md).
#ifndef CAIRN_INDEX_ROWS_H_
#define CAIRN_INDEX_ROWS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/document.h"
#include "chunking/metadata.h"
#include "index/lexical_tail.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_writer.h"

namespace cairn::index {

using CollectionId = uint32_t;
using ChunkId = uint64_t;

struct CountersRow {
  ChunkId next_chunk = 1;
  CollectionId next_collection = 1;
};

// What decides a collection's rows; fixed when it is created.
struct CollectionSettings {
  std::string chunker = "structure";
  uint32_t chunk_tokens = 512;
  uint32_t overlap_tokens = 0;
  std::string analyzer = "english";
  std::string embedder_fingerprint;
  uint32_t dim = 0;
  VectorIndexKind vector_index = VectorIndexKind::kHnsw;  // Of segments that are not small.
  VectorEncoding vector_encoding = VectorEncoding::kInt8;
  friend bool operator==(const CollectionSettings&, const CollectionSettings&) = default;
};

struct CollectionRow {
  CollectionId id = 0;
  CollectionSettings settings;
};

// A collection in the making that is to take another one's place.
struct ReembeddingRow {
  CollectionId source = 0;   // Of the collection as it is.
  std::string model;         // What the new vectors' model is called, for messages.
  CollectionRow collection;  // What replaces it.
};

// What its owner says of a collection. It decides nothing.
struct NotesRow {
  int64_t created_ms = 0;  // Unix milliseconds, not negative; 0: not known.
  int64_t changed_ms = 0;
  std::string description;
  std::map<std::string, std::string> labels;
  friend bool operator==(const NotesRow&, const NotesRow&) = default;
};

struct DocumentRow {
  std::string content_hash;  // 16 bytes
  std::string text_hash;     // 16 bytes
  ChunkId first_chunk = 0;   // The chunks are first_chunk .. first_chunk + chunk_count - 1.
  uint32_t chunk_count = 0;
  uint64_t text_bytes = 0;
  std::string trailing;  // Text after the last chunk.
  std::string title;
  std::string source_uri;
  std::string media_type;
  chunking::Metadata metadata;
};

struct ChunkRow {
  std::string document_id;
  uint32_t ordinal = 0;
  chunking::Span span;
  uint32_t token_count = 0;
  std::vector<std::string> headings;
  std::string gap;  // Text between the previous chunks' end and span.begin.
  std::string text;
};

struct ForwardRow {
  uint32_t length = 0;           // Terms of the chunk, with repetitions.
  std::vector<TermCount> terms;  // Ascending by term id.
};

// One segment: file `file` of its collection, with the chunks in [begin, end) that were live when
// it was built.
struct SegmentRow {
  uint64_t file = 0;
  FileDigest digest;
  ChunkId begin = 0;
  ChunkId end = 0;
  uint64_t slots = 0;
  friend bool operator==(const SegmentRow&, const SegmentRow&) = default;
};

// What a collection's segments are. Chunks that none of them covers are read into memory.
struct ManifestRow {
  uint64_t epoch = 0;                // Counts manifests.
  uint64_t next_file = 1;            // All files so far have smaller numbers.
  std::vector<SegmentRow> segments;  // Ascending, disjoint ranges.
  friend bool operator==(const ManifestRow&, const ManifestRow&) = default;
};

// Keys. External ids are used as they are: the collection id before them has a fixed length.
std::string CollectionPrefix(CollectionId collection);
// The first key after every key of the collection, whose id is below the largest 32-bit number.
std::string CollectionEnd(CollectionId collection);
std::string DocumentKey(CollectionId collection, std::string_view document_id);
std::string ChunkKey(CollectionId collection, ChunkId chunk);
std::string TermKey(CollectionId collection, std::string_view term);
std::string CollectionNameKey(std::string_view name);
// Of the re-embedding of the collection of this name.
std::string ReembeddingKey(std::string_view name);
std::string_view CountersKey();
std::string ManifestKey(CollectionId collection);
std::string NotesKey(CollectionId collection);
// The collection of a NotesKey; DataLoss when the key has another shape.
absl::StatusOr<CollectionId> CollectionOfNotesKey(std::string_view key);
// Of the number of the collection's terms, a term row.
std::string TermCountKey(CollectionId collection);
// The chunk id of a ChunkKey; DataLoss when the key has another shape.
absl::StatusOr<ChunkId> ChunkIdOfKey(std::string_view key);

// Encoders and decoders, one pair per row. Decoders accept any bytes and answer DataLoss (or
// Unimplemented, for a newer version) when they are not such a row under such a key.
std::string Encode(std::string_view key, const CountersRow& row);
std::string Encode(std::string_view key, const CollectionRow& row);
std::string Encode(std::string_view key, const ReembeddingRow& row);
std::string Encode(std::string_view key, const NotesRow& row);
std::string Encode(std::string_view key, const DocumentRow& row);
std::string Encode(std::string_view key, const ChunkRow& row);
std::string Encode(std::string_view key, const ForwardRow& row);
std::string Encode(std::string_view key, const ManifestRow& row);
std::string EncodeTerm(std::string_view key, TermId term);
std::string EncodeVector(std::string_view key, absl::Span<const float> vector);

absl::StatusOr<CountersRow> DecodeCounters(std::string_view key, std::string_view bytes);
absl::StatusOr<CollectionRow> DecodeCollection(std::string_view key, std::string_view bytes);
absl::StatusOr<ReembeddingRow> DecodeReembedding(std::string_view key, std::string_view bytes);
absl::StatusOr<NotesRow> DecodeNotes(std::string_view key, std::string_view bytes);
absl::StatusOr<DocumentRow> DecodeDocument(std::string_view key, std::string_view bytes);
absl::StatusOr<ChunkRow> DecodeChunk(std::string_view key, std::string_view bytes);
absl::StatusOr<ManifestRow> DecodeManifest(std::string_view key, std::string_view bytes);
absl::StatusOr<TermId> DecodeTerm(std::string_view key, std::string_view bytes);
// Reuses *row's memory.
absl::Status DecodeForward(std::string_view key, std::string_view bytes, ForwardRow* row);
// Fills `out` [dim]; DataLoss when the row holds another number of values or a non-finite one.
absl::Status DecodeVector(std::string_view key, std::string_view bytes, absl::Span<float> out);

// Metadata by itself, for content hashes and segments.
std::string EncodeMetadata(const chunking::Metadata& metadata);
absl::StatusOr<chunking::Metadata> DecodeMetadata(std::string_view bytes);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ROWS_H_
