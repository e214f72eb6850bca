#include "engine/collection_settings.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/preparation.h"

namespace cairn::engine {
namespace {

// A setting given for a collection that exists already must be the one it has.
template <typename T>
absl::Status Agree(const std::string& collection, const char* what, const std::optional<T>& asked,
                   const T& stored) {
  if (!asked.has_value() || *asked == stored) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("collection ", collection, " was created with ",
                                                    what, " ", stored, ", not ", *asked,
                                                    ": leave it out, or name another collection"));
}

absl::StatusOr<index::VectorIndexKind> ParseVectorIndex(const std::string& name) {
  for (const index::VectorIndexKind kind :
       {index::VectorIndexKind::kFlat, index::VectorIndexKind::kHnsw,
        index::VectorIndexKind::kIvfPq}) {
    if (index::VectorIndexKindName(kind) == name) return kind;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no vector index \"", name, "\": there are hnsw, flat and ivf-pq"));
}

absl::StatusOr<index::VectorEncoding> ParseVectorEncoding(const std::string& name) {
  for (const index::VectorEncoding encoding :
       {index::VectorEncoding::kFloat32, index::VectorEncoding::kBfloat16,
        index::VectorEncoding::kInt8}) {
    if (index::VectorEncodingName(encoding) == name) return encoding;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no vector encoding \"", name, "\": there are int8, bfloat16 and float32"));
}

}  // namespace

absl::StatusOr<index::CollectionSettings> NewSettings(const CollectionOptions& options,
                                                      const Embedder& embedder) {
  index::CollectionSettings s;
  s.chunker = options.chunker.value_or(s.chunker);
  // A chunk that the model reads whole, with room for title and headings.
  const size_t most = embedder.max_tokens();
  if (most > 0) s.chunk_tokens = std::min(s.chunk_tokens, static_cast<uint32_t>(most - most / 8));
  s.chunk_tokens = options.chunk_tokens.value_or(s.chunk_tokens);
  s.overlap_tokens = options.overlap_tokens.value_or(s.overlap_tokens);
  s.analyzer = options.analyzer.value_or(s.analyzer);
  s.embedder_fingerprint = embedder.fingerprint();
  s.dim = static_cast<uint32_t>(embedder.dim());
  if (options.vector_index.has_value()) {
    absl::StatusOr<index::VectorIndexKind> kind = ParseVectorIndex(*options.vector_index);
    if (!kind.ok()) return kind.status();
    s.vector_index = *kind;
  }
  if (options.vector_encoding.has_value()) {
    absl::StatusOr<index::VectorEncoding> encoding = ParseVectorEncoding(*options.vector_encoding);
    if (!encoding.ok()) return encoding.status();
    s.vector_encoding = *encoding;
  }
  const absl::Status usable = Preparation::Create(s, &embedder).status();
  if (!usable.ok()) return usable;
  return s;
}

absl::Status CheckSettings(const std::string& collection, const CollectionOptions& asked,
                           const index::CollectionSettings& s, const Embedder& embedder) {
  absl::Status agreed = Agree(collection, "chunker", asked.chunker, s.chunker);
  if (agreed.ok()) {
    agreed = Agree(collection, "chunk size", asked.chunk_tokens, s.chunk_tokens);
  }
  if (agreed.ok()) {
    agreed = Agree(collection, "overlap", asked.overlap_tokens, s.overlap_tokens);
  }
  if (agreed.ok()) agreed = Agree(collection, "analyser", asked.analyzer, s.analyzer);
  if (agreed.ok()) {
    agreed = Agree(collection, "vector index", asked.vector_index,
                   std::string(index::VectorIndexKindName(s.vector_index)));
  }
  if (agreed.ok()) {
    agreed = Agree(collection, "vector encoding", asked.vector_encoding,
                   std::string(index::VectorEncodingName(s.vector_encoding)));
  }
  if (!agreed.ok()) return agreed;
  if (embedder.fingerprint() != s.embedder_fingerprint) {
    return absl::FailedPreconditionError(absl::StrCat(
        "collection ", collection, " was embedded with another model (", s.embedder_fingerprint,
        ", ", s.dim, " dimensions; not ", embedder.fingerprint(), ", ", embedder.dim(),
        "): open the store with that one, or move the collection to this one ",
        "with cairn reembed"));
  }
  return absl::OkStatus();
}

}  // namespace cairn::engine
