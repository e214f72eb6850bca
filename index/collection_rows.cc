#include "index/collection_rows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/kv_rows.h"
#include "index/row_codec.h"

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

void AddDrop(CollectionId collection, RowBatch* batch) {
  batch->Delete(Family::kDefault, ManifestKey(collection));
  batch->Delete(Family::kDefault, TermCountKey(collection));
  batch->Delete(Family::kDefault, NotesKey(collection));
  for (Family f : {Family::kDocuments, Family::kChunks, Family::kVectors, Family::kTerms,
                   Family::kForward, Family::kTombstones}) {
    batch->DeleteRange(f, CollectionPrefix(collection), CollectionEnd(collection));
  }
  for (KvRowKind k : {KvRowKind::kSecret, KvRowKind::kBlob, KvRowKind::kRef, KvRowKind::kChunk}) {
    batch->DeleteRange(Family::kDefault, KvBegin(k, collection), KvEnd(k, collection));
  }
}

std::string DocumentText(const DocumentRow& row, absl::Span<const ChunkRow> chunks) {
  std::string text;
  text.reserve(row.text_bytes);
  for (const ChunkRow& c : chunks) {
    text += c.gap;
    // A chunk may repeat the end of its predecessor.
    text.resize(std::min(text.size(), c.span.begin));
    text += c.text;
  }
  return text + row.trailing;
}

absl::StatusOr<DocumentRows> CollectionRows::ReadDocuments(std::string_view after, size_t limit,
                                                           const Filter* filter,
                                                           size_t max_scanned) const {
  DocumentRows read;
  read.next_after = after;
  std::string begin = DocumentKey(collection_, after);
  if (!after.empty()) begin.push_back('\0');
  size_t scanned = 0;
  const absl::Status enough = absl::CancelledError();
  absl::Status s = store_->Scan(
      Family::kDocuments, begin, CollectionEnd(collection_), snapshot_,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        // Only a further document tells that there are more.
        if (read.documents.size() >= limit || scanned >= max_scanned) return enough;
        std::string id(key.substr(CollectionPrefix(collection_).size()));
        absl::StatusOr<DocumentRow> row = DecodeDocument(key, value);
        if (!row.ok()) {
          return absl::Status(row.status().code(),
                              absl::StrCat("document ", id, ": ", row.status().message()));
        }
        ++scanned;
        read.next_after = id;
        if (filter == nullptr || filter->Matches(row->metadata)) {
          read.documents.emplace_back(std::move(id), *std::move(row));
        }
        return absl::OkStatus();
      });
  if (!s.ok() && s != enough) return s;
  read.complete = s.ok();
  return read;
}

absl::StatusOr<uint64_t> CollectionRows::CountDocuments() const {
  uint64_t count = 0;
  absl::Status s =
      store_->Scan(Family::kDocuments, CollectionPrefix(collection_), CollectionEnd(collection_),
                   snapshot_, [&](std::string_view, std::string_view) {
                     ++count;
                     return absl::OkStatus();
                   });
  if (!s.ok()) return s;
  return count;
}

absl::Status CollectionRows::AddRow(StoredDocument* document, ChunkId first_chunk) const {
  absl::StatusOr<DocumentRow> row = GetDocument(document->id);
  if (!row.ok() && !absl::IsNotFound(row.status())) return row.status();
  if (!row.ok() || row->first_chunk != first_chunk || row->chunk_count != document->chunks.size()) {
    return absl::DataLossError(
        absl::StrCat("document ", document->id, " is not whole (cairn verify lists all damage)"));
  }
  document->row = *std::move(row);
  if (Hash128(document->Text()) == document->row.text_hash) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("document ", document->id, ": its chunks do not spell its text"));
}

absl::StatusOr<std::vector<StoredDocument>> CollectionRows::ReadByChunk(ChunkId from,
                                                                        size_t bytes) const {
  std::vector<StoredDocument> documents;
  ChunkId first_chunk = 0;  // Of the last one.
  size_t read = 0;
  const absl::Status enough = absl::CancelledError();
  absl::Status s = store_->Scan(
      Family::kChunks, ChunkKey(collection_, from), CollectionEnd(collection_), snapshot_,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
        if (!chunk.ok()) return chunk.status();
        absl::StatusOr<ChunkRow> row = DecodeChunk(key, value);
        if (!row.ok()) {
          return absl::Status(row.status().code(),
                              absl::StrCat("chunk ", *chunk, ": ", row.status().message()));
        }
        if (documents.empty() || row->document_id != documents.back().id) {
          if (read >= bytes && !documents.empty()) return enough;
          if (!documents.empty()) {
            if (absl::Status added = AddRow(&documents.back(), first_chunk); !added.ok()) {
              return added;
            }
          }
          documents.emplace_back().id = row->document_id;
          first_chunk = *chunk;
        }
        read += row->text.size();
        documents.back().chunks.push_back(*std::move(row));
        return absl::OkStatus();
      });
  if (!s.ok() && s != enough) return s;
  if (!documents.empty()) {
    if (s = AddRow(&documents.back(), first_chunk); !s.ok()) return s;
  }
  return documents;
}

}  // namespace cairn::index
