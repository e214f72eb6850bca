// From a read document to one ready to be written: chunks, terms, vectors.
#ifndef CAIRN_ENGINE_PREPARATION_H_
#define CAIRN_ENGINE_PREPARATION_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "chunking/chunkers/chunker.h"
#include "chunking/document.h"
#include "chunking/text/analyzer.h"
#include "engine/model/embedder.h"
#include "index/cancellation.h"
#include "index/collection.h"
#include "index/rows.h"

namespace cairn::engine {

// The terms of `texts`, one after the other, in one bag.
index::TermBag AnalyzeTerms(const chunking::Analyzer& analyzer,
                            absl::Span<const std::string_view> texts);

// What a chunk is found by, besides its own text: the document's title, and those headings in force
// that the chunk does not begin with. Both searches see it in front of the text.
std::string ChunkContext(std::string_view title, absl::Span<const std::string> headings,
                         std::string_view text);
std::string ChunkContext(const chunking::Document& document, const chunking::Chunk& chunk);

// A chunk of a document that may still lack terms or its vector. Different chunks of one document
// may be worked on at the same time.
struct ChunkToEmbed {
  index::PreparedDocument* document = nullptr;
  size_t chunk = 0;
};

// The text tools of one collection. Thread-safe. The embedder must outlive it.
class Preparation {
 public:
  static absl::StatusOr<std::unique_ptr<Preparation>> Create(
      const index::CollectionSettings& settings, const Embedder* embedder);

  // Chunks and analyses; the vectors are missing. A document with a title but no text is found by
  // its title, which becomes its text. When `cancellation` (may be null) says so, chunks are left
  // without their terms: the result is of no use.
  index::PreparedDocument Cut(chunking::Document document, std::string content_hash,
                              const index::Cancellation* cancellation = nullptr) const;

  // The terms of one chunk that has its span and headings.
  void Analyze(const ChunkToEmbed& chunk) const;

  // Fills in the vectors of chunks of any documents, in one call of the model. An error is the
  // model's, and names the document.
  absl::Status Embed(absl::Span<const ChunkToEmbed> chunks) const;

  // Of a text's tokens, those that the model reads: what embedding it costs.
  size_t CutTokens(size_t tokens) const;

  // Cut and Embed. Cancelled when `cancellation` (may be null) says so.
  absl::StatusOr<index::PreparedDocument> Prepare(
      chunking::Document document, std::string content_hash,
      const index::Cancellation* cancellation = nullptr) const;

  const chunking::Analyzer& analyzer() const { return *analyzer_; }

 private:
  absl::Status EmbedTogether(absl::Span<const ChunkToEmbed> chunks) const;

  Preparation(const Embedder* embedder, std::unique_ptr<chunking::Chunker> chunker,
              std::unique_ptr<chunking::Analyzer> analyzer)
      : embedder_(embedder), chunker_(std::move(chunker)), analyzer_(std::move(analyzer)) {}

  const Embedder* const embedder_;
  const std::unique_ptr<chunking::Chunker> chunker_;
  const std::unique_ptr<chunking::Analyzer> analyzer_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_PREPARATION_H_
