#include "engine/preparation.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "index/tail.h"

namespace cairn::engine {
namespace {

// Texts handed to the embedder at once: enough to amortise a model's call, little memory.
constexpr size_t kEmbedBatch = 32;
// Chunks analysed between two looks at the cancellation.
constexpr size_t kChunksBetweenLooks = 16;

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\n\r\f\v") == std::string_view::npos;
}

// Whether the chunk shows `heading` at its very start, with or without Markdown's marks.
bool BeginsWithHeading(std::string_view text, std::string_view heading) {
  const size_t start = text.find_first_not_of("# \t\n");
  return start != std::string_view::npos && text.substr(start).substr(0, heading.size()) == heading;
}

std::string_view TextOf(const ChunkToEmbed& c) {
  const chunking::Span span = c.document->chunks[c.chunk].chunk.span;
  return std::string_view(c.document->document.text).substr(span.begin, span.size());
}

}  // namespace

index::TermBag AnalyzeTerms(const chunking::Analyzer& analyzer,
                            absl::Span<const std::string_view> texts) {
  index::TermBag bag;
  size_t bytes = 0;
  for (std::string_view t : texts) bytes += t.size();
  // Every distinct term's bytes go into one string that must not move while the map points into it.
  // Terms can be longer than the words they come from (case folding), but then not by much: the
  // rare overflow rebuilds the map.
  bag.bytes.reserve(bytes + 64);
  absl::flat_hash_map<std::string_view, uint32_t, index::StringViewHash, std::equal_to<>> known;
  known.reserve(std::min<size_t>(bytes / 8, 4096));
  const auto add = [&](std::string_view term) {
    ++bag.length;
    if (const auto it = known.find(term); it != known.end()) {
      ++bag.entries[it->second].count;
      return;
    }
    const char* before = bag.bytes.data();
    const auto offset = static_cast<uint32_t>(bag.bytes.size());
    bag.bytes.append(term);
    bag.entries.push_back({offset, static_cast<uint32_t>(term.size()), 1});
    if (bag.bytes.data() != before) {
      known.clear();
      for (uint32_t i = 0; i < bag.entries.size(); ++i) known.emplace(bag.term(bag.entries[i]), i);
    } else {
      known.emplace(bag.term(bag.entries.back()), static_cast<uint32_t>(bag.entries.size() - 1));
    }
  };
  for (std::string_view t : texts) analyzer.Analyze(t, add);
  return bag;
}

std::string ChunkContext(std::string_view title, absl::Span<const std::string> headings,
                         std::string_view text) {
  std::string context;
  const auto add = [&](std::string_view part) {
    if (part.empty() || BeginsWithHeading(text, part)) return;
    context.append(part).append("\n");
  };
  add(title);
  for (const std::string& heading : headings) {
    if (heading != title) add(heading);
  }
  return context;
}

std::string ChunkContext(const chunking::Document& document, const chunking::Chunk& chunk) {
  return ChunkContext(document.title, chunk.headings,
                      std::string_view(document.text).substr(chunk.span.begin, chunk.span.size()));
}

absl::StatusOr<std::unique_ptr<Preparation>> Preparation::Create(
    const index::CollectionSettings& settings, const Embedder* embedder) {
  chunking::ChunkerOptions options;
  options.max_tokens = settings.chunk_tokens;
  options.overlap_tokens = settings.overlap_tokens;
  absl::StatusOr<std::unique_ptr<chunking::Chunker>> chunker =
      chunking::MakeChunker(settings.chunker, options, &embedder->tokenizer());
  if (!chunker.ok()) return chunker.status();
  absl::StatusOr<std::unique_ptr<chunking::Analyzer>> analyzer =
      chunking::MakeAnalyzer(settings.analyzer);
  if (!analyzer.ok()) return analyzer.status();
  return std::unique_ptr<Preparation>(
      new Preparation(embedder, *std::move(chunker), *std::move(analyzer)));
}

