#include "index/collection_rows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::index {

absl::StatusOr<DocumentRow> CollectionRows::GetDocument(std::string_view document_id) const {
  const std::string key = DocumentKey(collection_, document_id);
  std::string value;
  absl::Status s = store_->Get(Family::kDocuments, key, snapshot_, &value);
  if (absl::IsNotFound(s)) {
    return absl::NotFoundError(absl::StrCat("no document \"", std::string(document_id), "\""));
  }
  if (!s.ok()) return s;
  return DecodeDocument(key, value);
}

absl::Status CollectionRows::GetChunks(absl::Span<const ChunkId> chunks,
                                       std::vector<ChunkId>* found,
                                       std::vector<ChunkRow>* rows) const {
  found->clear();
  rows->clear();
  std::vector<std::string> keys;
  keys.reserve(chunks.size());
  for (ChunkId c : chunks) keys.push_back(ChunkKey(collection_, c));
  std::vector<std::string> values;
  absl::Status s = store_->MultiGet(Family::kChunks, keys, snapshot_, &values);
  if (!s.ok()) return s;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (values[i].empty()) continue;
    absl::StatusOr<ChunkRow> row = DecodeChunk(keys[i], values[i]);
    if (!row.ok()) {
      return absl::Status(row.status().code(),
                          absl::StrCat("chunk ", chunks[i], ": ", row.status().message()));
    }
    found->push_back(chunks[i]);
    rows->push_back(*std::move(row));
  }
  return absl::OkStatus();
}

absl::Status CollectionRows::GetVectors(absl::Span<const ChunkId> chunks,
                                        absl::Span<float> out) const {
  if (chunks.empty()) return absl::OkStatus();
  const size_t dim = out.size() / chunks.size();
  std::vector<std::string> keys, values;
  keys.reserve(chunks.size());
  for (ChunkId c : chunks) keys.push_back(ChunkKey(collection_, c));
  absl::Status s = store_->MultiGet(Family::kVectors, keys, snapshot_, &values);
  if (!s.ok()) return s;
  for (size_t i = 0; i < chunks.size(); ++i) {
    const absl::Span<float> row = out.subspan(i * dim, dim);
    if (values[i].empty()) {
      std::fill(row.begin(), row.end(), std::numeric_limits<float>::quiet_NaN());
    } else if (s = DecodeVector(keys[i], values[i], row); !s.ok()) {
      return absl::Status(s.code(), absl::StrCat("vector of chunk ", chunks[i], ": ", s.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> CollectionRows::ListDocuments(std::string_view after,
                                                                       size_t limit,
                                                                       const Filter* filter) const {
  std::vector<std::string> ids;
  if (limit == 0) return ids;
  std::string begin = DocumentKey(collection_, after);
  if (!after.empty()) begin.push_back('\0');  // The smallest key greater than `after`.
  const absl::Status enough = absl::CancelledError();
  absl::Status s = store_->Scan(
      Family::kDocuments, begin, CollectionEnd(collection_), snapshot_,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        std::string id(key.substr(CollectionPrefix(collection_).size()));
        if (filter != nullptr) {
          absl::StatusOr<DocumentRow> row = DecodeDocument(key, value);
          if (!row.ok()) {
            return absl::Status(row.status().code(),
                                absl::StrCat("document ", id, ": ", row.status().message()));
          }
          if (!filter->Matches(row->metadata)) return absl::OkStatus();
        }
        ids.push_back(std::move(id));
        return ids.size() < limit ? absl::OkStatus() : enough;
      });
  if (!s.ok() && s != enough) return s;
  return ids;
}

}  // namespace cairn::index
