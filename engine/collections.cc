#include "engine/collections.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"
#include "index/filter.h"
#include "index/index_options.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxDescriptionBytes = 4096;
constexpr size_t kMaxLabels = 64;
constexpr size_t kMaxLabelNameBytes = 63;
constexpr size_t kMaxLabelValueBytes = 255;

bool IsLabelCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

absl::Status CheckText(const std::string& what, const std::string& text, size_t limit) {
  if (text.size() > limit) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " has ", text.size(), " bytes; at most ", limit));
  }
  if (!chunking::IsUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat(what, " is not valid UTF-8"));
  }
  if (chunking::Contains(text, '\0')) {
    return absl::InvalidArgumentError(absl::StrCat(what, " holds a NUL character"));
  }
  return absl::OkStatus();
}

absl::Status CheckLabelName(const std::string& name) {
  if (!name.empty() && name.size() <= kMaxLabelNameBytes &&
      std::all_of(name.begin(), name.end(), IsLabelCharacter)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("bad label name \"", absl::CHexEscape(name.substr(0, kMaxLabelNameBytes)),
                   "\": use 1 to ", kMaxLabelNameBytes, " of a-z, 0-9, \"_\", \".\" and \"-\""));
}

// What there is of a collection that is being re-embedded.
absl::StatusOr<std::optional<ReembeddingInfo>> DescribeReembedding(const index::Store& store,
                                                                   const std::string& name) {
  absl::StatusOr<index::ReembeddingRow> row = store.DescribeReembedding(name);
  if (absl::IsNotFound(row.status())) return std::nullopt;
  if (!row.ok()) return row.status();
  ReembeddingInfo info;
  info.model = row->model;
  info.embedder_fingerprint = row->collection.settings.embedder_fingerprint;
  info.dim = row->collection.settings.dim;
  absl::StatusOr<uint64_t> documents =
      index::CollectionRows(&store.rows(), row->collection.id, nullptr).CountDocuments();
  if (!documents.ok()) return documents.status();
  info.documents = *documents;
  return info;
}

DocumentSummary Summarize(std::string id, index::DocumentRow row) {
  DocumentSummary summary;
  summary.id = std::move(id);
  summary.title = std::move(row.title);
  summary.source_uri = std::move(row.source_uri);
  summary.media_type = std::move(row.media_type);
  summary.metadata = std::move(row.metadata);
  summary.text_bytes = row.text_bytes;
  summary.chunk_count = row.chunk_count;
  summary.first_chunk = row.first_chunk;
  return summary;
}

}  // namespace

absl::Status CheckNotes(const CollectionNotes& notes) {
  absl::Status s = CheckText("the description", notes.description, kMaxDescriptionBytes);
  if (!s.ok()) return s;
  if (notes.labels.size() > kMaxLabels) {
    return absl::InvalidArgumentError(
        absl::StrCat(notes.labels.size(), " labels; at most ", kMaxLabels));
  }
  for (const auto& [name, value] : notes.labels) {
    if (s = CheckLabelName(name); !s.ok()) return s;
    s = CheckText(absl::StrCat("label \"", name, "\""), value, kMaxLabelValueBytes);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

index::CollectionRemarks ToRemarks(const CollectionNotes& notes) {
  return {notes.description, notes.labels};
}

absl::StatusOr<CollectionInfo> DescribeCollection(index::Store* store, const std::string& name) {
  absl::StatusOr<std::shared_ptr<index::Collection>> found = store->Find(name);
  if (!found.ok()) return found.status();
  const index::CollectionSettings& s = (*found)->settings();
  const index::CollectionStats stats = (*found)->Stats();
  CollectionInfo c;
  c.name = name;
  c.chunker = s.chunker;
  c.chunk_tokens = s.chunk_tokens;
  c.overlap_tokens = s.overlap_tokens;
  c.analyzer = s.analyzer;
  c.embedder_fingerprint = s.embedder_fingerprint;
  c.dim = s.dim;
  c.documents = stats.documents;
  c.chunks = stats.chunks;
  c.terms = stats.terms;
  c.average_terms = stats.chunks == 0 ? 0
                                      : static_cast<double>(stats.total_length) /
                                            static_cast<double>(stats.chunks);
  c.memory_bytes = stats.memory_bytes;
  c.mapped_bytes = stats.mapped_bytes;
  c.segments = stats.segments;
  c.tail_chunks = stats.tail_chunks;
  c.dead_chunks = stats.dead_chunks;
  c.vector_index = index::VectorIndexKindName(s.vector_index);
  c.vector_encoding = index::VectorEncodingName(s.vector_encoding);
  absl::StatusOr<std::optional<ReembeddingInfo>> reembedding = DescribeReembedding(*store, name);
  if (!reembedding.ok()) return reembedding.status();
  c.reembedding = *std::move(reembedding);
  absl::StatusOr<index::NotesRow> notes = store->Notes(name);
  if (!notes.ok()) return notes.status();
  c.notes = {std::move(notes->description), std::move(notes->labels)};
  c.create_time_ms = notes->created_ms;
  c.update_time_ms = notes->changed_ms;
  return c;
}

absl::StatusOr<DocumentPage> ListDocuments(const index::CollectionRows& rows,
                                           std::string_view after, size_t limit,
                                           std::string_view filter, size_t max_scanned) {
  if (max_scanned == 0) {
    return absl::InvalidArgumentError("a list that may look at no document never ends");
  }
  std::optional<index::Filter> wanted;
  if (!filter.empty()) {
    absl::StatusOr<index::Filter> parsed = index::Filter::Parse(filter);
    if (!parsed.ok()) return parsed.status();
    wanted = *std::move(parsed);
  }
  absl::StatusOr<index::DocumentRows> read =
      rows.ReadDocuments(after, limit, wanted.has_value() ? &*wanted : nullptr, max_scanned);
  if (!read.ok()) return read.status();
  DocumentPage page;
  page.documents.reserve(read->documents.size());
  for (auto& [id, row] : read->documents) {
    page.documents.push_back(Summarize(std::move(id), std::move(row)));
  }
  page.next_after = std::move(read->next_after);
  page.complete = read->complete;
  return page;
}

}  // namespace cairn::engine