index::PreparedDocument Preparation::Cut(chunking::Document document, std::string content_hash,
                                         const index::Cancellation* cancellation) const {
  index::PreparedDocument prepared;
  prepared.content_hash = std::move(content_hash);
  if (IsBlank(document.text)) {
    document.text = document.title;
    document.blocks.clear();
  }
  std::vector<chunking::Chunk> chunks = chunker_->Split(document);
  prepared.document = std::move(document);
  prepared.chunks.resize(chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    prepared.chunks[i].chunk = std::move(chunks[i]);
    if (i % kChunksBetweenLooks == 0 && index::IsCancelled(cancellation)) break;
    Analyze({&prepared, i});
  }
  return prepared;
}

void Preparation::Analyze(const ChunkToEmbed& chunk) const {
  index::PreparedDocument::Chunk& c = chunk.document->chunks[chunk.chunk];
  const std::string context = ChunkContext(chunk.document->document, c.chunk);
  c.terms = AnalyzeTerms(*analyzer_, {std::string_view(context), TextOf(chunk)});
}

absl::Status Preparation::EmbedTogether(absl::Span<const ChunkToEmbed> chunks) const {
  std::vector<std::string> texts;
  texts.reserve(chunks.size());
  for (const ChunkToEmbed& c : chunks) {
    const chunking::Chunk& chunk = c.document->chunks[c.chunk].chunk;
    texts.push_back(ChunkContext(c.document->document, chunk).append(TextOf(c)));
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const size_t dim = embedder_->dim();
  std::vector<float> vectors(views.size() * dim);
  absl::Status s = embedder_->Embed(TextKind::kPassage, views, absl::MakeSpan(vectors));
  if (!s.ok()) return s;
  for (size_t i = 0; i < chunks.size(); ++i) {
    const auto first = vectors.begin() + static_cast<ptrdiff_t>(i * dim);
    const auto last = first + static_cast<ptrdiff_t>(dim);
    const bool known = std::any_of(first, last, [](float x) { return x != 0; });
    std::vector<float>& vector = chunks[i].document->chunks[chunks[i].chunk].vector;
    vector.clear();
    if (known) vector.assign(first, last);
  }
  return absl::OkStatus();
}

absl::Status Preparation::Embed(absl::Span<const ChunkToEmbed> chunks) const {
  if (chunks.empty()) return absl::OkStatus();
  absl::Status s = EmbedTogether(chunks);
  if (s.ok()) return s;
  // Which of the documents is it?
  const auto named = [](const ChunkToEmbed& chunk, const absl::Status& error) {
    return absl::Status(error.code(), absl::StrCat("document ", chunk.document->document.id, ": ",
                                                   error.message()));
  };
  for (const ChunkToEmbed& chunk : chunks) {
    const absl::Status alone = EmbedTogether({&chunk, 1});
    if (!alone.ok()) return named(chunk, alone);
  }
  return absl::OkStatus();
}

size_t Preparation::CutTokens(size_t tokens) const {
  const size_t most = embedder_->max_tokens();
  return most > 0 ? std::min(tokens, most) : tokens;
}

absl::StatusOr<index::PreparedDocument> Preparation::Prepare(
    chunking::Document document, std::string content_hash,
    const index::Cancellation* cancellation) const {
  index::PreparedDocument prepared =
      Cut(std::move(document), std::move(content_hash), cancellation);
  std::vector<ChunkToEmbed> batch;
  for (size_t begin = 0; begin < prepared.chunks.size(); begin += kEmbedBatch) {
    batch.clear();
    const size_t end = std::min(begin + kEmbedBatch, prepared.chunks.size());
    for (size_t i = begin; i < end; ++i) batch.push_back({&prepared, i});
    absl::Status s = index::CheckCancellation(cancellation);
    if (s.ok()) s = Embed(batch);
    if (!s.ok()) return s;
  }
  return prepared;
}

}  // namespace cairn::engine
