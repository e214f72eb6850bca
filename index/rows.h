// The rows of a store and their encodings (docs/formats/store.md).
#ifndef CAIRN_INDEX_ROWS_H_
#define CAIRN_INDEX_ROWS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/document.h"
#include "chunking/metadata.h"
#include "index/lexical_tail.h"

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
  friend bool operator==(const CollectionSettings&, const CollectionSettings&) = default;
};

struct CollectionRow {
  CollectionId id = 0;
  CollectionSettings settings;
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

// Keys. External ids are used as they are: the collection id before them has a fixed length.
std::string CollectionPrefix(CollectionId collection);
// The first key after every key of the collection, whose id is below the largest 32-bit number.
std::string CollectionEnd(CollectionId collection);
std::string DocumentKey(CollectionId collection, std::string_view document_id);
std::string ChunkKey(CollectionId collection, ChunkId chunk);
std::string TermKey(CollectionId collection, std::string_view term);
std::string CollectionNameKey(std::string_view name);
std::string_view CountersKey();
// The chunk id of a ChunkKey; DataLoss when the key has another shape.
absl::StatusOr<ChunkId> ChunkIdOfKey(std::string_view key);

// Encoders and decoders, one pair per row. Decoders accept any bytes and answer DataLoss (or
// Unimplemented, for a newer version) when they are not such a row under such a key.
std::string Encode(std::string_view key, const CountersRow& row);
std::string Encode(std::string_view key, const CollectionRow& row);
std::string Encode(std::string_view key, const DocumentRow& row);
std::string Encode(std::string_view key, const ChunkRow& row);
std::string Encode(std::string_view key, const ForwardRow& row);
std::string EncodeTerm(std::string_view key, TermId term);
std::string EncodeVector(std::string_view key, absl::Span<const float> vector);

absl::StatusOr<CountersRow> DecodeCounters(std::string_view key, std::string_view bytes);
absl::StatusOr<CollectionRow> DecodeCollection(std::string_view key, std::string_view bytes);
absl::StatusOr<DocumentRow> DecodeDocument(std::string_view key, std::string_view bytes);
absl::StatusOr<ChunkRow> DecodeChunk(std::string_view key, std::string_view bytes);
absl::StatusOr<TermId> DecodeTerm(std::string_view key, std::string_view bytes);
// Reuses *row's memory.
absl::Status DecodeForward(std::string_view key, std::string_view bytes, ForwardRow* row);
// Fills `out` [dim]; DataLoss when the row holds another number of values or a non-finite one.
absl::Status DecodeVector(std::string_view key, std::string_view bytes, absl::Span<float> out);

// The encoding of metadata by itself, for content hashes.
std::string EncodeMetadata(const chunking::Metadata& metadata);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ROWS_H_
