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

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\n\r\f\v") == std::string_view::npos;
}

// Whether the chunk shows `heading` at its very start, with or without Markdown's marks.
bool BeginsWithHeading(std::string_view text, std::string_view heading) {
  const size_t start = text.find_first_not_of("# \t\n");
  return start != std::string_view::npos && text.substr(start).substr(0, heading.size()) == heading;
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

std::string ChunkContext(const chunking::Document& document, const chunking::Chunk& chunk) {
  const std::string_view text =
      std::string_view(document.text).substr(chunk.span.begin, chunk.span.size());
  std::string context;
  const auto add = [&](std::string_view part) {
    if (part.empty() || BeginsWithHeading(text, part)) return;
    context.append(part).append("\n");
  };
  add(document.title);
  for (const std::string& heading : chunk.headings) {
    if (heading != document.title) add(heading);
  }
  return context;
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

absl::StatusOr<index::PreparedDocument> Preparation::Prepare(chunking::Document document,
                                                             std::string content_hash) const {
  index::PreparedDocument prepared;
  prepared.content_hash = std::move(content_hash);
  if (IsBlank(document.text)) {
    document.text = document.title;
    document.blocks.clear();
  }
  std::vector<chunking::Chunk> chunks = chunker_->Split(document);
  prepared.chunks.resize(chunks.size());
  const size_t dim = embedder_->dim();
  std::vector<std::string> texts;
  std::vector<float> vectors;
  for (size_t begin = 0; begin < chunks.size(); begin += kEmbedBatch) {
    const size_t end = std::min(begin + kEmbedBatch, chunks.size());
    texts.clear();
    for (size_t i = begin; i < end; ++i) {
      const chunking::Chunk& c = chunks[i];
      const std::string context = ChunkContext(document, c);
      const auto text = std::string_view(document.text).substr(c.span.begin, c.span.size());
      prepared.chunks[i].terms = AnalyzeTerms(*analyzer_, {std::string_view(context), text});
      texts.push_back(context);
      texts.back().append(text);
    }
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    vectors.assign(views.size() * dim, 0);
    if (absl::Status s = embedder_->Embed(TextKind::kPassage, views, absl::MakeSpan(vectors));
        !s.ok()) {
      return absl::Status(s.code(), absl::StrCat("document ", document.id, ": ", s.message()));
    }
    for (size_t i = begin; i < end; ++i) {
      const auto first = vectors.begin() + static_cast<ptrdiff_t>((i - begin) * dim);
      const bool known = std::any_of(first, first + dim, [](float x) { return x != 0; });
      if (known) prepared.chunks[i].vector.assign(first, first + dim);
      prepared.chunks[i].chunk = std::move(chunks[i]);
    }
  }
  prepared.document = std::move(document);
  return prepared;
}

}  // namespace cairn::engine
