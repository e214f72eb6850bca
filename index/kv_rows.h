// Rows about KV blobs: which there are, and for which chunks (docs/formats/kv-blob.md, "Rows").
#ifndef CAIRN_INDEX_KV_ROWS_H_
#define CAIRN_INDEX_KV_ROWS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/kv_blob_files.h"
#include "index/rows.h"

namespace cairn::index {

// What the names of a collection's blobs are keyed with.
using KvSecret = std::array<uint8_t, 32>;
// A hash of how a blob was computed, of which this folder knows nothing.
using KvConfigurationHash = std::array<uint8_t, 32>;
// In place of one in a chunk's row: the blob is another chunk's, and has seen this one.
inline constexpr KvConfigurationHash kKvSeen{};

struct KvBlobRow {
  uint64_t bytes = 0;  // Of its file.
  uint32_t tokens = 0;
  uint8_t encoding = 0;
  std::string model;
  double seconds = 0;       // To compute it.
  double uses = 0;          // Each counts the less the longer it is ago, up to last_use_ms.
  int64_t last_use_ms = 0;  // Unix milliseconds.
  double priority = 0;      // The least are evicted first.
  friend bool operator==(const KvBlobRow&, const KvBlobRow&) = default;
};

// Keys. Chunk 0 is no chunk.
std::string KvSecretKey(CollectionId collection);
std::string KvBlobKey(CollectionId collection, const KvBlobName& name);
std::string KvRefKey(CollectionId collection, const KvBlobName& name, ChunkId chunk);
std::string KvChunkKey(CollectionId collection, ChunkId chunk, const KvBlobName& name);

// The kinds of rows; all of them begin with their name, a slash and the collection's id.
enum class KvRowKind { kSecret, kBlob, kRef, kChunk };
// Before every key of the kind, and after it.
std::string KvBegin(KvRowKind kind);
std::string KvEnd(KvRowKind kind);
// The same of those of a collection, whose id is below the largest 32-bit number.
std::string KvBegin(KvRowKind kind, CollectionId collection);
std::string KvEnd(KvRowKind kind, CollectionId collection);

// What a key says; what its kind does not have is zero.
struct KvRowKey {
  CollectionId collection = 0;
  KvBlobName name;
  ChunkId chunk = 0;
};
// DataLoss when the key has another shape.
absl::StatusOr<KvRowKey> ParseKvKey(KvRowKind kind, std::string_view key);

// As the other rows' (rows.h).
std::string EncodeKvSecret(std::string_view key, const KvSecret& secret);
std::string Encode(std::string_view key, const KvBlobRow& row);
std::string EncodeKvRef(std::string_view key);
std::string EncodeKvChunk(std::string_view key, const KvConfigurationHash& configuration);
absl::StatusOr<KvSecret> DecodeKvSecret(std::string_view key, std::string_view bytes);
absl::StatusOr<KvBlobRow> DecodeKvBlob(std::string_view key, std::string_view bytes);
absl::StatusOr<KvConfigurationHash> DecodeKvChunk(std::string_view key, std::string_view bytes);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_KV_ROWS_H_
