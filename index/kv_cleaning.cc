// What KvBlobs puts in order when a store is opened.
#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "index/kv_blobs.h"

namespace cairn::index {
namespace {

// Rows deleted in one batch.
constexpr size_t kBatchRows = 10000;

// Deletes rows as they come, in batches.
class RowDeleter {
 public:
  explicit RowDeleter(RowStore* rows) : rows_(rows) {}

  void Add(std::string_view key) { keys_.emplace_back(key); }
  // Not while rows are being scanned that are added meanwhile.
  absl::Status Finish() {
    for (size_t begin = 0; begin < keys_.size(); begin += kBatchRows) {
      RowBatch batch;
      for (size_t i = begin; i < std::min(begin + kBatchRows, keys_.size()); ++i) {
        batch.Delete(Family::kDefault, keys_[i]);
      }
      if (absl::Status s = rows_->Commit(std::move(batch)); !s.ok()) return s;
    }
    keys_.clear();
    return absl::OkStatus();
  }

 private:
  RowStore* const rows_;
  std::vector<std::string> keys_;
};

}  // namespace

void KvBlobs::Count() {
  uint64_t blobs = 0, bytes = 0;
  files_.ForEach(/*delete_temporary=*/false, [&](const KvBlobName&, uint64_t size) {
    ++blobs;
    bytes += size;
  });
  files_.SetCounts(blobs, bytes);
}

absl::Status KvBlobs::Clean(absl::Span<const CollectionId> live) {
  const absl::flat_hash_set<CollectionId> collections(live.begin(), live.end());
  absl::flat_hash_map<KvBlobName, uint64_t> files;
  uint64_t file_bytes = 0;
  files_.ForEach(/*delete_temporary=*/true, [&](const KvBlobName& name, uint64_t bytes) {
    files.emplace(name, bytes);
    file_bytes += bytes;
  });
  files_.SetCounts(files.size(), file_bytes);
  RowDeleter deleter(rows_);
  const auto scan = [&](KvRowKind kind, auto keep) {
    return rows_->Scan(Family::kDefault, KvBegin(kind), KvEnd(kind), nullptr,
                       [&](std::string_view key, std::string_view value) -> absl::Status {
                         absl::StatusOr<KvRowKey> parsed = ParseKvKey(kind, key);
                         const bool good = parsed.ok() &&
                                           collections.contains(parsed->collection) &&
                                           keep(*parsed, key, value);
                         if (!good) deleter.Add(key);
                         return absl::OkStatus();
                       });
  };
  absl::Status read;  // An error of reading is no reason to delete anything.
  std::string value;
  ChunkId known_chunk = 0;  // The last one that was looked for, and whether it is there.
  CollectionId known_collection = 0;
  bool known = false;
  const auto chunk_lives = [&](const KvRowKey& key) {
    if (key.chunk == known_chunk && key.collection == known_collection) return known;
    // Forward rows are smaller than chunks', and every chunk has one.
    const absl::Status s =
        rows_->Get(Family::kForward, ChunkKey(key.collection, key.chunk), nullptr, &value);
    if (!s.ok() && !absl::IsNotFound(s)) read.Update(s);
    known_chunk = key.chunk;
    known_collection = key.collection;
    return known = s.ok() || !absl::IsNotFound(s);
  };
  absl::flat_hash_set<KvBlobName> referenced, blobs, outlived;
  absl::Status s = scan(KvRowKind::kSecret,
                        [](const KvRowKey&, std::string_view, std::string_view) { return true; });
  if (s.ok()) {
    s = scan(KvRowKind::kChunk,
             [&](const KvRowKey& key, std::string_view bytes, std::string_view row) {
               const absl::StatusOr<KvConfigurationHash> hash = DecodeKvChunk(bytes, row);
               const bool lives = chunk_lives(key);
               if (!lives && hash.ok() && *hash == kKvSeen) outlived.insert(key.name);
               return lives;
             });
  }
  if (s.ok()) {
    s = scan(KvRowKind::kRef, [&](const KvRowKey& key, std::string_view, std::string_view) {
      const bool lives = key.chunk == 0 || chunk_lives(key);
      if (lives) referenced.insert(key.name);
      return lives;
    });
  }
  if (s.ok()) {
    s = scan(KvRowKind::kBlob,
             [&](const KvRowKey& key, std::string_view bytes, std::string_view row_bytes) {
               const absl::StatusOr<KvBlobRow> row = DecodeKvBlob(bytes, row_bytes);
               const auto file = files.find(key.name);
               const bool good = row.ok() && file != files.end() && file->second == row->bytes &&
                                 referenced.contains(key.name);
               damaged_at_opening_ += !good && referenced.contains(key.name);
               if (!good || outlived.contains(key.name)) return false;
               blobs.insert(key.name);
               return good;
             });
  }
  // References to what is no blob go as well.
  if (s.ok()) {
    s = scan(KvRowKind::kRef, [&](const KvRowKey& key, std::string_view, std::string_view) {
      return blobs.contains(key.name);
    });
  }
  if (s.ok()) {
    s = scan(KvRowKind::kChunk, [&](const KvRowKey& key, std::string_view, std::string_view) {
      return blobs.contains(key.name) && chunk_lives(key);
    });
  }
  if (s.ok()) s = read;
  if (s.ok()) s = deleter.Finish();
  if (!s.ok()) return s;
  for (const auto& [name, bytes] : files) {
    if (!blobs.contains(name)) files_.Remove(name);
  }
  return absl::OkStatus();
}

}  // namespace cairn::index
